"""What a case decides (`decide`) and what follows from it (`evolve`). Pure: no clock, no store, no channel."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from bus.message.reply import STATE_RANK
from workers.case import hold, model, temper
from workers.case.closing import SAYS_NOTHING_NEW, what_is_missing
from workers.case.model import PERSON_PROMISE, CaseEvent, CaseState, Promise, Question, ReplyNote

__all__ = [
    "PERSON_PROMISE",
    "Close",
    "ComeBack",
    "Command",
    "HandOver",
    "Happened",
    "Hold",
    "Open",
    "Receive",
    "Refused",
    "Reply",
    "Track",
    "Understand",
    "decide",
    "evolve",
]

KEPT_REPLIES = 20
KEPT_CONTACTS = 20
KEPT_PROMISES = 20
"""Bounds of what a snapshot repeats of the timeline; the timeline itself forgets nothing."""


class Refused(Exception):
    """The case does not allow this now. `missing` names each reason by the key of its phrase."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(", ".join(missing))
        self.missing = missing


class _Command(msgspec.Struct, frozen=True, kw_only=True):
    actor: str = model.MACHINE


class Open(_Command, frozen=True, kw_only=True):
    """Begin a case with a contact."""

    id: str
    tenant: str
    number: str
    person: str
    channel: str
    language: str = ""
    link: str = "new"
    claims: str = ""


class Receive(_Command, frozen=True, kw_only=True):
    """A contact of the customer came in. Once per contact; a closed case opens again."""

    received: model.Received


class Understand(_Command, frozen=True, kw_only=True):
    """What triage made of a contact. From the tone `supervisor_at` on, or when it rises again, a supervisor is told."""

    understood: model.Understood
    supervisor_at: str


class Reply(_Command, frozen=True, kw_only=True):
    """A reply was decided. A person's reply keeps the promise that a person answers."""

    planned: model.ReplyPlanned


class Track(_Command, frozen=True, kw_only=True):
    """News of a reply. Lower ranks are no news; a final failure hands the case to people."""

    progress: model.ReplyProgress


class HandOver(_Command, frozen=True, kw_only=True):
    """People take it from here, by `until`."""

    reason: str
    until: datetime
    what: str = "answer"


class Hold(_Command, frozen=True, kw_only=True):
    """A person asks the customer for a moment, with the reason. Raises Refused with `reason`, or `channel` when nobody
    waits on one."""

    reason: str


class ComeBack(_Command, frozen=True, kw_only=True):
    """We come back to somebody who waits, with apology and reason, because no person did."""

    planned: model.ReplyPlanned


class Close(_Command, frozen=True, kw_only=True):
    """End the case with an outcome (or the one already chosen). Raises Refused with everything that is missing."""

    outcome: str = ""


class Happened(_Command, frozen=True, kw_only=True):
    """Something that needs no rule but to be written down."""

    event: CaseEvent


Command = Open | Receive | Understand | Reply | Track | HandOver | Hold | ComeBack | Close | Happened


def decide(state: CaseState | None, command: Command, now: datetime) -> tuple[CaseEvent, ...]:
    """The events that follow from a command. Raises Refused when the case does not allow it."""
    if isinstance(command, Open):
        if state is not None:
            return ()
        fields = {name: getattr(command, name) for name in command.__struct_fields__}
        return (model.Opened(at=now, **fields),)
    if state is None:
        raise Refused(("case",))
    if isinstance(command, Happened):
        return (command.event,)
    match command:
        case Receive():
            return _receive(state, command.received, now)
        case Understand():
            return _understand(state, command, now)
        case Reply():
            return _reply(state, command.planned, now)
        case Track():
            return _track(state, command.progress, now)
        case HandOver():
            return _hand_over(state, command, now)
        case Hold():
            return _hold(state, command, now)
        case ComeBack():
            return (command.planned, *hold.come_back(state, command.planned.reply, now))
        case Close():
            return _close(state, command, now)


