"""The state after each event of a case. Pure: what was decided is never judged again here."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from workers.case import events, model, temper
from workers.case.events import CaseEvent
from workers.case.model import CaseState, Promise, Question, ReplyNote

__all__ = ["evolve"]

KEPT_REPLIES = 20
KEPT_CONTACTS = 20
KEPT_PROMISES = 20
"""Bounds of what a snapshot repeats of the timeline; the timeline itself forgets nothing."""


def evolve(state: CaseState | None, event: CaseEvent) -> CaseState:
    """The state after an event. Raises ValueError for an event of a case that was never opened."""
    if isinstance(event, events.Opened):
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


def _received(state: CaseState, event: events.Received) -> dict[str, Any]:
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


def _understood(state: CaseState, event: events.Understood) -> dict[str, Any]:
    intents = tuple(dict.fromkeys((*state.intents, *event.intents[:1])))
    return {
        "intents": intents,
        "language": event.language or state.language,
        "tone": event.tone,
        "rises": temper.rises(state, event.tone),
        "urgency": max(state.urgency, event.urgency),
        "department": state.department or event.department,
    }


def _replied(state: CaseState, event: events.ReplyPlanned) -> dict[str, Any]:
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


def _hold_started(state: CaseState, event: events.HoldStarted) -> dict[str, Any]:
    if state.hold is not None:
        return {"hold": replace(state.hold, reason=event.reason, by=event.actor)}
    begun = model.Hold(channel=event.channel, reason=event.reason, by=event.actor, since=event.at, heard=event.at)
    return {"hold": begun}


def _hold_returned(state: CaseState, event: events.HoldReturned) -> dict[str, Any]:
    if state.hold is None:
        return {}
    return {"hold": replace(state.hold, returns=state.hold.returns + 1, reply=event.reply)}


def _assigned(state: CaseState, event: events.Assigned) -> dict[str, Any]:
    changed: dict[str, Any] = {"assignee": event.to}
    if event.to and state.hold is not None and state.hold.reason == "busy":
        changed["hold"] = replace(state.hold, reason="looking")
    return changed


def _progress(state: CaseState, event: events.ReplyProgress) -> dict[str, Any]:
    return {
        "replies": tuple(replace(note, state=event.state) if note.id == event.reply else note for note in state.replies)
    }


def _asked(state: CaseState, event: events.QuestionAsked) -> dict[str, Any]:
    return {"pending": event.question, "status": _waiting(state, model.WAITING_CUSTOMER)}


def _moved(state: CaseState, event: events.ProcedureMoved) -> dict[str, Any]:
    return {"procedure": event.procedure, "department": event.department}


def _acted(state: CaseState, event: events.Acted) -> dict[str, Any]:
    return {"done": (*state.done, f"{event.action}:{event.reference}")}


def _proven(state: CaseState, event: events.ProofGiven) -> dict[str, Any]:
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


def _promise_made(state: CaseState, event: events.PromiseMade) -> dict[str, Any]:
    # The same promise made again replaces the older one.
    others = tuple(p for p in state.promises if p.id != event.promise.id or p.kept_at is not None)
    return _promised(state, (*others, event.promise))


def _promise_kept(state: CaseState, event: events.PromiseKept) -> dict[str, Any]:
    return _promised(
        state,
        tuple(replace(p, kept_at=event.at) if p.id == event.id and p.kept_at is None else p for p in state.promises),
    )


def _anything_else(state: CaseState, event: events.AnythingElseAsked) -> dict[str, Any]:
    return {
        "anything_else_asked": event.at,
        "anything_else_answered": None,
        "anything_else_channel": event.channel,
        "pending": Question(kind="anything-else", asked_at=event.at),
        "status": _waiting(state, model.CLOSING) if event.actor == model.MACHINE else model.CLOSING,
    }


def _anything_else_answered(state: CaseState, event: events.AnythingElseAnswered) -> dict[str, Any]:
    pending = state.pending
    settled = pending is not None and pending.kind == "anything-else"
    changed: dict[str, Any] = {"pending": None if settled else pending}
    if event.answer == "yes":
        return changed | {"anything_else_asked": None, "status": _waiting(state, model.OPEN)}
    return changed | {"anything_else_answered": event.at, "status": _waiting(state, model.CLOSING)}


def _reopened(state: CaseState, _event: events.Reopened) -> dict[str, Any]:
    return {
        "status": model.OPEN, "outcome": "", "anything_else_asked": None, "anything_else_answered": None,
        "with_person": False, "pending": None, "procedure": None, "hold": None, "supervisor": "",
    }  # fmt: skip


_EVOLVE: dict[type, Callable[[CaseState, Any], dict[str, Any]]] = {
    events.Received: _received,
    events.Understood: _understood,
    events.Reopened: _reopened,
    events.ReplyPlanned: _replied,
    events.ReplyProgress: _progress,
    events.QuestionAsked: _asked,
    events.QuestionSettled: lambda state, event: {"pending": None},
    events.ProcedureMoved: _moved,
    events.ProcedureEnded: lambda state, event: {"procedure": None},
    events.Acted: _acted,
    events.ProofAsked: lambda state, event: {"challenge": event.challenge},
    events.ProofGiven: _proven,
    events.PromiseMade: _promise_made,
    events.PromiseKept: _promise_kept,
    events.HandedOver: lambda state, event: {
        "with_person": True, "status": model.WAITING_PERSON, "department": state.department or event.department,
    },
    events.Returned: lambda state, event: {"with_person": False, "assignee": "", "status": model.OPEN},
    events.Warned: lambda state, event: {"warned": True},
    events.Assigned: _assigned,
    events.HoldStarted: _hold_started,
    events.HoldWarned: lambda state, event: {"hold": replace(state.hold, warned=True) if state.hold else None},
    events.HoldReturned: _hold_returned,
    events.HoldEnded: lambda state, event: {"hold": None},
    events.SupervisorCalled: lambda state, event: {"supervisor": event.reason},
    events.AnythingElseAsked: _anything_else,
    events.AnythingElseAnswered: _anything_else_answered,
    events.OutcomeChosen: lambda state, event: {"outcome": event.outcome},
    events.Closed: lambda state, event: {
        "status": model.CLOSED, "pending": None, "procedure": None, "challenge": "", "with_person": False,
    },
}  # fmt: skip
