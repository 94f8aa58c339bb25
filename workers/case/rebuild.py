"""The snapshot of a case from its events alone: whatever a row says, the timeline is what happened."""

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec
from sqlalchemy import bindparam, or_, select

from bus.delivery.outcome import Outcome
from bus.message import decode
from bus.store.port import Row, Store
from workers.case.chain import broken_at
from workers.case.changes import restored
from workers.case.events import CaseEvent, decode_event
from workers.case.evolving import evolve
from workers.case.model import CaseState
from workers.case.schema import case_event, cases

__all__ = ["Rebuilt", "case_ids", "differing", "rebuild", "rebuild_cases", "timeline_of"]

_PAGE = 500
"""Cases whose names are read at a time."""

_ids = (
    select(cases.c.id)
    .where(cases.c.tenant == bindparam("tenant"), cases.c.id > bindparam("after"))
    .order_by(cases.c.id)
    .limit(_PAGE)
)
_named = select(cases.c.id).where(
    cases.c.tenant == bindparam("tenant"), or_(cases.c.id == bindparam("name"), cases.c.number == bindparam("name"))
)
_snapshot = select(cases.c.snapshot).where(cases.c.tenant == bindparam("tenant"), cases.c.id == bindparam("id"))
_events = (
    select(case_event.c.seq, case_event.c.data, case_event.c.chain)
    .where(case_event.c.tenant == bindparam("tenant"), case_event.c.case_id == bindparam("case_id"))
    .order_by(case_event.c.seq)
)


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """A case beside its events. `differs` names the fields of the snapshot that its events do not lead to; `missing`
    numbers of events that are not there; `broken` the first entry that was changed after it was written (0: none)."""

    case: str
    number: str
    events: int
    differs: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    broken: int = 0

    @property
    def same(self) -> bool:
        """Whether the snapshot is what happened."""
        return not self.differs and not self.missing and not self.broken


def rebuild(told: Iterable[CaseEvent]) -> CaseState | None:
    """The state that events lead to; None without any. Raises ValueError when the first one opens no case."""
    state: CaseState | None = None
    for event in told:
        state = evolve(state, event)
    return state


def differing(stored: CaseState, found: CaseState | None) -> tuple[str, ...]:
    """The fields in which two states of a case are not equal."""
    if found is None:
        return CaseState.__struct_fields__
    return tuple(
        name for name in CaseState.__struct_fields__ if getattr(stored, name) != getattr(found, name)
    )  # fmt: skip


async def case_ids(store: Store, tenant: str, name: str = "") -> AsyncIterator[str]:
    """Every case of a tenant, or the one of an id or number."""
    if name:
        for row in await store.all(_named, {"tenant": tenant, "name": name}):
            yield row["id"]
        return
    after = ""
    while rows := await store.all(_ids, {"tenant": tenant, "after": after}):
        for row in rows:
            yield row["id"]
        after = rows[-1]["id"]


async def timeline_of(store: Store, tenant: str, case: str) -> Sequence[CaseEvent]:
    """Every event of a case, in order."""
    return [decode_event(row["data"]) for row in await store.all(_events, {"tenant": tenant, "case_id": case})]


async def rebuild_cases(store: Store, tenant: str, name: str = "") -> AsyncIterator[tuple[Rebuilt, Outcome | None]]:
    """Each case beside its events, and what would put its snapshot right: None when it is, or when events are missing.

    A case that changes meanwhile is read again with what is newer; the outcome is guarded by its version.
    """
    async for case in case_ids(store, tenant, name):
        row = await store.one(_snapshot, {"tenant": tenant, "id": case})
        if row is None:
            continue
        stored = decode(row["snapshot"].encode(), CaseState)
        rows = await store.all(_events, {"tenant": tenant, "case_id": case})
        told = [each for each in rows if each["seq"] <= stored.version]
        found = rebuild(decode_event(each["data"]) for each in told) if _whole(told, stored) else None
        missing = tuple(sorted(set(range(1, stored.version + 1)) - {each["seq"] for each in told}))
        differs = () if missing else differing(stored, found)
        broken = broken_at(((each["seq"], each["data"], each["chain"]) for each in told), stored.chain) or 0
        rebuilt = Rebuilt(
            case=case, number=stored.number, events=len(told), differs=differs, missing=missing, broken=broken
        )
        # What was changed afterwards is no ground to build on: somebody has to look.
        yield rebuilt, restored(stored, found) if found is not None and differs and not broken else None


def _whole(told: Sequence[Row], stored: CaseState) -> bool:
    return [row["seq"] for row in told] == list(range(1, stored.version + 1))
