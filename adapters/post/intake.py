"""From the drop folder to the bus: see, let settle, judge, hand over, put aside.

The list of the folder is the truth and is read again and again; file events only shorten the wait. A file leaves the
folder only after its contact is durable. Whatever goes wrong in between is tried again for ever, and what can never
become a letter goes to a person as a contact of its own.
"""

import asyncio
import contextlib
import hashlib
import sys

import msgspec
import structlog

from adapters.post.complete import Completeness, judge, media_type
from adapters.post.config import PostConfig
from adapters.post.folder import DropFolder, Seen
from adapters.post.journal import FileRow, Journal
from bus.adapter.contract import Raw, Services
from bus.clock import to_micros
from bus.errors import ContactbusError
from bus.message import derive_id

__all__ = ["FolderIntake"]

log = structlog.get_logger()

_SECOND = 1_000_000
_LOOK_AGAIN_S = 60.0
"""A file that is not whole is read again this often at most: some shares change content without changing times."""
NOT_WHOLE = "the file never arrived completely"
EMPTY = "empty file from the scanner"
NOT_A_SCAN = "not a scan: PDF, TIFF, JPEG and PNG can be read"


class FolderIntake:
    """The receiving side of the channel. `step` is one look at the folder; `run` looks until cancelled."""

    def __init__(self, config: PostConfig, services: Services, folder: DropFolder, journal: Journal) -> None:
        self._config, self._services = config, services
        self._folder, self._journal = folder, journal
        self._rows: dict[str, FileRow] | None = None
        self._quiet_since: dict[str, tuple[Seen, float]] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._reading = asyncio.Semaphore(config.letters_at_once)
        self._moved = asyncio.Event()
        self.trouble = ""
        """Why the folder could not be listed the last time; empty when it could."""

    async def run(self) -> None:
        """Look at the folder until cancelled. Trouble with the folder is reported and outlived."""
        hints = asyncio.create_task(self._hints())
        try:
            while True:
                due_s = await self.step()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.02, min(due_s, self._config.scan_every_s))):
                        await self._moved.wait()
                self._moved.clear()
        finally:
            tasks = [hints, *self._busy.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def step(self) -> float:
        """Look once and start what is due; returns the seconds until something may be due."""
        try:
            await asyncio.to_thread(self._folder.create)
            listing = await asyncio.to_thread(self._folder.list)
            if self._rows is None:
                self._rows = {row.file: row for row in await self._journal.open_files()}
            await self._forget_gone(listing)
            self.trouble = ""
        except (OSError, ContactbusError) as error:
            self.trouble = f"the drop folder or its journal cannot be read ({type(error).__name__})"
            log.warning("drop folder or its journal cannot be read", error=type(error).__name__)
            return self._config.scan_every_s
        now, moment = to_micros(self._services.clock.now()), self._services.clock.monotonic()
        due_s = self._config.scan_every_s
        for seen in listing:
            before = self._quiet_since.get(seen.name)
            if before is None or before[0] != seen:
                self._quiet_since[seen.name] = before = (seen, moment)
            left = before[1] + self._config.stable_s - moment
            row = self._rows.get(self._version(seen))
            if row is not None:
                left = max(left, (row.next_attempt - now) / _SECOND)
            if left > 0:
                due_s = min(due_s, left)
            elif seen.name not in self._busy:
                task = asyncio.create_task(self._take(seen, now - round((moment - before[1]) * _SECOND)))
                self._busy[seen.name] = task
                task.add_done_callback(lambda _, name=seen.name: self._finished(name))
        return due_s

    async def idle(self) -> None:
        """Wait until everything that was started has ended."""
        while self._busy:
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    def waiting(self) -> tuple[int, int]:
        """Files not settled, and how many of them the bus could not take at the last try."""
        rows = list((self._rows or {}).values())
        return len(rows), sum(row.state == "retry" for row in rows)

    def _finished(self, name: str) -> None:
        self._busy.pop(name, None)
        self._moved.set()

    def _version(self, seen: Seen) -> str:
        return derive_id("f", self._services.tenant, seen.name, str(seen.changed_ns), str(seen.size))

    async def _hints(self) -> None:
        """File events, where the system sends them."""
        from watchfiles import awatch

        try:
            await asyncio.to_thread(self._folder.create)
            async for _ in awatch(
                self._folder.path, recursive=False, debounce=100, step=30, ignore_permission_denied=True
            ):
                self._moved.set()
        except (OSError, RuntimeError) as error:
            # Too many watches, or a file system without events: the list is enough.
            log.info("no file events for the drop folder", error=type(error).__name__)

    async def _forget_gone(self, listing: list[Seen]) -> None:
        """Close the rows of files that are not there any more: put aside before a crash, changed, or taken away."""
        assert self._rows is not None
        there = {self._version(seen) for seen in listing}
        names = {seen.name for seen in listing}
        self._quiet_since = {name: value for name, value in self._quiet_since.items() if name in names}
        busy = {self._quiet_since[name][0] for name in self._busy if name in self._quiet_since}
        for row in [row for row in self._rows.values() if row.file not in there]:
            if any(self._version(seen) == row.file for seen in busy):
                continue
            await self._write(msgspec.structs.replace(row, state="done" if row.contact else "gone"))

    async def _write(self, row: FileRow) -> None:
        assert self._rows is not None
        await self._journal.put_file(row)
        if row.state in ("done", "held", "gone"):
            self._rows.pop(row.file, None)
        else:
            self._rows[row.file] = row
            # Earlier versions of the same file that led to nothing are forgotten by the journal, too.
            for other in [
                o for o in self._rows.values() if o.name == row.name and o.file != row.file and not o.contact
            ]:
                del self._rows[other.file]

    async def _take(self, seen: Seen, since: int) -> None:
        assert self._rows is not None
        version = self._version(seen)
        row = self._rows.get(version) or FileRow(file=version, name=_shown(seen.name), state="waiting", since=since)
        try:
            async with self._reading:
                await self._judge(seen, row)
        except Exception as error:
            # Whatever it is: the file stays, and is tried again after a while. Nobody loses a letter to a surprise.
            row = self._rows.get(version, row)
            wait = min(self._config.retry_first_s * 2 ** min(row.attempts, 20), self._config.retry_most_s)
            # An accepted file that cannot be moved stays accepted: only moving is tried again.
            state = "accepted" if row.state == "accepted" else "retry"
            log.warning("scan could not be handed over", file=version, state=state, error=type(error).__name__)
            again = msgspec.structs.replace(
                row,
                state=state,
                attempts=row.attempts + 1,
                # The reason of an accepted file says where it belongs.
                reason=row.reason if state == "accepted" else type(error).__name__,
                next_attempt=to_micros(self._services.clock.now()) + round(wait * _SECOND),
            )
            self._rows[version] = again
            with contextlib.suppress(ContactbusError):
                await self._journal.put_file(again)

    async def _judge(self, seen: Seen, row: FileRow) -> None:
        """Decide whether the file is taken now, and as what."""
        waited = (to_micros(self._services.clock.now()) - row.since) / _SECOND
        data, problem, patience = b"", "", 0.0
        if seen.size == 0:
            problem, patience = EMPTY, self._config.empty_s
        elif seen.size > self._config.file_bytes:
            problem = f"the file is larger than {self._config.file_bytes // 1024 // 1024} MB"
            patience = self._config.doubtful_s
        else:
            read = await asyncio.to_thread(self._folder.read, seen, self._config.file_bytes)
            if read is None:
                return
            data = read
            verdict = await asyncio.to_thread(judge, data)
            if not media_type(data) and verdict is Completeness.COMPLETE:
                problem, patience = NOT_A_SCAN, self._config.doubtful_s
            elif verdict is Completeness.DOUBTFUL:
                patience = self._config.doubtful_s
            elif verdict is Completeness.INCOMPLETE:
                problem, patience = NOT_WHOLE, self._config.incomplete_s
        if row.state != "accepted" and waited < patience:
            wait = min(patience - waited, max(waited, 1.0), _LOOK_AGAIN_S)
            due = to_micros(self._services.clock.now()) + round(wait * _SECOND)
            await self._write(msgspec.structs.replace(row, state="waiting", next_attempt=due, reason=problem))
            return
        await self._hand_over(seen, row, data, problem)

    async def _hand_over(self, seen: Seen, row: FileRow, data: bytes, problem: str) -> None:
        digest = hashlib.sha256(data).hexdigest()
        if row.state != "accepted" or row.sha256 != digest:
            # The same bytes are the same contact, so reading them again would only cost seconds.
            known = await self._journal.accepted(digest) if data else None
            contact, reason = (known.contact, known.reason) if known else await self._accept(seen, row, data, problem)
            # An empty file may still be filled: a person knows, and it is moved only when nothing comes.
            later = round(self._config.incomplete_s * _SECOND) if problem == EMPTY else 0
            row = msgspec.structs.replace(
                row,
                state="accepted",
                contact=contact,
                sha256=digest,
                reason=reason,
                attempts=0,
                next_attempt=to_micros(self._services.clock.now()) + later,
            )
            await self._write(row)
            log.info("scan accepted", file=row.file, contact=row.contact, duplicate=known is not None)
            if later:
                return
        await self._put_aside(seen, row)

    async def _accept(self, seen: Seen, row: FileRow, data: bytes, problem: str) -> tuple[str, str]:
        """Give the scan to the bus; its contact, and why a person must look at the file (or nothing)."""
        accepted = await self._services.accept(
            Raw(
                tenant=self._services.tenant,
                account=self._config.account,
                media_type=media_type(data) or "application/octet-stream",
                data=data,
                received_at=self._services.clock.now(),
                native={"file": row.name, "seen": str(seen.changed_ns), "problem": problem},
            )
        )
        if accepted.quality.status == "unreadable":
            return accepted.contact, problem or "; ".join(accepted.quality.reasons) or "could not be read"
        return accepted.contact, problem

    async def _put_aside(self, seen: Seen, row: FileRow) -> None:
        target = self._folder.held if row.reason else self._folder.done
        note = f"{row.reason}\ncontact {row.contact}" if row.reason else ""
        mark = row.sha256[:12]
        await asyncio.to_thread(self._folder.put_aside, seen, target, mark, note)
        await self._write(msgspec.structs.replace(row, state="held" if row.reason else "done"))


def _shown(name: str) -> str:
    """A file name as it may be written down: names on disk need not be text."""
    return name.encode(sys.getfilesystemencoding(), "surrogateescape").decode("utf-8", "replace")
