"""What hangs on the wall for everybody to see: numbers of this moment and of today, and nothing about a customer.

Whoever passes reads it, so it names no person, no case and no customer.
"""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import bindparam, select

from bus.clock import Clock, to_micros
from bus.message import decode
from bus.store.port import Store
from workers.case.model import WAITING_PERSON, CaseState
from workers.case.schema import case_event, cases
from workers.desk.offers import ABSENT_AFTER, READY
from workers.desk.report_reading import day_start, measured
from workers.desk.reports import Measure
from workers.desk.roster import Roster

__all__ = ["FRESH_S", "Today", "Waiting", "Wall", "WallReading", "today_of"]

FRESH_S = 3.0
"""How old numbers may be: a hundred screens ask for the same, and one answer does for all of them."""

_COUNTED = ("promise-kept", "promise-broken", "rated", "praise-given")
"""Today's events that are counted; only the few cases that have one are looked at."""

_NEEDED = (*_COUNTED, "promise-made", "conversation-ended", "reopened")

_WAITING = select(cases.c.snapshot).where(cases.c.tenant == bindparam("tenant"), cases.c.status == WAITING_PERSON)
_TOUCHED = (
    select(case_event.c.case_id)
    .where(
        case_event.c.tenant == bindparam("tenant"),
        case_event.c.kind.in_(_COUNTED),
        case_event.c.at >= bindparam("since"),
    )
    .distinct()
)
_LINES = select(case_event.c.case_id, case_event.c.seq, case_event.c.data).where(
    case_event.c.tenant == bindparam("tenant"), case_event.c.kind.in_(_NEEDED)
)


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """How many wait for a person on a channel, and since when the first of them does."""

    channel: str
    count: int
    since: datetime


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """Since midnight of the company's zone."""

    promises: int
    promises_kept: int
    satisfaction_answers: int
    satisfaction_mean: float | None
    praise: int


class Wall(msgspec.Struct, frozen=True, kw_only=True):
    """All numbers, and of which moment they are. `held` wait on a live channel; `held_since` is the longest."""

    at: datetime
    waiting: tuple[Waiting, ...]
    held: int
    held_since: datetime | None
    ready: int
    today: Today


class WallReading:
    """Reads the numbers of a tenant, at most once in `FRESH_S`."""

    def __init__(self, *, store: Store, clock: Clock, zone: ZoneInfo) -> None:
        self._store, self._clock, self._zone = store, clock, zone
        self._roster = Roster(store=store, clock=clock)
        self._known: dict[str, tuple[float, Wall]] = {}

    async def wall(self, tenant: str) -> Wall:
        """The numbers of now."""
        read, known = self._known.get(tenant, (0.0, None))
        moment = self._clock.monotonic()
        if known is not None and moment - read < FRESH_S:
            return known
        now = self._clock.now()
        rows = await self._store.all(_WAITING, {"tenant": tenant})
        states = [decode(row["snapshot"].encode(), CaseState) for row in rows]
        held = [state.hold.since for state in states if state.hold is not None]
        wall = Wall(
            at=now,
            waiting=_waiting(states),
            held=len(held),
            held_since=min(held, default=None),
            ready=await self._ready(tenant, now),
            today=await self._today(tenant, now),
        )
        self._known[tenant] = moment, wall
        return wall

    async def _ready(self, tenant: str, now: datetime) -> int:
        _, people = await self._roster.present(tenant)
        return sum(person.state == READY and now < person.seen + ABSENT_AFTER for person in people)

    async def _today(self, tenant: str, now: datetime) -> Today:
        since = day_start(now.astimezone(self._zone).date(), self._zone)
        touched = await self._store.all(_TOUCHED, {"tenant": tenant, "since": to_micros(since)})
        rows = await self._store.by_keys(
            _LINES, case_event.c.case_id, [row["case_id"] for row in touched], {"tenant": tenant}
        )
        return today_of([m for m in measured(rows) if m.at >= since])


def today_of(found: Sequence[Measure]) -> Today:
    """Add up the measures of a day."""
    kept = [m.value for m in found if m.kind == "promise"]
    scores = [m.value for m in found if m.kind == "satisfaction"]
    return Today(
        promises=len(kept),
        promises_kept=sum(kept),
        satisfaction_answers=len(scores),
        satisfaction_mean=round(sum(scores) / len(scores), 1) if scores else None,
        praise=sum(m.kind == "praise" for m in found),
    )


def _waiting(states: Sequence[CaseState]) -> tuple[Waiting, ...]:
    by_channel: dict[str, list[datetime]] = {}
    for state in states:
        by_channel.setdefault(state.channel, []).append(state.waits_since or state.updated)
    return tuple(
        Waiting(channel=channel, count=len(since), since=min(since)) for channel, since in sorted(by_channel.items())
    )
