"""What would have been different: the rules of today, asked again about what was recorded. Nothing is sent or written.

The timeline holds what a rule was asked and what it answered, one after the other: a contact came in (and a hold
began), it was understood (and a supervisor was called), a reply failed (and a person got the case), a case was closed.
Each such decision is taken again, on the state that the case had at that moment by its own events, and compared with
what was recorded. What no rule decides (what a customer wrote, what a person chose) is taken as it was: the comparison
says how a rule would have judged last week, not how last week would have gone on from there.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import bindparam, select

from bus.clock import to_micros
from bus.store.port import Store
from workers.case import events, hold, rules
from workers.case.events import EVENT_KINDS, CaseEvent
from workers.case.evolving import evolve
from workers.case.model import PERSON_PROMISE, CaseState
from workers.case.rebuild import timeline_of
from workers.case.rules import Command, Refused, decide
from workers.case.schema import case_event

__all__ = ["Compared", "Difference", "compare", "compare_cases"]

LATE = timedelta(seconds=5)
"""A step of a hold that came later than its time by no more than this came in time: timers are exact to a second, and
the case's lane may be busy for a few."""

JOINED = "joined"
"""Outcome of a case that was closed because what was written in it went to another one: no rule of closing is asked."""

SATISFACTION = "satisfaction"
"""Reason of a hand-over after a low score: whoever has said goodbye does not wait on the line, so no rule of handing
over is asked."""

_ASKED = (
    events.Received, events.Understood, events.ReplyPlanned, events.ReplyProgress, events.HandedOver, events.Closed,
    events.HoldWarned,
)  # fmt: skip
"""Events that record what a rule was asked."""

_BEFORE: dict[type, tuple[type, ...]] = {
    events.Received: (events.Reopened,),
    events.ReplyPlanned: (events.Reopened,),
    events.ReplyProgress: (events.Reopened,),
    events.HandedOver: (events.Reopened,),
    events.Closed: (events.OutcomeChosen, events.HoldEnded),
}
"""What a rule answers before the event that records what it was asked."""

_AFTER: dict[type, tuple[type, ...]] = {
    events.Received: (events.HoldStarted, events.HoldEnded),
    events.Understood: (events.SupervisorCalled,),
    events.ReplyPlanned: (events.PromiseKept, events.HoldReturned, events.SupervisorCalled, events.HoldEnded),
    events.ReplyProgress: (events.HandedOver, events.PromiseMade),
    events.HandedOver: (events.PromiseMade, events.HoldStarted),
}
"""What a rule answers after it."""

_places = (
    select(case_event.c.case_id)
    .where(
        case_event.c.tenant == bindparam("tenant"),
        case_event.c.kind.in_([EVENT_KINDS[kind] for kind in _ASKED]),
        case_event.c.at >= bindparam("since"),
        case_event.c.at < bindparam("until"),
    )
    .distinct()
    .order_by(case_event.c.case_id)
)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that would be another one today. `then` and `now` are what only the one or the other answers: kinds
    of events, each with its reason if it has one; `refused: ...` names what is missing by the rule of today."""

    case: str
    number: str
    seq: int
    at: datetime
    kind: str
    then: tuple[str, ...]
    now: tuple[str, ...]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A case: how many of its decisions were taken again, and which of them differ."""

    case: str
    decisions: int
    differences: tuple[Difference, ...]


async def compare_cases(
    store: Store, tenant: str, *, since: datetime, until: datetime, supervisor_at: str
) -> AsyncIterator[Compared]:
    """Every case in which a rule was asked from `since` until before `until`."""
    span = {"tenant": tenant, "since": to_micros(since), "until": to_micros(until)}
    for row in await store.all(_places, span):
        told = await timeline_of(store, tenant, row["case_id"])
        yield compare(row["case_id"], told, since=since, until=until, supervisor_at=supervisor_at)


