"""The one writer of a process: a thread that runs jobs in transactions, as many per transaction as there are waiting.

While a transaction runs, the jobs of the next collect: the batch grows with the load and needs no timer. A job that
fails is undone alone. Results are given back only after the commit, that is after the disk has said yes.
"""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog

from bus.errors import ContactbusError, PermanentError, StorageFull, TransientError
from bus.store.sqlite_file import WalGauge, WriteLock, connect, free_bytes

__all__ = ["Job", "Transaction", "Writer", "translate"]

log = structlog.get_logger()

T = TypeVar("T")

MAX_BATCH = 4_096
"""Jobs after which a transaction takes no more: bounds how long the write lock is held."""

_LAZY_S = 0.01
"""How long work that is not urgent waits for other work to go with: several transactions of a busy process."""

DEFAULT_FLOOR_BYTES = 268_435_456
"""256 MiB of free disk below which nothing new is accepted: what was accepted still needs room to be finished."""


class Transaction:
    """What a job may do: execute statements, and name what follows its commit or its undoing. Writer thread only."""

    def __init__(self, connection: sqlite3.Connection, *, epoch: int) -> None:
        self.epoch = epoch
        """Another number whenever somebody else has written, or a transaction was lost: what was remembered under the
        same number still holds. Compare with the number it was remembered under, not with the last transaction's: that
        one may have been no business of whoever remembers."""
        self._connection = connection
        self._wanted = 0
        self._opened = 0
        self._undo: list[Callable[[], None]] = []
        self._after: list[Callable[[], None]] = []
        self.on_loop: list[Callable[[], None]] = []
        """Called on the event loop once everything is durable, before any result is given. Not undone by attempts."""
        self._flush: list[Callable[[], None]] = []

    def execute(self, sql: str, params: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run one statement."""
        self._open()
        return self._connection.execute(sql, params)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> sqlite3.Cursor:
        """Run one statement for many rows."""
        self._open()
        return self._connection.executemany(sql, rows)

    def attempt(self, work: Callable[[], T]) -> T:
        """Run `work`; when it raises, undo everything that it did and raise on."""
        mark_undo, mark_after = len(self._undo), len(self._after)
        self._wanted += 1
        level = self._wanted
        try:
            result = work()
        except BaseException:
            while len(self._undo) > mark_undo:
                self._undo.pop()()
            del self._after[mark_after:]
            if self._opened >= level and self._connection.in_transaction:
                self._connection.execute(f"ROLLBACK TO level_{level}")
                self._connection.execute(f"RELEASE level_{level}")
            raise
        else:
            if self._opened >= level:
                self._connection.execute(f"RELEASE level_{level}")
            return result
        finally:
            self._wanted = level - 1
            self._opened = min(self._opened, self._wanted)

    def on_undo(self, action: Callable[[], None]) -> None:
        """Called when the surrounding attempt, or the transaction, is undone."""
        self._undo.append(action)

    def after_commit(self, action: Callable[[], None]) -> None:
        """Called in the writer's thread once everything is durable."""
        self._after.append(action)

    def before_commit(self, action: Callable[[], None]) -> None:
        """Called once when all jobs have run; stays when the attempt is undone."""
        self._flush.append(action)

    def flush(self) -> None:
        """Run what was registered for before the commit."""
        for action in self._flush:
            action()

    def committed(self) -> None:
        """Run what was registered for after the commit."""
        for action in self._after:
            action()

    def undone(self) -> None:
        """The whole transaction is lost: undo what is remembered of it."""
        while self._undo:
            self._undo.pop()()

    def _open(self) -> None:
        # Savepoints are opened by the first statement that needs them: jobs that only append need none.
        while self._opened < self._wanted:
            self._opened += 1
            self._connection.execute(f"SAVEPOINT level_{self._opened}")


class Job:
    """Work for the writer.

    `durable`: fsync before the yes. `intake`: brings something new, so it is refused when the disk is nearly full.
    """

    __slots__ = ("durable", "future", "intake", "work")

    def __init__(
        self,
        work: Callable[[Transaction], Any],
        future: "asyncio.Future[Any] | None",
        *,
        durable: bool = True,
        intake: bool = False,
    ) -> None:
        self.work = work
        self.future = future
        self.durable = durable
        self.intake = intake


_Settled = tuple["asyncio.Future[Any] | None", Any, BaseException | None]


class Writer:
    """Owns the writing connection. Built under no lock; `close` must be called to leave the WAL tidy."""

    def __init__(
        self,
        folder: Path,
        *,
        floor_bytes: int = DEFAULT_FLOOR_BYTES,
        tick: Callable[[], Job | None] | None = None,
        tick_s: float = 1.0,
    ) -> None:
        self._folder = folder
        self._floor_bytes = floor_bytes
        self._tick = tick
        self._tick_s = tick_s
        self._loop = asyncio.get_running_loop()
        self._submitted: list[Job] = []
        self._handing_over = False
        self._lazy: asyncio.TimerHandle | None = None
        self._jobs: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = WriteLock(folder)
        self._gauge = WalGauge(folder)
        with self._lock:
            self._connection = connect(folder)
        self._full_sync = True
        self._chore: Callable[[], None] | None = None
        self._data_version = -1
        self._epoch = 0
        self._closing: list[sqlite3.Connection] = []
        self._thread = threading.Thread(target=self._run, name="bus-writer", daemon=True)
        self._thread.start()

    def open_reader(self) -> sqlite3.Connection:
        """A connection for reading, closed by `close`."""
        with self._lock_of_caller():
            reader = connect(self._folder, read_only=True)
        self._closing.append(reader)
        return reader

    def submit(
        self, work: Callable[[Transaction], T], *, durable: bool = True, intake: bool = False, urgent: bool = True
    ) -> "asyncio.Future[T]":
        """Run `work` in the next transaction; the future is done once that is durable.

        What is not `urgent` goes with other work, and alone only when there is none for a moment.

        Raises through the future what `work` raised, or StorageFull, TransientError, PermanentError. A future that is
        cancelled does not stop its job.
        """
        if self._closed:
            raise TransientError("the engine is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._submitted.append(Job(work, future, durable=durable, intake=intake))
        if self._handing_over:
            return future
        if urgent:
            # Handed over when this turn of the loop ends: what wakes together is written together, and the writer
            # does not fight for the interpreter with those who still submit.
            self._handing_over = True
            self._loop.call_soon(self._hand_over)
        elif self._lazy is None:
            self._lazy = self._loop.call_later(_LAZY_S, self._hand_over)
        return future

    def _hand_over(self) -> None:
        self._handing_over = False
        if self._lazy is not None:
            self._lazy.cancel()
            self._lazy = None
        if self._submitted:
            jobs, self._submitted = self._submitted, []
            self._jobs.put(jobs)

    async def close(self) -> None:
        """Finish what is waiting, then close every connection under the lock."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join)

    def _lock_of_caller(self) -> WriteLock:
        return _OwnLock(self._folder)

    def _run(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._collect()
            if batch:
                self._transact(batch)
        with self._lock:
            for reader in self._closing:
                reader.close()
            self._gauge.close()
            self._connection.close()
        self._lock.close()

    def _collect(self) -> tuple[list[Job], bool]:
        batch: list[Job] = []
        try:
            jobs = self._jobs.get(timeout=self._tick_s if self._tick else None)
            while True:
                if jobs is None:
                    return batch, False
                batch += jobs
                if len(batch) >= MAX_BATCH:
                    break
                jobs = self._jobs.get_nowait()
        except queue.Empty:
            pass
        if self._tick is not None and (beat := self._tick()) is not None:
            batch.append(beat)
        return batch, True

    def _transact(self, batch: list[Job]) -> None:
        settled: list[_Settled] = []
        try:
            low = free_bytes(self._folder) < self._floor_bytes
            with self._lock:
                transaction = self._begin(batch)
                try:
                    for job in batch:
                        settled.append(self._work(transaction, job, low))
                    transaction.flush()
                    self._connection.execute("COMMIT")
                except BaseException:
                    transaction.undone()
                    self._data_version = -1
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
                if self._chore is not None:
                    # It needs the lock, and takes its time: the results do not wait for it.
                    batch = []
                    self._answer(transaction, settled)
                    self._chore()
            # From here on without the lock: the event loop is busy with the results at once, and while this thread
            # waits for the interpreter another process can write.
            if batch:
                batch = []
                self._answer(transaction, settled)
            self._chore = self._next_chore(low)
        except Exception as error:
            if not batch:
                # The jobs are durable and answered; what failed came after (a checkpoint), and will be tried again.
                log.error("work after a commit failed", exc_info=error)
                return
            failure = translate(error)
            log.error("transaction failed", count=len(batch), exc_info=error)
            self._give([(job.future, None, failure) for job in batch], [])

    def _answer(self, transaction: Transaction, settled: list[_Settled]) -> None:
        self._give(settled, transaction.on_loop)
        transaction.committed()

    def _next_chore(self, low: bool) -> Callable[[], None] | None:
        """What has to be done about the WAL after the next transaction, if anything."""
        if self._gauge.is_long():
            return lambda: self._gauge.checkpoint(self._connection)
        return self._gauge.make_room if not low and self._gauge.needs_room() else None

    def _begin(self, batch: Sequence[Job]) -> Transaction:
        full = any(job.durable for job in batch)
        if full is not self._full_sync:
            self._connection.execute(f"PRAGMA synchronous={'FULL' if full else 'NORMAL'}")
            self._full_sync = full
        self._connection.execute("BEGIN IMMEDIATE")
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._data_version = version
            self._epoch += 1
        return Transaction(self._connection, epoch=self._epoch)

    def _work(self, transaction: Transaction, job: Job, low: bool) -> _Settled:
        if low and job.intake:
            return job.future, None, StorageFull(f"less than {self._floor_bytes} bytes of disk are free")
        try:
            return job.future, transaction.attempt(lambda: job.work(transaction)), None
        except Exception as error:
            if not self._connection.in_transaction:
                # A full disk or a failing one makes SQLite give up the whole transaction, not this job alone.
                raise
            if job.future is None:
                log.error("background job failed", exc_info=error)
            return job.future, None, translate(error)

    def _give(self, settled: list[_Settled], first: list[Callable[[], None]]) -> None:
        try:
            self._loop.call_soon_threadsafe(_settle, settled, first)
        except RuntimeError:
            # The loop has ended without closing the engine: nobody is left to be told.
            log.warning("results came after the event loop had ended", count=len(settled))


class _OwnLock(WriteLock):
    """A lock for one use by the calling thread: the writer's own may be held by the writer."""

    def __exit__(self, *_: object) -> None:
        super().__exit__(*_)
        self.close()


def _settle(settled: list[_Settled], first: list[Callable[[], None]]) -> None:
    for action in first:
        action()
    for future, result, error in settled:
        if future is None or future.done():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def translate(error: BaseException) -> BaseException:
    """The house's error for one of the driver."""
    if isinstance(error, ContactbusError) or not isinstance(error, sqlite3.Error):
        return error
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR_SHM"):
        translated: ContactbusError = StorageFull("the disk of the data folder is full")
    elif name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_PROTOCOL")):
        translated = TransientError(f"the database is away for the moment: {error}")
    else:
        translated = PermanentError(f"the database refuses: {error}")
    translated.__cause__ = error
    return translated
