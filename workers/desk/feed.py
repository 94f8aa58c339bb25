"""The desk's live connection: which cases changed, and who is at which case."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
from aiohttp import web

from bus.clock import Clock, to_micros
from bus.log.port import Log
from bus.log.topics import CASE_LOG
from bus.message import decode
from bus.web.feed import FeedItem, cursor_of, stream
from workers.case.changes import CaseChanged
from workers.desk.login import Session
from workers.desk.presence import Presence
from workers.desk.reading import Reading

__all__ = ["DeskFeed", "is_page_name"]

_OVERLAP_MICROS = 5_000_000
"""A page that comes back is told once more what changed in the last seconds before: clocks and commits overlap."""

_PAGE_NAME = re.compile(r"[0-9A-Za-z-]{1,64}")


def is_page_name(name: str) -> bool:
    """Whether a page may call itself so: a random name of its own making."""
    return _PAGE_NAME.fullmatch(name) is not None


class DeskFeed:
    """Feeds of one process; `close` ends them so that the server can stop."""

    def __init__(self, *, log: Log, clock: Clock, reading: Reading, presence: Presence) -> None:
        self._log, self._clock, self._reading, self._presence = log, clock, reading, presence
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all feeds."""
        self._closing.set()

    async def serve(self, request: web.Request, session: Session) -> web.StreamResponse:
        """Events `case` (case, version, status) and `here` (case, people), from the page's last cursor on."""
        after = cursor_of(request)
        start = int(after) if after.isdigit() and len(after) < 20 else to_micros(self._clock.now())
        name = request.query.get("page", "")
        changes = self._changes(session.tenant, start, name if is_page_name(name) else "")
        return await stream(request, changes, cursor=str(start), closing=self._closing)

    async def _changes(self, tenant: str, start: int, page: str) -> AsyncIterator[FeedItem]:
        # The tail begins before the past is read, so nothing falls between the two.
        tail = self._log.tail([CASE_LOG])
        first = asyncio.ensure_future(anext(tail))
        cursor = str(start)
        async with self._presence.connected(tenant, page) as watch:
            people = asyncio.ensure_future(watch.changes())
            try:
                for case, at in await self._reading.changed_since(tenant, start - _OVERLAP_MICROS):
                    cursor = str(at)
                    yield FeedItem(cursor=cursor, kind="case", data={"case": case})
                while True:
                    await asyncio.wait((first, people), return_when=asyncio.FIRST_COMPLETED)
                    if people.done():
                        for case, there in people.result().items():
                            data = {"case": case, "people": msgspec.to_builtins(there)}
                            yield FeedItem(cursor=cursor, kind="here", data=data)
                        people = asyncio.ensure_future(watch.changes())
                    if first.done():
                        record = first.result()
                        first = asyncio.ensure_future(anext(tail))
                        if record.headers.get("tenant") == tenant:
                            changed = decode(record.value, CaseChanged)
                            data = {"case": changed.case, "version": changed.version, "status": changed.status}
                            cursor = str(record.at)
                            yield FeedItem(cursor=cursor, kind="case", data=data)
            finally:
                for task in (first, people):
                    task.cancel()
                with suppress(asyncio.CancelledError):
                    await people