def compare(case: str, told: Sequence[CaseEvent], *, since: datetime, until: datetime, supervisor_at: str) -> Compared:
    """The decisions of one case. `supervisor_at` is the setting of today (`service.supervisor_at`)."""
    states = _states(told)
    decisions, differences, done = 0, list[Difference](), 0
    for place, event in enumerate(told):
        if place < done or type(event) not in _ASKED or not since <= event.at < until:
            continue
        start = _start(told, place)
        state = states[start]
        if state is None:
            continue
        answer = _again(told, place, state, supervisor_at)
        if answer is None:
            continue
        end = _end(told, place, answer)
        decisions += 1
        done = end
        recorded = [] if isinstance(event, events.HoldWarned) else told[start:end]
        then = tuple(_said(each) for each in recorded if each not in answer)
        now = tuple(each if isinstance(each, str) else _said(each) for each in answer if each not in recorded)
        if then or now:
            differences.append(
                Difference(
                    case=case, number=state.number, seq=place + 1, at=event.at, kind=EVENT_KINDS[type(event)],
                    then=then, now=now,
                )
            )  # fmt: skip
    return Compared(case=case, decisions=decisions, differences=tuple(differences))


def _states(told: Sequence[CaseEvent]) -> list[CaseState | None]:
    """The state before each event."""
    states: list[CaseState | None] = []
    state: CaseState | None = None
    for event in told:
        states.append(state)
        state = evolve(state, event)
    return states


def _start(told: Sequence[CaseEvent], place: int) -> int:
    event = told[place]
    start = place
    while start and type(told[start - 1]) in _BEFORE.get(type(event), ()) and told[start - 1].at == event.at:
        start -= 1
    return start


def _end(told: Sequence[CaseEvent], place: int, answer: Sequence[CaseEvent | str]) -> int:
    event = told[place]
    kinds = {*_AFTER.get(type(event), ()), *(type(each) for each in answer if not isinstance(each, str))}
    end = place + 1
    while end < len(told) and told[end].at == event.at and type(told[end]) in kinds - {type(event)}:
        end += 1
    return end


def _again(
    told: Sequence[CaseEvent], place: int, state: CaseState, supervisor_at: str
) -> Sequence[CaseEvent | str] | None:
    """What the rules of today answer; None where the event records no question to a rule."""
    event = told[place]
    if isinstance(event, events.HoldWarned):
        return _warned(state, event)
    command = _command(told, place, state, supervisor_at)
    if command is None:
        return None
    try:
        return decide(state, command, event.at)
    except Refused as refused:
        return (f"refused: {', '.join(refused.missing)}",)


def _command(told: Sequence[CaseEvent], place: int, state: CaseState, supervisor_at: str) -> Command | None:
    event = told[place]
    following = told[place + 1] if place + 1 < len(told) and told[place + 1].at == event.at else None
    match event:
        case events.Received():
            return rules.Receive(received=event)
        case events.Understood():
            return rules.Understand(understood=event, supervisor_at=supervisor_at)
        case events.ReplyPlanned():
            if isinstance(following, events.HoldReturned):
                return rules.ComeBack(planned=event)
            return rules.Reply(actor=event.actor, planned=event)
        case events.ReplyProgress() if event.state != "withdrawn":
            answered = (each for each in told[place + 1 : place + 3] if each.at == event.at)
            until = (each.promise.until for each in answered if isinstance(each, events.PromiseMade))
            return rules.Track(progress=event, until=next(until, event.at))
        case events.HandedOver() if isinstance(following, events.PromiseMade) and event.reason != SATISFACTION:
            promise = following.promise
            if promise.id != PERSON_PROMISE:
                return None
            return rules.HandOver(actor=event.actor, reason=event.reason, until=promise.until, what=promise.what)
        case events.Closed():
            before = told[_start(told, place) : place]
            chosen = next((each.outcome for each in before if isinstance(each, events.OutcomeChosen)), "")
            if JOINED in (chosen, state.outcome):
                return None
            return rules.Close(actor=event.actor, outcome=chosen)
        case _:
            return None


def _warned(state: CaseState, event: events.HoldWarned) -> Sequence[str]:
    """Whether the reminder that somebody waits would come at another time."""
    if state.hold is None:
        return ("nobody waits",)
    step, due = hold.next_step(state.hold)
    if step == "warn" and due <= event.at <= due + LATE:
        return ()
    return (f"{step} after {(due - state.hold.heard).total_seconds():.0f} s",)


def _said(event: CaseEvent) -> str:
    kind = EVENT_KINDS[type(event)]
    detail = next((str(getattr(event, name)) for name in _DETAILS if getattr(event, name, "")), "")
    return f"{kind} ({detail})" if detail else kind


_DETAILS = ("reason", "how", "outcome")
"""Fields that say why, in words of the product. What customers and people wrote is not repeated here."""
