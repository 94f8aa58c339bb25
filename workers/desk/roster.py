"""Who is here: people say what they are ready for, and the live connection of their page says that they are there.

A page that is connected sends a heartbeat through the process that holds its connection. When heartbeats stop (a lid
was closed, a process died), the person counts as away after `ABSENT_AFTER`, and what was offered goes to others.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog

from bus.clock import Clock, from_micros, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.errors import Conflict, StorageFull, TransientError
from bus.store.port import Effect, Row, Store
from workers.case import events
from workers.case.changes import Draft, load_case
from workers.case.model import CLOSED
from workers.case.rules import Refused
from workers.case.waiting import look
from workers.desk import offers
from workers.desk.offer_schema import ADD_ROSTER, ALL_ROSTER, ALL_STAFF, BEAT, MOVE_ROSTER, ONE_ROSTER
from workers.desk.offers import Present
from workers.desk.staff import People, Staff, staff_of

__all__ = ["BEAT_S", "LONGEST_BREAK", "Roster"]

log = structlog.get_logger()

BEAT_S = 15.0
"""Between two heartbeats: three of them fit into the time after which somebody counts as away."""

LONGEST_BREAK = timedelta(hours=2)
"""Longer than that is no break; then one is away."""

ATTEMPTS = 8
"""A person clicks, a round of offers moves the same row: more than a few in a row do not happen."""


class Roster:
    """States of people. `tenant` and names come from the session, never from the request."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._people = People(store=store, clock=clock)
        self._connected: Counter[tuple[str, str]] = Counter()
        self._beating: asyncio.Task[None] | None = None

    async def present(self, tenant: str) -> tuple[Mapping[str, int], Sequence[Present]]:
        """Everybody on the roster who works here, and the versions of their rows. Who was removed counts as away."""
        rows = await self._store.all(ALL_ROSTER, {"tenant": tenant})
        if not rows:
            return {}, ()
        entered = {row["name"]: row for row in await self._store.all(ALL_STAFF, {"tenant": tenant})}
        people: list[Present] = []
        for row in rows:
            known = entered.get(row["name"])
            staff = staff_of(known) if known is not None else Staff(name=row["name"])
            people.append(_present(row, staff, gone=known is not None and bool(known["removed"])))
        return {row["name"]: row["version"] for row in rows}, people

    async def one(self, tenant: str, name: str) -> Row | None:
        """The row of somebody who was here once."""
        return await self._store.one(ONE_ROSTER, {"tenant": tenant, "name": name})

    async def say(self, tenant: str, name: str, state: str, *, minutes: int = 0, reason: str = "") -> None:
        """Somebody is ready, busy, on a break or away. Raises Refused with `outcome` while a wrap-up waits for one,
        with `state` for what nobody can say."""
        if state not in (offers.READY, offers.BUSY, offers.BREAK, offers.AWAY):
            raise Refused(("state",))
        now = self._clock.now()
        until = now + min(timedelta(minutes=minutes), LONGEST_BREAK) if state == offers.BREAK and minutes else None

        def decide(row: Row | None) -> Outcome:
            # Whoever leaves in the middle of a wrap-up finds it again on coming back.
            open_case = "" if row is None else row["case_id"]
            if open_case and state in (offers.READY, offers.BUSY):
                raise Refused(("outcome",))
            return Outcome(writes=self._set(tenant, name, row, state, now, until=until, reason=reason, case=open_case))

        await self._change(tenant, name, decide)

    async def wrapped_up(self, tenant: str, name: str, outcome: str) -> None:
        """The outcome of the conversation that has ended; then one is ready, or still on the break that one is on.

        Raises Refused with `outcome` without one, with `wrap-up` when nothing is to be wrapped up.
        """
        row = await self.one(tenant, name)
        if row is None or not row["case_id"]:
            raise Refused(("wrap-up",))
        if not outcome.strip():
            raise Refused(("outcome",))
        for _ in range(ATTEMPTS):
            state = await load_case(self._store, tenant, row["case_id"])
            now = self._clock.now()
            told = Outcome()
            if state is not None and state.status != CLOSED:
                draft = Draft(state, now)
                draft.tell(events.OutcomeChosen(at=now, actor=name, outcome=outcome))
                told = draft.outcome()
            ready = self._after_wrap_up(tenant, name, row, now)
            news = look(tenant, f"{name}.{row['version']}", now)
            changed = Outcome(writes=(*told.writes, *ready), emit=(*told.emit, news), timers=told.timers)
            (result,) = await self._store.apply([Effect(outcome=changed)])
            if result.applied:
                return
            row = await self.one(tenant, name)
            if row is None or not row["case_id"]:
                return
        raise Conflict("the roster changed faster than it could be written")

    def _after_wrap_up(self, tenant: str, name: str, row: Row, now: datetime) -> tuple[Write, ...]:
        if row["state"] != offers.BREAK:
            return self._set(tenant, name, row, offers.READY, now)
        until = from_micros(row["until"]) if row["until"] else None
        since = from_micros(row["since"])
        return self._set(tenant, name, row, offers.BREAK, since, until=until, reason=row["reason"], seen=now)

    @asynccontextmanager
    async def connected(self, tenant: str, name: str) -> AsyncIterator[None]:
        """As long as a page of somebody is connected to this process, heartbeats are sent."""
        self._connected[tenant, name] += 1
        await self._beat([(tenant, name)])
        if self._beating is None:
            self._beating = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._connected[tenant, name] -= 1
            if not self._connected[tenant, name]:
                del self._connected[tenant, name]
            if not self._connected and self._beating is not None:
                self._beating.cancel()
                self._beating = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            await self._beat(list(self._connected))

    async def _beat(self, places: Sequence[tuple[str, str]]) -> None:
        now = to_micros(self._clock.now())
        writes = tuple(
            Write(statement=BEAT, params={"b_tenant": tenant, "b_name": name, "b_seen": now}) for tenant, name in places
        )
        try:
            await self._store.apply([Effect(outcome=Outcome(writes=writes))])
        except (TransientError, StorageFull) as error:
            # Two more may follow before anybody counts as away.
            log.warning("a heartbeat of the desk was lost", error=type(error).__name__)

    async def _change(self, tenant: str, name: str, decide: Callable[[Row | None], Outcome]) -> None:
        for _ in range(ATTEMPTS):
            row = await self.one(tenant, name)
            outcome = decide(row)
            version = 0 if row is None else row["version"]
            news = look(tenant, f"{name}.{version}", self._clock.now())
            (result,) = await self._store.apply([Effect(outcome=Outcome(writes=outcome.writes, emit=(news,)))])
            if result.applied:
                return
        raise Conflict("the roster changed faster than it could be written")

    def _set(
        self, tenant: str, name: str, row: Row | None, state: str, now: datetime, *, until: datetime | None = None,
        reason: str = "", case: str = "", seen: datetime | None = None,
    ) -> tuple[Write, ...]:  # fmt: skip
        at, ends = to_micros(now), 0 if until is None else to_micros(until)
        if row is None:
            values = {
                "tenant": tenant, "name": name, "version": 1, "state": state, "reason": reason, "since": at,
                "until": ends, "case_id": case, "seen": at,
            }  # fmt: skip
            return (Write(statement=ADD_ROSTER, params=values, expect=1),)
        place = {"b_tenant": tenant, "b_name": name}
        moved = {
            **place, "b_version": row["version"], "b_state": state, "b_reason": reason, "b_since": at, "b_until": ends,
            "b_case": case,
        }  # fmt: skip
        # Whoever says something is there.
        beat = Write(statement=BEAT, params={**place, "b_seen": at if seen is None else to_micros(seen)})
        return (Write(statement=MOVE_ROSTER, params=moved, expect=1), beat)


def _present(row: Row, staff: Staff, *, gone: bool) -> Present:
    # Whoever works here no more is not here, whatever an open page says.
    state, seen = (offers.AWAY, 0) if gone else (row["state"], row["seen"])
    return Present(
        staff=staff, state=state, since=from_micros(row["since"]), seen=from_micros(seen), reason=row["reason"],
        case=row["case_id"], until=from_micros(row["until"]) if row["until"] and state == offers.BREAK else None,
    )  # fmt: skip
