"""The drop folder on disk: list, read without being led astray, and put aside. Nothing is ever deleted here."""

import contextlib
import os
import stat
from pathlib import Path

import msgspec

__all__ = ["DropFolder", "Seen"]

_IGNORED_ENDS = (".tmp", ".part", ".partial", ".crdownload", "~")
_LONGEST_NAME = 120


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A file as the folder shows it. A change of any of these is another version of the file."""

    name: str
    size: int
    changed_ns: int


class DropFolder:
    """One drop folder with `done` and `held` inside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done = path / "done"
        self.held = path / "held"

    def create(self) -> None:
        """Make the folders. Raises OSError."""
        for folder in (self.path, self.done, self.held):
            folder.mkdir(parents=True, exist_ok=True)

    def list(self) -> list[Seen]:
        """Ordinary files that somebody may have put there; not links, devices, pipes, or files by temporary names."""
        found: list[Seen] = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name.lower().endswith(_IGNORED_ENDS):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        found.append(Seen(name=entry.name, size=status.st_size, changed_ns=status.st_mtime_ns))
        return sorted(found, key=lambda seen: (seen.changed_ns, seen.name))

    def read(self, seen: Seen, limit: int) -> bytes | None:
        """The first `limit` bytes of exactly this version; None when it is not there any more or changes under us."""
        try:
            # NONBLOCK: a pipe put in its place since must not hold us up.
            descriptor = os.open(self.path / seen.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode) or not _same(before, seen):
                return None
            data = file.read(limit)
            if not _same(os.fstat(descriptor), seen):
                return None
        return data if len(data) == min(seen.size, limit) else None

    def put_aside(self, seen: Seen, folder: Path, mark: str, reason: str = "") -> Path | None:
        """Move exactly this version of a file into `done` or `held` under a name of its own, with the reason beside it.

        None when it is gone: somebody else moved it, or the scanner wrote its next letter under the same name, which
        must still be read. Raises OSError when it cannot be moved.
        """
        name = seen.name
        stem, dot, end = name.rpartition(".")
        if not dot:
            stem, end = name, ""
        for attempt in range(1000):
            with contextlib.suppress(FileNotFoundError):
                if not _same((self.path / name).lstat(), seen):
                    return None
            count = f"-{attempt}" if attempt else ""
            target = folder / f"{stem[:_LONGEST_NAME]}--{mark}{count}{dot}{end[:20]}"
            try:
                # The link fails when the name is taken, where a rename would overwrite a letter.
                os.link(self.path / name, target, follow_symlinks=False)
            except FileExistsError:
                continue
            except FileNotFoundError:
                return None
            except OSError:
                # Some network shares know no links, and files of another user may not be linked.
                if target.exists():
                    continue
                try:
                    (self.path / name).rename(target)
                except FileNotFoundError:
                    return None
            else:
                with contextlib.suppress(FileNotFoundError):
                    (self.path / name).unlink()
            if reason:
                target.with_name(target.name + ".reason.txt").write_text(reason + "\n", encoding="utf-8")
            return target
        raise OSError("no free name")


def _same(status: os.stat_result, seen: Seen) -> bool:
    return status.st_size == seen.size and status.st_mtime_ns == seen.changed_ns
