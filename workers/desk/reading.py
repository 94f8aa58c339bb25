"""What the desk shows: the queue, one case with its timeline, its files. Reads only, each bound to one tenant."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, or_, select

from bus.clock import Clock, from_micros
from bus.log.topics import LIVE_CHANNELS
from bus.message import decode
from bus.store.port import Row, Store
from workers.case.hold import LIMIT
from workers.case.merging import family
from workers.case.model import CLOSED, WAITING_PERSON, CallBack, CaseState, Route
from workers.case.protection import may_end
from workers.case.schema import case_event, cases, person
from workers.case.service import FIRST_ANSWER, RESOLUTION
from workers.case.waiting import place_of
from workers.desk.schema import SELECT_FILES

__all__ = ["CaseView", "QueueRow", "Reading", "UnknownCase"]

QUEUE_LIMIT = 500
"""Rows per view: more than a person can read, few enough to send at each change."""

OTHERS_SHOWN = 20
"""Other cases of a customer beside the open one, the newest: what somebody still remembers."""

PICTURES = frozenset({"application/pdf", "image/tiff", "image/jpeg", "image/png"})
"""What a letter may be and the desk can show as a picture."""


class UnknownCase(LookupError):
    """There is no such case for this tenant."""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody waits on a live channel: last heard from us, to hear from us by `due`, and the reason that is given."""

    heard: datetime
    due: datetime
    reason: str


class QueueRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the queue. `due` is the earliest open promise or service time whose clock runs, and `promised` since
    when that one counts. `place` is the time by which the line stands where it stands (`place_of`)."""

    id: str
    number: str
    version: int
    name: str
    subject: str
    intent: str
    channel: str
    language: str
    status: str
    department: str
    assignee: str
    tone: str
    urgency: int
    live: bool
    created: datetime
    updated: datetime
    due: datetime | None
    place: datetime | None
    promised: datetime | None
    hold: Waiting | None
    waits: datetime | None
    """Since when a person has to answer; None while nobody has to."""
    offered: str
    flags: tuple[str, ...]


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """One case as people see it: `events` is the timeline, each with its `seq`, `at`, `kind`, `actor`."""

    row: QueueRow
    hold: Waiting | None
    with_person: bool
    outcome: str
    satisfaction: int
    """The last score, 1 to 5; 0 when there is none."""
    callback: CallBack | None
    """Whom to call, while somebody is to be called."""
    person: str
    goodwill: Mapping[str, int]
    """Given on top in this case so far: minor units by currency."""
    targets: tuple[Mapping[str, Any], ...]
    """What the company promises everybody: `name` (first-answer, resolution), `until`, `kept`, `missed`, `paused`."""
    may_end: bool
    """Whether somebody is there whose conversation could be ended for abuse."""
    proof: str
    customer: str
    routes: tuple[Mapping[str, str], ...]
    promises: tuple[Mapping[str, Any], ...]
    events: tuple[Mapping[str, Any], ...]
    files: tuple[Mapping[str, Any], ...]
    others: tuple[QueueRow, ...]


_WAITING = (
    select(cases)
    .where(
        cases.c.tenant == bindparam("tenant"),
        cases.c.status != CLOSED,
        or_(cases.c.status == WAITING_PERSON, cases.c.assignee != ""),
    )
    # Cases whose customer has the word are in somebody's hands, have no time, and may be many: they come last.
    .order_by(cases.c.due == 0, cases.c.due, cases.c.created)
    .limit(QUEUE_LIMIT)
)
_SOFTWARE = (
    select(cases)
    .where(
        cases.c.tenant == bindparam("tenant"),
        cases.c.status.not_in((CLOSED, WAITING_PERSON)),
        cases.c.assignee == "",
    )
    .order_by(cases.c.updated.desc())
    .limit(QUEUE_LIMIT)
)
_CLOSED = (
    select(cases)
    .where(cases.c.tenant == bindparam("tenant"), cases.c.status == CLOSED)
    .order_by(cases.c.updated.desc())
    .limit(QUEUE_LIMIT)
)
VIEWS = {"waiting": _WAITING, "software": _SOFTWARE, "closed": _CLOSED}

_ONE = select(cases).where(cases.c.tenant == bindparam("tenant"), cases.c.id == bindparam("id"))
_OF_PEOPLE = select(cases).where(cases.c.tenant == bindparam("tenant"))
_EVENTS = (
    select(case_event)
    .where(case_event.c.tenant == bindparam("tenant"), case_event.c.case_id == bindparam("case_id"))
    .order_by(case_event.c.seq)
)
_RECEIVED = select(case_event.c.case_id, case_event.c.seq, case_event.c.data).where(
    case_event.c.tenant == bindparam("tenant"), case_event.c.kind == "received"
)
_PERSONS = select(person.c.id, person.c.name).where(person.c.tenant == bindparam("tenant"))
_CHANGED = (
    select(cases.c.id, cases.c.updated)
    .where(cases.c.tenant == bindparam("tenant"), cases.c.updated >= bindparam("since"))
    .order_by(cases.c.updated)
    .limit(QUEUE_LIMIT)
)


class Reading:
    """Reads for the desk. Each method takes the tenant of the session and shows nothing of another one."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def queue(self, tenant: str, view: str) -> Sequence[QueueRow]:
        """The rows of a view, those with the least time left first; work without a promise comes after."""
        rows = await self._rows(tenant, await self._store.all(VIEWS[view], {"tenant": tenant}))
        if view != "waiting":
            return rows
        return sorted(rows, key=_time_left)

    async def changed_since(self, tenant: str, moment: int) -> Sequence[tuple[str, int]]:
        """Cases changed at or after a moment (microseconds): id and when."""
        rows = await self._store.all(_CHANGED, {"tenant": tenant, "since": moment})
        return [(row["id"], row["updated"]) for row in rows]

    async def state(self, tenant: str, case: str) -> CaseState:
        """The newest state. Raises UnknownCase, for another tenant's case as well."""
        return decode((await self._case_row(tenant, case))["snapshot"].encode(), CaseState)

    async def events(self, tenant: str, case: str, *, after: int = 0) -> Sequence[Mapping[str, Any]]:
        """The timeline above a number."""
        rows = await self._store.all(_EVENTS, {"tenant": tenant, "case_id": case})
        return [_event(row) for row in rows if row["seq"] > after]

    async def files(self, tenant: str, case: str) -> Sequence[Row]:
        """Originals and attachments of a case."""
        return await self._store.all(SELECT_FILES, {"tenant": tenant, "case_id": case})

    async def case(self, tenant: str, case: str) -> CaseView:
        """Everything about one case. Raises UnknownCase."""
        row = await self._case_row(tenant, case)
        state = decode(row["snapshot"].encode(), CaseState)
        rows = await self._rows(tenant, [row, *await self._others(state)])
        return CaseView(
            row=rows[0],
            hold=_waiting(state),
            with_person=state.with_person,
            outcome=state.outcome,
            satisfaction=state.satisfaction,
            callback=state.callback,
            person=state.person,
            goodwill=state.goodwill,
            targets=tuple(_targets(state)),
            may_end=may_end(state),
            proof=state.proof,
            customer=state.customer,
            routes=tuple(
                {"channel": name, "address": route.address.address, "name": route.address.name}
                for name, route in state.routes.items()
                if name != "link"  # a confirmation page is a way in, never a way to answer
            ),
            promises=tuple(
                {
                    "id": p.id,
                    "what": p.what,
                    "by": p.by,
                    "until": p.until,
                    "made": p.made,
                    "warned": p.warned,
                    "broke": p.broke,
                }
                for p in state.open_promises()
            ),
            events=tuple(await self.events(tenant, case)),
            files=tuple(_file(found) for found in await self.files(tenant, case)),
            others=tuple(rows[1:]),
        )

    async def _others(self, state: CaseState) -> Sequence[Row]:
        """The newest other cases of the same human being, under whatever name he wrote."""
        if not state.person:
            return ()
        people = await family(self._store, state.tenant, state.person)
        found = await self._store.by_keys(_OF_PEOPLE, cases.c.person, people, {"tenant": state.tenant})
        others = (row for row in found if row["id"] != state.id)
        return sorted(others, key=lambda row: row["updated"], reverse=True)[:OTHERS_SHOWN]

    async def _case_row(self, tenant: str, case: str) -> Row:
        row = await self._store.one(_ONE, {"tenant": tenant, "id": case})
        if row is None:
            raise UnknownCase(case)
        return row

    async def _rows(self, tenant: str, found: Sequence[Row]) -> list[QueueRow]:
        """Rows with names and the start of each promise, in a bounded number of statements."""
        if not found:
            return []
        people = sorted({row["person"] for row in found if row["person"]})
        own = {"tenant": tenant}
        named = await self._store.by_keys(_PERSONS, person.c.id, people, own)
        names = {row["id"]: row["name"] for row in named}
        gone = await self._gone(tenant, [row["id"] for row in found if row["channel"] in LIVE_CHANNELS])
        return [_queue_row(row, names.get(row["person"], ""), row["id"] not in gone) for row in found]

    async def _gone(self, tenant: str, ids: Sequence[str]) -> set[str]:
        """Of cases on live channels those whose customer no longer waits: hung up, or asked to be called back."""
        last: dict[str, tuple[int, str]] = {}
        for event in await self._store.by_keys(_RECEIVED, case_event.c.case_id, ids, {"tenant": tenant}):
            if event["seq"] > last.get(event["case_id"], (0, ""))[0]:
                last[event["case_id"]] = event["seq"], msgspec.json.decode(event["data"]).get("request", "")
        return {case for case, (_, request) in last.items() if request in ("ended", "callback", "voicemail")}