def _receive(state: CaseState, received: model.Received, now: datetime) -> tuple[CaseEvent, ...]:
    if received.contact in state.contacts:
        return ()
    if state.status == model.CLOSED and not received.automatic:
        return (model.Reopened(at=now, actor=received.actor), received)
    if received.request == "ended":
        return (received, *hold.end(state, "left", now))
    if state.with_person and not received.automatic:
        # Whoever writes to a person waits for that person's next words.
        return (received, *hold.begin(state, received.route.channel, now))
    return (received,)


def _understand(state: CaseState, command: Understand, now: datetime) -> tuple[CaseEvent, ...]:
    reason = temper.supervisor_for(state, command.understood.tone, command.supervisor_at)
    called = (model.SupervisorCalled(at=now, reason=reason),) if reason else ()
    return (command.understood, *called)


def _reply(state: CaseState, planned: model.ReplyPlanned, now: datetime) -> tuple[CaseEvent, ...]:
    if any(note.id == planned.reply for note in state.replies):
        return ()
    if planned.actor == model.MACHINE:
        return (planned,)
    kept = tuple(
        model.PromiseKept(at=now, actor=planned.actor, id=promise.id)
        for promise in state.open_promises()
        if promise.id == PERSON_PROMISE
    )
    return (planned, *kept, *hold.end(state, "answered", now, actor=planned.actor))


def _track(state: CaseState, progress: model.ReplyProgress, now: datetime) -> tuple[CaseEvent, ...]:
    note = next((note for note in state.replies if note.id == progress.reply), None)
    if note is None or STATE_RANK.get(progress.state, 0) <= STATE_RANK.get(note.state, -1):
        return ()
    lost = progress.state == "failed" and progress.permanent
    if not lost or note.kind in ("goodbye", "hold", "acknowledgement", "survey"):
        return (progress,)
    if state.status == model.CLOSED and progress.reason == "closed":
        # It was not sent because the case had come to its end without it.
        return (progress,)
    made = _promise_person(state, "answer", now + UNDELIVERED_PERSON, model.MACHINE, now)
    if state.with_person:
        # Whoever answered by hand has kept the promise with words that nobody heard.
        unheard = note.kind not in SAYS_NOTHING_NEW and not state.awaits_person()
        return (progress, made) if unheard else (progress,)
    return (progress, model.HandedOver(at=now, reason="reply-failed"), made)


UNDELIVERED_PERSON = timedelta(hours=4)
"""A customer whose answer could not be delivered waits without knowing it: half a working day."""


def _hand_over(state: CaseState, command: HandOver, now: datetime) -> tuple[CaseEvent, ...]:
    open_one = next((p for p in state.open_promises() if p.id == PERSON_PROMISE), None)
    # A second hand-over never makes the customer wait longer than the first one promised.
    made = (
        ()
        if open_one is not None and open_one.until <= command.until
        else (_promise_person(state, command.what, command.until, command.actor, now),)
    )
    waits = hold.begin(state, state.channel, now)
    if state.with_person:
        return (*made, *waits)
    return (model.HandedOver(at=now, actor=command.actor, reason=command.reason), *made, *waits)


def _promise_person(state: CaseState, what: str, until: datetime, actor: str, now: datetime) -> model.PromiseMade:
    """The promise that a person answers: of the one who has the case, or of all at the desk."""
    promise = Promise(id=PERSON_PROMISE, what=what, by=state.assignee or actor, until=until)
    return model.PromiseMade(at=now, actor=actor, promise=promise)


def _hold(state: CaseState, command: Hold, now: datetime) -> tuple[CaseEvent, ...]:
    if command.reason not in hold.REASONS:
        raise Refused(("reason",))
    events = hold.begin(state, state.channel, now, actor=command.actor, reason=command.reason)
    if not events:
        raise Refused(("channel",))
    return events


def _close(state: CaseState, command: Close, now: datetime) -> tuple[CaseEvent, ...]:
    if state.status == model.CLOSED:
        return ()
    chosen = replace(state, outcome=command.outcome or state.outcome)
    missing = what_is_missing(chosen, now, by_person=command.actor != model.MACHINE)
    if missing:
        raise Refused(missing)
    closed = (*hold.end(state, "closed", now, actor=command.actor), model.Closed(at=now, actor=command.actor))
    if chosen.outcome == state.outcome:
        return closed
    return (model.OutcomeChosen(at=now, actor=command.actor, outcome=chosen.outcome), *closed)


