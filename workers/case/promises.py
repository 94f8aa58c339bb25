"""The promise ledger: when people are reminded of a promise, what follows when one is broken, which words make one.

Pure. A promise near its end warns; a broken one is counted, calls a supervisor, stays at the top of the queue by the
time that was named first, and apologises to the customer once, with a new time that is itself a promise.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from bus.opening_hours import OpeningHours, add_open_time, open_time_between
from workers.case import service
from workers.case.model import CLOSED, CaseState, Promise, Route

__all__ = ["PROMISING", "due_of", "renewed_until", "warn_at", "way_to"]

LAST_PART = 4
"""A promise warns in the last quarter of its time: enough of it is left to keep it, little enough to be true."""

LEAST_WARNING = timedelta(minutes=5)
"""Less is no warning: reading a case and writing an answer takes that long."""

MOST_WARNING = timedelta(hours=8)
"""A working day. Whoever is warned earlier puts it aside again."""

PROMISING: Mapping[str, str] = {
    "handover.deferred": "answer",
    "hold.let-go": "answer",
    "hold.callback": "callback",
    "charge.refunded": "refund",
    "charge.repaid": "refund",
    "refund.on-its-way": "refund",
    "refund.after-return": "refund-after-return",
    "fault.refund": "refund-after-return",
    "return.instructions": "refund-after-return",
    "fault.replacement": "replacement",
    "fault.repair": "repair",
    "exchange.done": "exchange",
    "status.placed": "delivery",
    "status.shipped": "delivery",
    "ack.privacy.access": "privacy",
    "ack.privacy.erase": "privacy",
    "protection.end": "answer",
    "protection.follow-up": "answer",
    "protection.added": "answer",
    "satisfaction.sorry": "answer",
    "promise.broken.answer": "answer",
    "promise.broken.callback": "callback",
    "promise.broken.other": "",
}
"""Sentences of the pack with which software undertakes something by a time, and what it is called in the ledger (empty:
whatever was promised before). Whoever says one makes the promise in the same decision."""


def warn_at(made: datetime, until: datetime, hours: OpeningHours) -> datetime:
    """When people are reminded of a promise: in its last quarter, 5 minutes to 8 hours before its end.

    Counted in `hours`, in which people can read it; by the clock where the promise lies outside them. A promise of less
    than 10 minutes warns half-way.
    """
    span = open_time_between(hours, made, until)
    if not span:
        return until - _ahead(until - made)
    return add_open_time(hours, made, span - _ahead(span))


def _ahead(span: timedelta) -> timedelta:
    return min(max(span / LAST_PART, LEAST_WARNING), span / 2, MOST_WARNING)


def due_of(state: CaseState) -> datetime | None:
    """What `CaseState.due` is: the earliest time by which somebody has to do something."""
    if state.status == CLOSED:
        return None
    times = [promise.broke or promise.until for promise in state.promises if promise.is_open()]
    times += [target.until for _, target in service.running(state)]
    return min(times, default=None)


def renewed_until(state: CaseState, broken: Promise) -> datetime | None:
    """The new time that the customer was told already, when another promise of the case broke before this one."""
    return next(
        (p.until for p in state.open_promises() if p.id != broken.id and p.broke is not None and not p.over), None
    )


_WRITTEN = ("email", "post")
_SPOKEN = ("phone", "counter")


def way_to(state: CaseState) -> Route | None:
    """How to tell the customer something that nobody asked for: the channel last heard, where it still reaches him.

    Else another one that he used: mail first, then a letter, then a chat window that may be opened again. None where
    only the telephone is left.
    """
    last = state.route()
    if last is not None and last.channel not in _SPOKEN and not last.left and _heard(state, last):
        return last
    known = (state.routes.get(channel) for channel in (*_WRITTEN, "chat"))
    return next((route for route in known if route is not None and _heard(state, route)), None)


def _heard(state: CaseState, route: Route) -> bool:
    """Whether the last words through a channel found their way."""
    note = next((note for note in reversed(state.replies) if note.channel == route.channel), None)
    return note is None or note.state != "failed"