def _time_left(row: QueueRow) -> tuple[bool, datetime, datetime]:
    """Whoever waits before a window has less time than any promise leaves; work without a promise comes last."""
    due = row.hold.due if row.hold is not None else row.place
    return due is None, due or row.created, row.created


def _waiting(state: CaseState) -> Waiting | None:
    hold = state.hold
    return None if hold is None else Waiting(heard=hold.heard, due=hold.heard + LIMIT, reason=hold.reason)


def _begun(state: CaseState) -> datetime | None:
    """Since when the time passes that `due` ends: of the promise, or of the service time."""
    for promise in state.open_promises():
        if state.due in (promise.until, promise.broke):
            return promise.made
    targets = (target for target in (state.first_answer, state.resolution) if target is not None)
    return next((target.since for target in targets if target.until == state.due), None)


def _queue_row(row: Row, name: str, there: bool) -> QueueRow:
    state = decode(row["snapshot"].encode(), CaseState)
    route = state.route()
    flags = [state.tone] if state.tone in ("angry", "abusive") else []
    # A notice that found nobody on the line any more is no lost answer.
    answers = [reply for reply in state.replies if reply.kind in ("answer", "question", "notice")]
    if answers and answers[-1].state == "failed":
        flags.append("failed")
    if state.claims:
        flags.append("claims")
    if state.supervisor:
        flags.append("supervisor")
    if state.callback is not None:
        flags.append("callback")
    return QueueRow(
        id=state.id,
        number=state.number,
        version=state.version,
        name=_name(name, route),
        subject=state.subject,
        intent=state.intents[0] if state.intents else "",
        channel=state.channel,
        language=state.language,
        status=state.status,
        department=state.department,
        assignee=state.assignee,
        tone=state.tone,
        urgency=state.urgency,
        live=there and state.channel in LIVE_CHANNELS,
        created=state.created,
        updated=state.updated,
        due=state.due,
        place=place_of(state),
        promised=_begun(state),
        hold=_waiting(state),
        waits=state.waits_since,
        offered=state.offered,
        flags=tuple(flags),
    )


def _targets(state: CaseState) -> Iterator[Mapping[str, Any]]:
    for name, target in ((FIRST_ANSWER, state.first_answer), (RESOLUTION, state.resolution)):
        if target is not None:
            yield {
                "name": name, "since": target.since, "until": target.until, "kept": target.kept_at is not None,
                "missed": target.missed, "paused": target.paused_at is not None,
            }  # fmt: skip


def _name(known: str, route: Route | None) -> str:
    """A name to show: that of the person, what the writer calls himself, or an address that tells people something."""
    if route is None or known or route.address.name:
        return known or (route.address.name if route else "")
    return route.address.address.split("\n", 1)[0] if route.address.kind in ("email", "phone", "postal") else ""


def _event(row: Row) -> Mapping[str, Any]:
    data = msgspec.json.decode(row["data"])
    # The event's own fields first, so that none of them can stand in for the columns of the timeline.
    return {**data, "seq": row["seq"], "at": from_micros(row["at"]), "kind": row["kind"], "actor": row["actor"]}


def _file(row: Row) -> Mapping[str, Any]:
    return {
        "contact": row["contact"],
        "digest": row["digest"],
        "role": row["role"],
        "name": row["name"],
        "media_type": row["media_type"],
        "size": row["size"],
        "picture": row["media_type"] in PICTURES,
    }