def evolve(state: CaseState | None, event: CaseEvent) -> CaseState:
    """The state after an event. Raises ValueError for an event of a case that was never opened."""
    if isinstance(event, model.Opened):
        return CaseState(
            id=event.id, tenant=event.tenant, number=event.number, version=1, person=event.person,
            channel=event.channel, language=event.language, link=event.link, claims=event.claims,
            created=event.at, updated=event.at,
        )  # fmt: skip
    if state is None:
        raise ValueError("the first event of a case opens it")
    change = _EVOLVE.get(type(event))
    changed: dict[str, Any] = change(state, event) if change is not None else {}
    return replace(state, version=state.version + 1, updated=event.at, **changed)


def _waiting(state: CaseState, otherwise: str) -> str:
    return model.WAITING_PERSON if state.with_person else otherwise


def _received(state: CaseState, event: model.Received) -> dict[str, Any]:
    changed: dict[str, Any] = {"contacts": (*state.contacts, event.contact)[-KEPT_CONTACTS:]}
    if event.automatic:
        return changed
    changed["heard"] = state.heard + 1
    route = event.route
    if route.channel == "link":
        # The confirmation page is a way in and never a way to answer.
        return changed | {"status": _waiting(state, model.OPEN)}
    return changed | {
        "routes": {**state.routes, route.channel: route},
        "channel": route.channel,
        "status": _waiting(state, model.OPEN),
        "subject": state.subject or event.subject,
    }


def _understood(state: CaseState, event: model.Understood) -> dict[str, Any]:
    intents = tuple(dict.fromkeys((*state.intents, *event.intents[:1])))
    return {
        "intents": intents,
        "language": event.language or state.language,
        "tone": event.tone,
        "rises": temper.rises(state, event.tone),
        "urgency": max(state.urgency, event.urgency),
        "department": state.department or event.department,
    }


def _replied(state: CaseState, event: model.ReplyPlanned) -> dict[str, Any]:
    note = ReplyNote(id=event.reply, channel=event.channel, kind=event.reply_kind)
    changed: dict[str, Any] = {
        "replies": (*state.replies, note)[-KEPT_REPLIES:],
        "acknowledged": state.acknowledged or event.reply_kind == "acknowledgement",
        "disclosed": state.disclosed or (event.actor == model.MACHINE and not event.to_person),
    }
    if event.actor != model.MACHINE:
        changed |= {"status": model.WAITING_CUSTOMER, "supervisor": ""}
    if state.hold is not None and state.hold.channel == event.channel:
        changed["hold"] = replace(state.hold, heard=event.at, warned=False)
    return changed


def _hold_started(state: CaseState, event: model.HoldStarted) -> dict[str, Any]:
    if state.hold is not None:
        return {"hold": replace(state.hold, reason=event.reason, by=event.actor)}
    begun = model.Hold(channel=event.channel, reason=event.reason, by=event.actor, since=event.at, heard=event.at)
    return {"hold": begun}


def _hold_returned(state: CaseState, event: model.HoldReturned) -> dict[str, Any]:
    if state.hold is None:
        return {}
    return {"hold": replace(state.hold, returns=state.hold.returns + 1, reply=event.reply)}


def _assigned(state: CaseState, event: model.Assigned) -> dict[str, Any]:
    changed: dict[str, Any] = {"assignee": event.to}
    if event.to and state.hold is not None and state.hold.reason == "busy":
        changed["hold"] = replace(state.hold, reason="looking")
    return changed


def _progress(state: CaseState, event: model.ReplyProgress) -> dict[str, Any]:
    return {
        "replies": tuple(replace(note, state=event.state) if note.id == event.reply else note for note in state.replies)
    }


def _asked(state: CaseState, event: model.QuestionAsked) -> dict[str, Any]:
    return {"pending": event.question, "status": _waiting(state, model.WAITING_CUSTOMER)}


def _moved(state: CaseState, event: model.ProcedureMoved) -> dict[str, Any]:
    return {"procedure": event.procedure, "department": event.department}


def _acted(state: CaseState, event: model.Acted) -> dict[str, Any]:
    return {"done": (*state.done, f"{event.action}:{event.reference}")}


