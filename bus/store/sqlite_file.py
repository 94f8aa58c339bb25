"""One SQLite file shared by several processes: how it is opened, locked and checkpointed.

Every write transaction, every checkpoint and every opening and closing of a connection happens under one kernel file
lock. SQLite's own busy handler sleeps and polls, so under load one process starves (0 commits in 3 s were measured);
the kernel lock queues.

The same lock closes the WAL-reset bug of SQLite 3.7.0 to 3.51.2 (fixed in 3.51.3, 3.50.7 and 3.44.6): there a
checkpoint that runs beside another connection's commit may reset a WAL that the commit still appends to, and pages are
lost. Here no checkpoint ever runs beside a commit: automatic checkpoints are off, ours hold the lock, and the last
closing, which checkpoints too, holds it as well. Memory-mapped reads stay off, they make the damage worse.
"""

import fcntl
import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import structlog

__all__ = ["WalGauge", "WriteLock", "connect", "free_bytes", "has_wal_reset_bug", "warn_of_wal_reset_bug", "write_lock"]

log = structlog.get_logger()

DATABASE_NAME = "bus.sqlite"
LOCK_NAME = "bus.lock"

_PAGE_BYTES = 4096
"""Larger pages were not faster for records of some kilobytes."""

_CACHE_KIB = 65_536
"""64 MiB: the working set of indexes of a busy day, per connection and only when used."""

_CACHED_STATEMENTS = 512
"""Prepared statements kept per connection; the house has some two hundred."""

_BUSY_MS = 5_000
"""Only a foreign tool can make us wait here (an operator's shell, a backup): give it a moment."""

_ROOM_FRAMES = 256
"""1 MiB: a few ms of writing every hundred commits, until the file is as long as it ever gets."""

CHECKPOINT_FRAMES = 4_096
"""16 MiB of WAL: rare enough that pages are copied once for many commits, small enough to be copied in some 50 ms."""


def has_wal_reset_bug(version: tuple[int, int, int]) -> bool:
    """Whether this version of SQLite can lose pages when a checkpoint runs beside a commit."""
    if version < (3, 7, 0) or version >= (3, 51, 3):
        return False
    return not ((3, 44, 6) <= version < (3, 45, 0) or (3, 50, 7) <= version < (3, 51, 0))


def warn_of_wal_reset_bug() -> None:
    """One line in the log when the linked SQLite is affected; operators should know why the lock matters."""
    if has_wal_reset_bug(sqlite3.sqlite_version_info):
        log.info(
            "sqlite has the WAL-reset bug; the write lock of the data folder keeps it away",
            sqlite=sqlite3.sqlite_version,
            advice="let no other tool write to or checkpoint the database while the product runs",
        )


def connect(folder: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection to the folder's database with the settings of the house.

    Call it, and close the connection, under the write lock. Usable from any one thread at a time.
    """
    path = folder / DATABASE_NAME
    if not path.exists():
        # Customers' data: readable by the owner alone. The WAL inherits the mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=_CACHED_STATEMENTS
    )
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        connection.close()
        raise OSError(f"{path} cannot be kept with a write-ahead log (mode {mode}): is the folder on a network disk?")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("PRAGMA mmap_size=0")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("PRAGMA foreign_keys=ON")
    if read_only:
        connection.execute("PRAGMA query_only=ON")
    return connection


class WriteLock:
    """The kernel lock of a data folder. One holder per open file; waiting happens outside the interpreter's lock."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release the file; the lock itself is not held then."""
        os.close(self._descriptor)


@contextmanager
def write_lock(folder: Path) -> Generator[None]:
    """Hold the folder's lock for a while: for migrations, which write with connections of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = WriteLock(folder)
    try:
        with lock:
            yield
    finally:
        lock.close()


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write to the folder's disk."""
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


class WalGauge:
    """Knows how long the WAL is, keeps written room ahead of it, and checkpoints it. Used under the lock.

    The file never shrinks, so its size says nothing. A frame belongs to the WAL of now when it carries the salts of
    the file's header (SQLite file format, section 4.2); reading one frame's salts answers "longer than that?".
    SQLite locks the shared-memory file, never the WAL, so opening it here drops no lock.
    """

    _HEADER_BYTES = 32
    _FRAME_BYTES = 24 + _PAGE_BYTES

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{DATABASE_NAME}-wal"
        self._descriptor = -1
        self._salts = b""
        self._mark = CHECKPOINT_FRAMES

    def is_long(self) -> bool:
        """Whether the WAL has grown beyond the next mark."""
        salts = os.pread(self._file(), 8, 16)
        if salts != self._salts:
            self._salts, self._mark = salts, CHECKPOINT_FRAMES
        return self._reaches(self._mark)

    def needs_room(self) -> bool:
        """Whether the WAL has come near the end of its file."""
        frames = self._frames()
        return frames < _ROOM_FRAMES // 2 or self._reaches(frames - _ROOM_FRAMES // 2)

    def make_room(self) -> None:
        """Put written bytes ahead of the WAL's end.

        An fsync that makes the file longer has to write the file's description too: on ext4 such a commit took twice
        as long (0.9 instead of 0.45 ms). What follows the last valid frame does not matter to SQLite, whose own WAL is
        full of old frames after its first round.
        """
        size = os.fstat(self._file()).st_size
        os.pwrite(self._file(), bytes(_ROOM_FRAMES * self._FRAME_BYTES), size)
        os.fsync(self._file())

    def checkpoint(self, connection: sqlite3.Connection) -> None:
        """Copy the WAL into the database as far as readers allow; what is left is tried again after as much growth."""
        _busy, frames, _copied = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._mark = max(frames, 0) + CHECKPOINT_FRAMES

    def close(self) -> None:
        """Release the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _frames(self) -> int:
        return (os.fstat(self._file()).st_size - self._HEADER_BYTES) // self._FRAME_BYTES

    def _reaches(self, frame: int) -> bool:
        place = self._HEADER_BYTES + (frame - 1) * self._FRAME_BYTES + 8
        return len(self._salts) == 8 and os.pread(self._file(), 8, place) == self._salts

    def _file(self) -> int:
        # Once: while our own connection is open nobody removes the WAL.
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        return self._descriptor
