"""Calling somebody back: a try begins, a try ends, and what follows. Decided here for people and for the case's worker.

What can be asked of a `Draft` alone stands here; what counts as a try and when the next one is due, in `callback`.
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from bus.delivery.consent import CALLBACK, country_of, may_contact
from bus.delivery.outcome import SetTimer
from bus.log.topics import CASE_TIMER
from bus.message import Party, Reply, derive_id, encode
from bus.opening_hours import add_open_time
from workers.case import callback, events, model
from workers.case.changes import Draft, reply_id
from workers.case.model import CallBack, Route
from workers.case.rules import HandOver, Refused
from workers.case.telling import tell_customer
from workers.case.work import CaseTimer
from workers.packs import Pack

__all__ = ["EARLIEST", "LATEST", "begin_call", "end_call", "ran_out"]

EARLIEST, LATEST = time(8), time(21)
"""Nobody's telephone rings earlier or later by the company's clock, whoever has time to call then."""

_UNDER_WAY = timedelta(minutes=150)
"""After that nothing more is heard of a call: the provider ends one after two hours, and its last word may be late."""

_WRITTEN = ("email", "chat", "post")
"""Where somebody is told who could not be reached: what is read soonest first."""


def begin_call(draft: Draft, pack: Pack, *, actor: str, phone: str, number: str = "") -> CallBack:
    """A person calls the customer back. With a `phone` of the person (E.164) it rings there first; without one the
    person dials by hand and says how it went (`end_call`).

    `number` is another one than the customer called from. Raises Refused with `callback` when no number is known,
    `under-way` while a try is, `hours` when nobody is called (and nothing rings while the sending would wait for the
    customer's morning), `person` when somebody else has the case.
    """
    state, now = draft.state, draft.now
    if state.assignee not in ("", actor):
        raise Refused(("person",))
    route = state.routes.get("phone")
    if number or state.callback is None:
        line = route.account if route is not None else ""
        for event in callback.ask(state, number or _caller(route), line, now):
            draft.tell(event)
    asked = draft.state.callback
    if asked is None:
        raise Refused(("callback",))
    if asked.reply:
        raise Refused(("under-way",))
    if not EARLIEST <= now.astimezone(ZoneInfo(pack.policy.service.hours.zone)).time() < LATEST:
        raise Refused(("hours",))
    quiet = pack.policy.sales.quiet()
    if phone and not may_contact((), CALLBACK, "phone", now, quiet, country_of("", asked.number)).permitted:
        raise Refused(("hours",))
    if state.assignee != actor:
        if not state.with_person:
            draft.do(HandOver(actor=actor, reason="callback", until=_until(draft, pack), what="callback"))
        draft.tell(events.Assigned(at=now, actor=actor, to=actor))
    reply = ""
    if phone:
        reply = reply_id(state, f"call {state.version}", "phone", asked.number)
        draft.reply(
            Reply(
                id=reply, tenant=state.tenant, case=state.id, channel="phone", account=asked.line,
                to=Party(kind="phone", address=asked.number), text=state.number, kind=callback.KIND, via=phone,
                purpose=CALLBACK,
                language=pack.language(state.language), case_number=state.number,
                expires_at=now + timedelta(minutes=2),
            ),
            elsewhere="call-back",
        )  # fmt: skip
        draft.timers.append(_timer(draft, now + _UNDER_WAY, reply))
    draft.tell(events.CallBackTried(at=now, actor=actor, reply=reply))
    begun = draft.state.callback
    assert begun is not None
    return begun


def end_call(draft: Draft, pack: Pack, result: str, *, actor: str = model.MACHINE) -> None:
    """A try has ended with one of `callback.RESULTS`. In vain, the case goes back to its place in the queue until the
    next try; after the last one the customer is told in writing. Raises Refused with `result` or `callback`."""
    state, now = draft.state, draft.now
    if result not in callback.RESULTS:
        raise Refused(("result",))
    if state.callback is None:
        raise Refused(("callback",))
    if result == "talked":
        for event in callback.end(state, "talked", now, actor=actor):
            draft.tell(event)
        for promise in state.open_promises():
            if promise.id == model.PERSON_PROMISE or promise.what == callback.KIND:
                draft.tell(events.PromiseKept(at=now, actor=actor, id=promise.id))
        return
    missed = callback.was_in_vain(state, result, now, pack.policy.service.hours, actor=actor)
    for event in missed:
        draft.tell(event)
    if draft.state.callback is not None and draft.state.callback.next_at is None:
        _in_writing(draft, pack)
    elif state.assignee and result == "customer":
        draft.tell(events.Assigned(at=now, to=""))


def ran_out(draft: Draft, pack: Pack, reply: str) -> None:
    """Nothing was heard of a try for longer than a call lasts: a person decides, it is never repeated by itself."""
    asked = draft.state.callback
    if asked is not None and asked.reply == reply:
        end_call(draft, pack, "doubt")


def _in_writing(draft: Draft, pack: Pack) -> None:
    state = draft.state
    for event in callback.end(state, "written", draft.now):
        draft.tell(event)
    route = next((route for name in _WRITTEN if (route := state.routes.get(name)) is not None), None)
    if route is None:
        # There is no way to write: a supervisor looks for one, and the promise stays open.
        draft.tell(events.SupervisorCalled(at=draft.now, reason="callback"))
        return
    footer = "letter.close" if route.channel == "post" else "letter.footer"
    tell_customer(
        draft, pack, route, "callback.missed", kind="notice", decision=f"callback {state.version}", footer=footer
    )
    for promise in state.open_promises():
        if promise.what == callback.KIND:
            draft.tell(events.PromiseKept(at=draft.now, id=promise.id))


def _caller(route: Route | None) -> str:
    known = route is not None and route.address.kind == "phone" and route.address.address.startswith("+")
    return route.address.address if known and route is not None else ""


def _until(draft: Draft, pack: Pack) -> datetime:
    service = pack.policy.service
    return add_open_time(service.hours, draft.now, timedelta(hours=service.callback_open_hours))


def _timer(draft: Draft, due: datetime, reply: str) -> SetTimer:
    state = draft.state
    return SetTimer(
        id=derive_id("t", state.tenant, state.id, callback.KIND), due=due, topic=CASE_TIMER, key=state.id,
        kind="timer", tenant=state.tenant,
        value=encode(CaseTimer(tenant=state.tenant, case=state.id, kind=callback.KIND, detail=reply)),
    )  # fmt: skip
