"""Who else looks at a case, and who is writing there.

A page says which case it shows and whether something is being written; the row lies in the store, so pages of every
process see it. The process that holds a page's live connection renews its row; when the connection is gone nobody
does, and the row counts no longer after `GONE_AFTER`. So a machine that was switched off looks at nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import msgspec
import structlog

from bus.clock import Clock, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.errors import StorageFull, TransientError
from bus.store.port import Effect, Row, Store
from workers.desk.schema import DROP_VIEWER, FORGET_VIEWERS, KEEP_VIEWER, RENEW_VIEWER, SELECT_VIEWERS

__all__ = ["GONE_AFTER", "Presence", "Viewer", "Watch"]

log = structlog.get_logger()

GONE_AFTER = timedelta(seconds=25)
"""Two renewals may fail; a colleague who left is shown no longer than that."""

_RENEW_S = 10.0
"""Each renewal is a transaction for all pages of a process."""

_LOOK_S = 1.0
"""How late a page hears of a colleague at another process: one read a second per process, however many pages."""

_FORGET_AFTER = timedelta(hours=1)
"""Rows of pages that vanished are in nobody's way; once an hour is soon enough."""


class Viewer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody at a case."""

    person: str
    writing: bool


class Watch:
    """What one page is told: differences to what it was told before, its own row left out."""

    def __init__(self, presence: "Presence", tenant: str, page: str) -> None:
        self._presence, self._tenant, self._page = presence, tenant, page
        self._told: Mapping[str, tuple[Viewer, ...]] = {}

    async def changes(self) -> Mapping[str, tuple[Viewer, ...]]:
        """Wait until something is new: the cases concerned with everybody who is there now."""
        async with self._presence.news:
            while True:
                here = _by_case(self._presence.rows(self._tenant), self._page)
                told, self._told = self._told, here
                changed = {
                    case: here.get(case, ())
                    for case in {*told, *here}
                    if told.get(case, ()) != here.get(case, ())
                }  # fmt: skip
                if changed:
                    return changed
                await self._presence.news.wait()


class Presence:
    """Keeps and watches who is where. One object per process; it works while pages are connected."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._connected: dict[tuple[str, str], int] = {}
        self._rows: dict[str, Sequence[Row]] = {}
        self._wake = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self.news = asyncio.Condition()

    def rows(self, tenant: str) -> Sequence[Row]:
        """What was read last."""
        return self._rows.get(tenant, ())

    async def show(self, tenant: str, page: str, person: str, case: str, *, writing: bool) -> None:
        """A page shows a case; none with an empty `case`."""
        if case:
            row = {
                "tenant": tenant, "page": page, "person": person, "case_id": case, "writing": int(writing),
                "seen": to_micros(self._clock.now()),
            }  # fmt: skip
            write = Write(statement=KEEP_VIEWER, params=row)
        else:
            write = Write(statement=DROP_VIEWER, params={"of_tenant": tenant, "of_page": page})
        await self._store.apply([Effect(outcome=Outcome(writes=(write,)))])
        self._wake.set()

    @asynccontextmanager
    async def connected(self, tenant: str, page: str) -> AsyncIterator[Watch]:
        """As long as a page's live connection lasts. A page without a name only watches."""
        key = (tenant, page)
        self._connected[key] = self._connected.get(key, 0) + 1
        self._wake.set()
        if self._work is None:
            self._work = asyncio.create_task(self._run())
        try:
            yield Watch(self, tenant, page)
        finally:
            self._connected[key] -= 1
            if not self._connected[key]:
                del self._connected[key]
            if not self._connected:
                await self._stop()

    async def _stop(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    async def _run(self) -> None:
        renewed = 0.0
        time = asyncio.get_running_loop().time
        while True:
            self._wake.clear()
            try:
                if time() - renewed >= _RENEW_S:
                    await self._renew()
                    renewed = time()
                await self._look()
            except (TransientError, StorageFull) as error:
                # Work goes on without knowing who else is there; the next look may succeed.
                log.warning("presence not read", error=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()

    async def _look(self) -> None:
        now = self._clock.now()
        for tenant in {tenant for tenant, _ in self._connected}:
            found = await self._store.all(SELECT_VIEWERS, {"tenant": tenant, "since": to_micros(now - GONE_AFTER)})
            async with self.news:
                self._rows[tenant] = found
                self.news.notify_all()

    async def _renew(self) -> None:
        now = self._clock.now()
        pages = [(tenant, page) for tenant, page in self._connected if page]
        writes = [
            Write(statement=RENEW_VIEWER, params={"of_tenant": tenant, "of_page": page, "now": to_micros(now)})
            for tenant, page in pages
        ]
        writes += [
            Write(statement=FORGET_VIEWERS, params={"of_tenant": t, "before": to_micros(now - _FORGET_AFTER)})
            for t in {tenant for tenant, _ in pages}
        ]
        if writes:
            await self._store.apply([Effect(outcome=Outcome(writes=tuple(writes)))])


def _by_case(rows: Sequence[Row], own_page: str) -> Mapping[str, tuple[Viewer, ...]]:
    """Who is at which case, each person once; pages of one person count together."""
    people: dict[str, dict[str, bool]] = {}
    for row in rows:
        if row["page"] != own_page:
            at = people.setdefault(row["case_id"], {})
            at[row["person"]] = at.get(row["person"], False) or bool(row["writing"])
    return {
        case: tuple(Viewer(person=person, writing=writing) for person, writing in sorted(at.items()))
        for case, at in people.items()
    }
