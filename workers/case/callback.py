"""The call-back: who asked to be called keeps the place in the queue, and is called at most three times. Pure.

A person takes the case like any other; then the telephone of the person rings, and after that the customer's, so that
nobody who asked to be called is put on hold. Each try is a sending of the channel phone with its row in the ledger: one
of which nobody knows whether it rang is never repeated by itself.

    asked --- tried --- talked: ended          tried in vain, 1st: again after 15 min, 2nd: after 2 h, 3rd: in writing

The customer who comes back by any channel has ended it, in whatever case (`workers.case.coming_back`).
"""

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from bus.opening_hours import OpeningHours, add_open_time, is_open
from workers.case import events, model
from workers.case.events import CaseEvent
from workers.case.model import CallBack, CaseState

__all__ = [
    "BETWEEN_TRIES",
    "KIND",
    "MOST_TRIES",
    "RESULTS",
    "ask",
    "asked",
    "came_back",
    "came_back_elsewhere",
    "end",
    "missed",
    "next_try",
    "tried",
    "was_in_vain",
]  # fmt: skip

KIND = "callback"
"""Kind of the reply that is a try; also the request and the promise of it."""

BETWEEN_TRIES = (timedelta(minutes=15), timedelta(hours=2))
"""Who does not pick up is in a shop or on a train: a quarter of an hour passes that, two hours pass a meeting. A fourth
call to somebody who did not answer three is a nuisance, and a written word is better."""

MOST_TRIES = len(BETWEEN_TRIES) + 1

RESULTS = ("talked", "customer", "representative", "doubt", "unsaid")
"""How a try ended: they talked; the customer was not there, or only a mailbox was; the representative did not pick up,
or it could not be tried; nobody knows whether it rang; something picked up, and the person has not said what."""


def ask(state: CaseState, number: str, line: str, now: datetime) -> tuple[CaseEvent, ...]:
    """The customer wants to be called at `number` (E.164); asking again with the same number changes nothing."""
    if not number or (state.callback is not None and state.callback.number == number):
        return ()
    return (events.CallBackAsked(at=now, actor="customer", number=number, line=line),)


def came_back(state: CaseState, now: datetime) -> tuple[CaseEvent, ...]:
    """The customer was heard again: nobody has to call any more."""
    return end(state, "came-back", now)


def came_back_elsewhere(state: CaseState, heard: datetime, other: str, now: datetime) -> tuple[CaseEvent, ...]:
    """The customer was heard in the case of the number `other`; nothing when the wish is younger than that."""
    if state.callback is None or heard <= state.callback.asked:
        return ()
    return (events.CallBackEnded(at=now, how="elsewhere", other=other),)


def end(state: CaseState, how: str, now: datetime, *, actor: str = model.MACHINE) -> tuple[CaseEvent, ...]:
    """It is over; nothing when nobody was to be called."""
    return () if state.callback is None else (events.CallBackEnded(at=now, actor=actor, how=how),)


def was_in_vain(
    state: CaseState, reason: str, now: datetime, hours: OpeningHours, *, actor: str = model.MACHINE
) -> tuple[CaseEvent, ...]:
    """A try found nobody. A representative who did not pick up costs the customer no try."""
    if state.callback is None:
        return ()
    return (
        events.CallBackMissed(at=now, actor=actor, reason=reason, next_at=next_try(state.callback, reason, now, hours)),
    )


def next_try(callback: CallBack, reason: str, now: datetime, hours: OpeningHours) -> datetime | None:
    """When to try again after a try that ended with `reason`, within `hours`; None after the last one.

    In doubt, when the person has yet to say how it went, and when it was the representative who did not pick up, a
    person decides at once.
    """
    if reason in ("representative", "doubt", "unsaid"):
        return now
    if callback.tries >= MOST_TRIES:
        return None
    later = now + BETWEEN_TRIES[max(0, callback.tries - 1)]
    return later if is_open(hours, later) else add_open_time(hours, later, timedelta(minutes=1))


def asked(state: CaseState, event: events.CallBackAsked) -> dict[str, Any]:
    """The state after the wish."""
    promised = (p.broke or p.until for p in state.open_promises() if p.id == model.PERSON_PROMISE)
    before = state.callback.place if state.callback is not None else None
    place = before or next(promised, None)
    return {"callback": CallBack(number=event.number, line=event.line, asked=event.at, place=place)}


def tried(state: CaseState, event: events.CallBackTried) -> dict[str, Any]:
    """The state after a try began."""
    known = state.callback
    return {} if known is None else {"callback": replace(known, tries=known.tries + 1, reply=event.reply, next_at=None)}


def missed(state: CaseState, event: events.CallBackMissed) -> dict[str, Any]:
    """The state after a try in vain."""
    known = state.callback
    if known is None:
        return {}
    tries = known.tries - (event.reason == "representative")
    return {"callback": replace(known, reply="", tries=tries, next_at=event.next_at)}