def _proven(state: CaseState, event: model.ProofGiven) -> dict[str, Any]:
    return {
        "proof": "confirmed",
        "customer": event.customer,
        "person": event.person or state.person,
        "proven": tuple(dict.fromkeys((*state.proven, event.identity))),
        "challenge": "",
    }


def _promised(state: CaseState, promises: tuple[Promise, ...]) -> dict[str, Any]:
    open_ones = [promise for promise in promises if promise.kept_at is None]
    kept = [promise for promise in promises if promise.kept_at is not None][-KEPT_PROMISES:]
    return {
        "promises": (*kept, *open_ones),
        "due": min((promise.until for promise in open_ones), default=None),
    }


def _promise_made(state: CaseState, event: model.PromiseMade) -> dict[str, Any]:
    # The same promise made again replaces the older one.
    others = tuple(p for p in state.promises if p.id != event.promise.id or p.kept_at is not None)
    return _promised(state, (*others, event.promise))


def _promise_kept(state: CaseState, event: model.PromiseKept) -> dict[str, Any]:
    return _promised(
        state,
        tuple(replace(p, kept_at=event.at) if p.id == event.id and p.kept_at is None else p for p in state.promises),
    )


def _anything_else(state: CaseState, event: model.AnythingElseAsked) -> dict[str, Any]:
    return {
        "anything_else_asked": event.at,
        "anything_else_answered": None,
        "anything_else_channel": event.channel,
        "pending": Question(kind="anything-else", asked_at=event.at),
        "status": _waiting(state, model.CLOSING) if event.actor == model.MACHINE else model.CLOSING,
    }


def _anything_else_answered(state: CaseState, event: model.AnythingElseAnswered) -> dict[str, Any]:
    pending = state.pending
    settled = pending is not None and pending.kind == "anything-else"
    changed: dict[str, Any] = {"pending": None if settled else pending}
    if event.answer == "yes":
        return changed | {"anything_else_asked": None, "status": _waiting(state, model.OPEN)}
    return changed | {"anything_else_answered": event.at, "status": _waiting(state, model.CLOSING)}


def _reopened(state: CaseState, _event: model.Reopened) -> dict[str, Any]:
    return {
        "status": model.OPEN, "outcome": "", "anything_else_asked": None, "anything_else_answered": None,
        "with_person": False, "pending": None, "procedure": None, "hold": None, "supervisor": "",
    }  # fmt: skip


_EVOLVE: dict[type, Callable[[CaseState, Any], dict[str, Any]]] = {
    model.Received: _received,
    model.Understood: _understood,
    model.Reopened: _reopened,
    model.ReplyPlanned: _replied,
    model.ReplyProgress: _progress,
    model.QuestionAsked: _asked,
    model.QuestionSettled: lambda state, event: {"pending": None},
    model.ProcedureMoved: _moved,
    model.ProcedureEnded: lambda state, event: {"procedure": None},
    model.Acted: _acted,
    model.ProofAsked: lambda state, event: {"challenge": event.challenge},
    model.ProofGiven: _proven,
    model.PromiseMade: _promise_made,
    model.PromiseKept: _promise_kept,
    model.HandedOver: lambda state, event: {
        "with_person": True, "status": model.WAITING_PERSON, "department": state.department or event.department,
    },
    model.Returned: lambda state, event: {"with_person": False, "assignee": "", "status": model.OPEN},
    model.Warned: lambda state, event: {"warned": True},
    model.Assigned: _assigned,
    model.HoldStarted: _hold_started,
    model.HoldWarned: lambda state, event: {"hold": replace(state.hold, warned=True) if state.hold else None},
    model.HoldReturned: _hold_returned,
    model.HoldEnded: lambda state, event: {"hold": None},
    model.SupervisorCalled: lambda state, event: {"supervisor": event.reason},
    model.AnythingElseAsked: _anything_else,
    model.AnythingElseAnswered: _anything_else_answered,
    model.OutcomeChosen: lambda state, event: {"outcome": event.outcome},
    model.Closed: lambda state, event: {
        "status": model.CLOSED, "pending": None, "procedure": None, "challenge": "", "with_person": False,
    },
}  # fmt: skip
