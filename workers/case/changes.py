"""From events to an outcome: snapshot with its guard, timeline rows, the record for pages that watch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace
from sqlalchemy import bindparam, insert, select, update

from bus.clock import to_micros
from bus.delivery.outcome import CancelTimer, Outcome, SetTimer, Write
from bus.log.port import Record
from bus.log.topics import CASE_LOG, CASE_TIMER
from bus.message import Reply, decode, derive_id, encode, envelope
from bus.opening_hours import OpeningHours
from bus.store.conversation import closed_write
from bus.store.port import Store
from bus.store.sql import insert_ignore
from workers.case import events, model, rules, service
from workers.case.events import EVENT_KINDS, CaseEvent, ReplyPlanned
from workers.case.evolving import evolve
from workers.case.hold import next_step
from workers.case.model import CaseState
from workers.case.promises import warn_at
from workers.case.schema import case_event, cases
from workers.case.waiting import look, needs_a_look, place_of
from workers.case.work import CaseTimer

__all__ = ["BOUND", "CaseChanged", "Draft", "changes", "load_case", "load_cases", "reply_id", "restored"]

BOUND = frozenset({"answer", "question", "goodbye", "survey", "callback"})
"""Kinds of replies that answer what was said. Acknowledgement, "one moment, please" and a code stay true whatever the
customer says meanwhile."""

_insert_case = insert_ignore(cases, ["tenant", "id"])
_update_case = (
    update(cases)
    .where(
        cases.c.tenant == bindparam("b_tenant"),
        cases.c.id == bindparam("b_id"),
        cases.c.version == bindparam("b_version"),
    )
    .values({name: bindparam(f"v_{name}") for name in (
        "version", "status", "department", "language", "channel", "person", "assignee", "tone", "subject", "urgency",
        "due", "updated", "callback", "snapshot",
    )})
)  # fmt: skip
_insert_event = insert(case_event)
_snapshot = select(cases.c.snapshot).where(cases.c.tenant == bindparam("tenant"), cases.c.id == bindparam("id"))
_snapshots = select(cases.c.snapshot).where(cases.c.tenant == bindparam("tenant"))


class CaseChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `case.log` carries under the case id: the case's new columns and the events that led there."""

    tenant: str
    case: str
    number: str
    version: int
    status: str
    department: str
    language: str
    channel: str
    person: str
    events: tuple[CaseEvent, ...]


async def load_case(store: Store, tenant: str, case_id: str) -> CaseState | None:
    """The newest state of a case, or None."""
    row = await store.one(_snapshot, {"tenant": tenant, "id": case_id})
    return None if row is None else decode(row["snapshot"].encode(), CaseState)


async def load_cases(store: Store, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], CaseState]:
    """The newest states of many cases at once, from and by tenant and id."""
    wanted: dict[str, set[str]] = {}
    for tenant, case_id in places:
        wanted.setdefault(tenant, set()).add(case_id)
    found: dict[tuple[str, str], CaseState] = {}
    for tenant, ids in wanted.items():
        for row in await store.by_keys(_snapshots, cases.c.id, sorted(ids), {"tenant": tenant}):
            state = decode(row["snapshot"].encode(), CaseState)
            found[tenant, state.id] = state
    return found


def reply_id(state: CaseState, decision: str, channel: str, address: str) -> str:
    """The id of a reply: the same decision gives the same reply, however often it is taken."""
    return derive_id("r", state.tenant, state.id, decision, channel, address)


