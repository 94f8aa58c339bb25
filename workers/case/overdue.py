"""What follows when the time of a promise has come: a broken one is owned up to, one under way is looked after."""

from datetime import timedelta

from bus.message import Party
from bus.opening_hours import OpeningHours, add_open_time
from workers.case import events, model
from workers.case.changes import Draft
from workers.case.model import Promise, Route
from workers.case.promises import renewed_until, warn_at, way_to
from workers.case.rules import HandOver
from workers.case.telling import tell_customer
from workers.packs import Pack
from workers.records import Records
from workers.records.money import format_date

__all__ = ["break_promise", "look_after", "warn_of_promise"]

_WORDS = {"answer": "promise.broken.answer", "callback": "promise.broken.callback"}
_OTHER = "promise.broken.other"


def warn_of_promise(draft: Draft, promise: Promise, hours: OpeningHours) -> None:
    """The end of a promise is near: once for each. Asked too early, it is asked again when the time has come."""
    if promise.warned or promise.action or promise.until <= draft.now:
        return
    near = warn_at(promise.made or draft.now, promise.until, hours)
    if near > draft.now:
        draft.timers.append(draft.timer("promise-warning", near, promise.id, promise.id))
        return
    draft.tell(events.PromiseWarned(at=draft.now, id=promise.id, what=promise.what))


async def break_promise(draft: Draft, pack: Pack, records: Records, promise: Promise) -> None:
    """The time of an open promise went by.

    A supervisor is called and people take the case. The customer hears an apology with a new time, once: when that
    goes by too, a second letter would help nobody, and the case stays on top until a person has kept it.
    """
    state, now = draft.state, draft.now
    first = promise.broke is None
    told_already = renewed_until(state, promise)
    route = await _way(draft, records) if first and told_already is None else None
    told = "" if route is None else route.channel
    draft.tell(events.PromiseBroken(at=now, id=promise.id, what=promise.what, until=promise.until, told=told))
    if not state.supervisor:
        draft.tell(events.SupervisorCalled(at=now, reason="promise"))
    if not state.with_person:
        # The promise itself is what people have to keep: no other one beside it.
        draft.tell(events.HandedOver(at=now, reason="promise due"))
    if not first:
        return
    service = pack.policy.service
    until = told_already or add_open_time(service.hours, now, timedelta(hours=service.again_open_hours))
    # Whom nothing else reaches is called.
    what = "callback" if route is None and told_already is None and "phone" in state.routes else promise.what
    made = Promise(id=promise.id, what=what, by=promise.by, until=until)
    draft.tell(events.PromiseMade(at=now, promise=made))
    if route is not None:
        language = pack.language(state.language)
        tell_customer(
            draft, pack, route, _WORDS.get(promise.what, _OTHER), kind="notice",
            decision=f"broken {promise.id} {promise.until.isoformat()}", footer="letter.close",
            date=format_date(promise.until, language), until=format_date(until, language),
        )  # fmt: skip


async def _way(draft: Draft, records: Records) -> Route | None:
    """How to reach the customer: where he was heard, else the mail address on file of whom the case proved him to be.

    An address on file is never used on a mere claim: a stranger could learn from it whose customer somebody is.
    """
    state = draft.state
    route = way_to(state)
    if route is not None or not state.customer:
        return route
    customer = await records.customer(state.tenant, state.customer)
    if customer is None or not customer.email:
        return None
    address = Party(kind="email", address=customer.email, name=customer.name)
    return Route(channel="email", account="", address=address, at=draft.now)


async def look_after(draft: Draft, pack: Pack, records: Records, promise: Promise) -> None:
    """The time of a promise under way has come: kept when the systems of record say so, else a person looks."""
    state, now = draft.state, draft.now
    if await records.fulfilled(state.tenant, promise.action):
        draft.tell(events.PromiseKept(at=now, id=promise.id))
        return
    if state.status == model.CLOSED:
        draft.tell(events.Reopened(at=now))
    draft.tell(events.PromiseDue(at=now, id=promise.id, what=promise.what))
    service = pack.policy.service
    until = add_open_time(service.hours, now, timedelta(hours=service.again_open_hours))
    draft.do(HandOver(reason="promise due", until=until, what=promise.what))
