"""The state after each event of a case. Pure: what was decided is never judged again here."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from bus.message import encode
from workers.case import callback, events, model, promises, service, temper, waiting
from workers.case.chain import link
from workers.case.events import CaseEvent
from workers.case.model import CaseState, Promise, Question, ReplyNote

__all__ = ["evolve"]

KEPT_REPLIES = 20
KEPT_CONTACTS = 20
KEPT_PROMISES = 20
KEPT_HELPERS = 20
"""Bounds of what a snapshot repeats of the timeline; the timeline itself forgets nothing."""


def evolve(state: CaseState | None, event: CaseEvent, data: str = "") -> CaseState:
    """The state after an event. Raises ValueError for an event of a case that was never opened.

    `data` is the event as it is stored, for whoever has it at hand: its digest goes into the chain, and writing it down
    twice costs more than all the rest here.
    """
    data = data or encode(event).decode()
    if isinstance(event, events.Opened):
        return CaseState(
            id=event.id, tenant=event.tenant, number=event.number, version=1, person=event.person,
            channel=event.channel, language=event.language, link=event.link, claims=event.claims,
            siblings=event.siblings, disclosed=event.disclosed, chain=link("", data),
            created=event.at, updated=event.at,
        )  # fmt: skip
    if state is None:
        raise ValueError("the first event of a case opens it")
    change = _EVOLVE.get(type(event))
    changed: dict[str, Any] = change(state, event) if change is not None else {}
    chain = link(state.chain, data)
    after = replace(state, version=state.version + 1, chain=chain, updated=event.at, **changed)
    if changed.keys() & _ON_TIME:
        after = service.follow(after, event.at)
        due, follows = promises.due_of(after), waiting.follow(after, event.at)
        if due != after.due or follows:
            after = replace(after, due=due, **follows)
    return after


_ON_TIME = frozenset({"status", "promises", "first_answer", "resolution"})
"""What a change of may move the time by which somebody has to do something."""


def _waiting(state: CaseState, otherwise: str) -> str:
    return model.WAITING_PERSON if state.with_person else otherwise


def _received(state: CaseState, event: events.Received) -> dict[str, Any]:
    changed: dict[str, Any] = {"contacts": (*state.contacts, event.contact)[-KEPT_CONTACTS:]}
    if event.automatic:
        return changed
    changed["heard"] = state.heard + 1
    route = event.route
    if event.request == "ended":
        # Whoever hangs up asks for nothing: the case stays as it is, a closed one closed.
        return changed | {"routes": {**state.routes, route.channel: replace(route, left=True)}}
    if event.request == "rating":
        # A number from 1 to 5 asks for nothing either.
        return changed | {"routes": {**state.routes, route.channel: route}, "channel": route.channel}
    if event.request in _LEFT:
        route = replace(route, left=True)
    if state.anything_else_answered is not None:
        # Whatever was said to "anything else?": there was something.
        changed |= {"anything_else_asked": None, "anything_else_answered": None}
    if route.channel == "link":
        # The confirmation page is a way in and never a way to answer.
        return changed | {"status": _waiting(state, model.OPEN)}
    return changed | {
        "routes": {**state.routes, route.channel: route},
        "channel": route.channel,
        "status": _waiting(state, model.OPEN),
        "subject": state.subject or event.subject,
    }


_LEFT = frozenset({"callback", "voicemail"})
"""Requests after which nobody listens on the line any more."""


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
        changed |= {"status": model.WAITING_CUSTOMER, **_supervised(state, event.actor)}
        changed["helpers"] = tuple(dict.fromkeys((*state.helpers, event.actor)))[-KEPT_HELPERS:]
    if state.hold is not None and state.hold.channel == event.channel:
        changed["hold"] = replace(state.hold, heard=event.at, warned=False)
    if event.reply_kind in service.ANSWERS and not event.to_person:
        changed["first_answer"] = service.kept(state.first_answer, event.at)
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
    if state.supervisor_for and event.to:
        changed |= _supervised(state, event.to)
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
    paused = tuple(each for each in state.paused if each.name != event.procedure.name)
    return {"procedure": event.procedure, "paused": paused, "department": event.department}


def _ended(state: CaseState, event: events.ProcedureEnded) -> dict[str, Any]:
    paused = tuple(each for each in state.paused if each.name != event.name)
    if event.result == "paused" and state.procedure is not None:
        return {"procedure": None, "paused": (*paused, state.procedure)}
    return {"procedure": None, "paused": paused}


def _acted(state: CaseState, event: events.Acted) -> dict[str, Any]:
    changed: dict[str, Any] = {"done": (*state.done, f"{event.action}:{event.reference}")}
    if event.action == events.GOODWILL:
        given = state.goodwill.get(event.currency, 0) + event.amount
        changed["goodwill"] = {**state.goodwill, event.currency: given}
    return changed


def _supervised(state: CaseState, by: str) -> dict[str, Any]:
    """Somebody looks after the case. Whoever called for help himself is not the help."""
    return {} if by == state.supervisor_for else {"supervisor": "", "supervisor_for": ""}


def _stepped_in(state: CaseState, event: events.SteppedIn) -> dict[str, Any]:
    came = _supervised(state, event.actor) if state.supervisor_for else {}
    return {"joined": tuple(dict.fromkeys((*state.joined, event.actor))), **came}


def _supervisor_called(_state: CaseState, event: events.SupervisorCalled) -> dict[str, Any]:
    return {"supervisor": event.reason, "supervisor_for": "" if event.actor == model.MACHINE else event.actor}


def _proven(state: CaseState, event: events.ProofGiven) -> dict[str, Any]:
    return {
        "proof": "confirmed",
        "customer": event.customer,
        "person": event.person or state.person,
        "proven": tuple(dict.fromkeys((*state.proven, event.identity))),
        "challenge": "",
    }


def _promised(state: CaseState, known: Iterable[Promise]) -> dict[str, Any]:
    known = tuple(known)
    kept = [promise for promise in known if promise.kept_at is not None][-KEPT_PROMISES:]
    return {"promises": (*kept, *(promise for promise in known if promise.kept_at is None))}


def _promise_made(state: CaseState, event: events.PromiseMade) -> dict[str, Any]:
    # The same promise made again replaces the older one; that one was broken is not forgotten with it.
    older = state.promise(event.promise.id)
    made = replace(event.promise, made=event.at, broke=None if older is None else older.broke)
    return _promised(state, (*(promise for promise in state.promises if promise is not older), made))


def _promise_changed(state: CaseState, id: str, **changed: Any) -> dict[str, Any]:
    known = (replace(p, **changed) if p.id == id and p.kept_at is None else p for p in state.promises)
    return _promised(state, known)


def _promise_broken(state: CaseState, event: events.PromiseBroken) -> dict[str, Any]:
    older = state.promise(event.id)
    broke = event.until if older is None or older.broke is None else older.broke
    return _promise_changed(state, event.id, broke=broke, over=True)


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
        "with_person": False, "pending": None, "procedure": None, "paused": (), "hold": None, "supervisor": "",
        "supervisor_for": "", "joined": (),
        "ended": "", "survey_asked": None,
        "first_answer": None, "resolution": None,
    }  # fmt: skip


def _closed(state: CaseState, event: events.Closed) -> dict[str, Any]:
    return {
        "status": model.CLOSED, "pending": None, "procedure": None, "challenge": "", "with_person": False,
        "callback": None,
        "resolution": service.kept(state.resolution, event.at),
    }  # fmt: skip


_EVOLVE: dict[type, Callable[[CaseState, Any], dict[str, Any]]] = {
    events.Parted: lambda state, event: {"siblings": (*state.siblings, event.other)},
    events.Received: _received,
    events.Understood: _understood,
    events.Reopened: _reopened,
    events.ReplyPlanned: _replied,
    events.ReplyProgress: _progress,
    events.QuestionAsked: _asked,
    events.QuestionSettled: lambda state, event: {"pending": None},
    events.ProcedureMoved: _moved,
    events.ProcedureEnded: _ended,
    events.Acted: _acted,
    events.ProofAsked: lambda state, event: {"challenge": event.challenge},
    events.ProofGiven: _proven,
    events.PromiseMade: _promise_made,
    events.PromiseKept: lambda state, event: _promise_changed(state, event.id, kept_at=event.at),
    events.PromiseWarned: lambda state, event: _promise_changed(state, event.id, warned=True),
    events.PromiseBroken: _promise_broken,
    events.PromiseDue: lambda state, event: _promise_changed(state, event.id, action=""),
    events.Targeted: service.set_by,
    events.TargetMissed: service.missed_by,
    events.HandedOver: lambda state, event: {
        "with_person": True, "status": model.WAITING_PERSON, "department": state.department or event.department,
    },
    events.Returned: lambda state, event: {"with_person": False, "assignee": "", "status": model.OPEN},
    events.Warned: lambda state, event: {"warned": True},
    events.Assigned: _assigned,
    events.Offered: lambda state, event: {"offered": event.to if event.how == "made" else ""},
    events.SteppedIn: _stepped_in,
    events.CallBackAsked: callback.asked,
    events.CallBackTried: callback.tried,
    events.CallBackMissed: callback.missed,
    events.CallBackEnded: lambda state, event: {"callback": None},
    events.HoldStarted: _hold_started,
    events.HoldWarned: lambda state, event: {"hold": replace(state.hold, warned=True) if state.hold else None},
    events.HoldReturned: _hold_returned,
    events.HoldEnded: lambda state, event: {"hold": None},
    events.SupervisorCalled: _supervisor_called,
    events.ConversationEnded: lambda state, event: {"ended": event.reason, "status": model.WAITING_PERSON},
    events.PraiseGiven: lambda state, event: {"praised": True},
    events.SurveyAsked: lambda state, event: {"survey_asked": event.at},
    events.Rated: lambda state, event: {"satisfaction": event.score},
    events.AnythingElseAsked: _anything_else,
    events.AnythingElseAnswered: _anything_else_answered,
    events.OutcomeChosen: lambda state, event: {"outcome": event.outcome},
    events.Closed: _closed,
}  # fmt: skip