class Draft:
    """A case while a decision is taken: each command is decided on the state that the ones before it led to.

    `state` is None only until `do(Open(...))`. Collects replies, timers and further writes into one `Outcome`.
    """

    def __init__(self, state: CaseState | None, now: datetime, *, hours: OpeningHours | None = None) -> None:
        """`hours` are those in which people can read a warning; whoever does not know them leaves it to the case's
        worker, which does, to set the time of one."""
        self._before = state
        self._hours = hours
        self._state = state
        self.now = now
        self.events: list[CaseEvent] = []
        self._entries: list[tuple[str, str]] = []
        self.replies: list[Reply] = []
        self.writes: list[Write] = []
        self.timers: list[SetTimer | CancelTimer] = []
        self.emit: list[Record] = []

    @property
    def before(self) -> CaseState | None:
        """The state that the decision began with; None for a case that is opened by it."""
        return self._before

    @property
    def state(self) -> CaseState:
        """The state as decided so far. Raises ValueError before the case is opened."""
        if self._state is None:
            raise ValueError("the case is not opened yet")
        return self._state

    def do(self, command: rules.Command) -> tuple[CaseEvent, ...]:
        """Take a decision. Raises Refused, and then nothing has changed."""
        decided = rules.decide(self._state, command, self.now)
        for event in decided:
            data = encode(event).decode()
            self._state = evolve(self._state, event, data)
            self._entries.append((data, self._state.chain))
        self.events.extend(decided)
        return decided

    def tell(self, event: CaseEvent) -> None:
        """Write down something that needs no rule."""
        self.do(rules.Happened(event=event))

    def reply(self, reply: Reply, *, actor: str = model.MACHINE, elsewhere: str = "") -> None:
        """Plan a reply. `elsewhere` says why it goes to somebody else than the writer.

        Without a person of its own it is for the case's: the ledger looks consent up by the person. What software
        answers is bound to what the customer has said so far, and not sent when there is more by then.
        """
        reply = self._for_the_customer(reply)
        planned = self._planned(reply, actor=actor, elsewhere=elsewhere)
        if self.do(rules.Reply(actor=actor, planned=planned)):
            self.replies.append(reply)

    def come_back(self, reply: Reply) -> None:
        """Come back with `reply` to somebody who waits."""
        reply = self._for_the_customer(reply)
        self.do(rules.ComeBack(planned=self._planned(reply)))
        self.replies.append(reply)

    def _for_the_customer(self, reply: Reply) -> Reply:
        if not reply.person:
            reply = replace(reply, person=self.state.person)
        if reply.automatic and reply.kind in BOUND:
            reply = replace(reply, heard=self.state.heard)
        return reply

    def _planned(self, reply: Reply, *, actor: str = model.MACHINE, elsewhere: str = "") -> ReplyPlanned:
        return ReplyPlanned(
            at=self.now,
            actor=actor,
            reply=reply.id,
            channel=reply.channel,
            reply_kind=reply.kind,
            # What goes to another address (a code) is not for the eyes of whoever reads the timeline.
            text="" if elsewhere else reply.text,
            language=reply.language,
            to_person=elsewhere,
        )

    def outcome(self) -> Outcome:
        """Everything decided, as one outcome."""
        case_writes, case_records = changes(self._before, self._state, self.events, self._entries, self.now)
        return Outcome(
            writes=(*case_writes, *self._ended(), *self.writes),
            emit=(*case_records, *self._look(), *self.emit),
            replies=tuple(self.replies),
            timers=(*self._reminders(), *self._hold(), *self._service(), *self._survey(), *self.timers),
        )

    def _look(self) -> Sequence[Record]:
        """Whoever gives work out to people looks again when this case has more or less of it."""
        if self._state is None or not needs_a_look(self._before, self._state):
            return ()
        return (look(self._state.tenant, f"{self._state.id}.{self._state.version}", self.now),)

    def _ended(self) -> Sequence[Write]:
        """What the ledger has to know of the case's end, or of its new beginning."""
        before = self._before is not None and self._before.status == model.CLOSED
        after = self._state is not None and self._state.status == model.CLOSED
        if self._state is None or before == after:
            return ()
        return (closed_write(self._state.tenant, self._state.id, closed=after),)

    def _hold(self) -> Sequence[SetTimer | CancelTimer]:
        """Whoever waits on a live channel has a timer for the next step, and only then."""
        before = None if self._before is None else self._before.hold
        state = self._state
        if state is None or state.hold == before:
            return ()
        if state.hold is None:
            return (CancelTimer(id=derive_id("t", state.tenant, state.id, "hold")),)
        return (self.timer("hold", next_step(state.hold)[1], state.hold.heard.isoformat()),)

    def _service(self) -> Sequence[SetTimer | CancelTimer]:
        """One timer for the service promise that would be missed next."""
        before = None if self._before is None else service.next_due(self._before)
        after = None if self._state is None else service.next_due(self._state)
        if self._state is None or after == before:
            return ()
        if after is None:
            return (CancelTimer(id=derive_id("t", self._state.tenant, self._state.id, "service")),)
        return (self.timer("service", after),)

    def _survey(self) -> Sequence[SetTimer]:
        """Whose case a person has closed is asked by the case's worker, which knows the words."""
        closed = any(isinstance(event, events.Closed) and event.actor != model.MACHINE for event in self.events)
        return (self.timer("survey", self.now),) if closed and self.state.survey_asked is None else ()

    def _reminders(self) -> Sequence[SetTimer]:
        """Every promise that was made has its time, and one before it: people are warned, then told that it came.

        What is under way needs nobody before its time.
        """
        made = {event.promise.id for event in self.events if isinstance(event, events.PromiseMade)}
        timers: list[SetTimer] = []
        for promise in self.state.promises if made else ():
            if promise.id not in made or promise.kept_at is not None:
                continue
            timers.append(self.timer("promise", promise.until, promise.id, promise.id))
            if not promise.action:
                near = self.now if self._hours is None else warn_at(self.now, promise.until, self._hours)
                timers.append(self.timer("promise-warning", near, promise.id, promise.id))
        return timers

    def timer(self, kind: str, due: datetime, detail: str = "", *about: str) -> SetTimer:
        """A timer of this case; of one kind `about` the same thing there is one, and a new one moves it."""
        state = self.state
        return SetTimer(
            id=derive_id("t", state.tenant, state.id, kind, *about),
            due=due,
            topic=CASE_TIMER,
            key=state.id,
            kind="timer",
            value=encode(CaseTimer(tenant=state.tenant, case=state.id, kind=kind, detail=detail)),
            tenant=state.tenant,
        )


def changes(
    before: CaseState | None,
    after: CaseState | None,
    told: Sequence[CaseEvent],
    entries: Sequence[tuple[str, str]],
    now: datetime,
) -> tuple[Sequence[Write], Sequence[Record]]:
    """The guarded snapshot, the timeline rows and the `case.log` record of a change. Nothing without events.

    `entries` are the events as they are stored, each with the chain's digest after it.
    """
    if after is None or not told:
        return (), ()
    writes = [_snapshot_write(before, after)]
    first = 1 if before is None else before.version + 1
    for seq, (event, (data, chain)) in enumerate(zip(told, entries, strict=True), start=first):
        writes.append(
            Write(
                statement=_insert_event,
                params={
                    "tenant": after.tenant,
                    "case_id": after.id,
                    "seq": seq,
                    "at": to_micros(event.at),
                    "kind": EVENT_KINDS[type(event)],
                    "actor": event.actor,
                    "data": data,
                    "chain": chain,
                },
            )
        )
    changed = CaseChanged(
        tenant=after.tenant, case=after.id, number=after.number, version=after.version, status=after.status,
        department=after.department, language=after.language, channel=after.channel, person=after.person,
        events=tuple(told),
    )  # fmt: skip
    record_id = f"{after.id}.{after.version}"
    record = Record(
        topic=CASE_LOG,
        key=after.id,
        value=encode(changed),
        id=record_id,
        headers=envelope(
            record_id=record_id, kind="case-event", source="workers", tenant=after.tenant, at=now, subject=after.id
        ),
    )
    return writes, (record,)


def restored(stored: CaseState, found: CaseState) -> Outcome:
    """Put a snapshot right that is not what its events lead to (`workers.case.rebuild`). Nothing new has happened."""
    return Outcome(writes=(_snapshot_write(stored, found),))


def _columns(state: CaseState) -> Mapping[str, object]:
    return {
        "version": state.version,
        "status": state.status,
        "department": state.department,
        "language": state.language,
        "channel": state.channel,
        "person": state.person,
        "assignee": state.assignee,
        "tone": state.tone,
        "subject": state.subject,
        "urgency": state.urgency,
        "due": 0 if (place := place_of(state)) is None else to_micros(place),
        "updated": to_micros(state.updated),
        "callback": int(state.callback is not None),
        "snapshot": encode(state).decode(),
    }


def _snapshot_write(before: CaseState | None, after: CaseState) -> Write:
    columns = _columns(after)
    if before is None:
        own = {"tenant": after.tenant, "id": after.id, "number": after.number, "created": to_micros(after.created)}
        return Write(statement=_insert_case, params={**own, **columns}, expect=1)
    guard = {"b_tenant": after.tenant, "b_id": after.id, "b_version": before.version}
    return Write(
        statement=_update_case, params={**guard, **{f"v_{name}": value for name, value in columns.items()}}, expect=1
    )
