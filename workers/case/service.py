"""Service promises: how soon everybody gets a first answer and a solution, counted while people of the company work.

Pure. They are set when a case opens or opens again, from the moment at which the contact arrived. The first answer is
kept by the first reply that answers or asks, the solution by the end of the case. While the customer has the word (a
question is put to him, or we wait whether there is anything else) the clock of the solution stands still.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from bus.opening_hours import OpeningHours, add_open_time, open_time_between
from workers.case import events, model
from workers.case.model import CaseState, Target
from workers.packs.policy import ServicePromise

__all__ = ["ANSWERS", "FIRST_ANSWER", "RESOLUTION", "follow", "missed", "next_due", "promised", "resumed", "running"]

FIRST_ANSWER = "first-answer"
RESOLUTION = "resolution"

ANSWERS = frozenset({"answer", "question", "goodbye"})
"""Kinds of replies that are an answer. "We have received your message" and "one moment, please" are none."""

_WITH_CUSTOMER = (model.WAITING_CUSTOMER, model.CLOSING)


def promised(figures: ServicePromise, hours: OpeningHours, since: datetime, now: datetime) -> events.Targeted:
    """What is promised for a contact that arrived at `since`."""
    return events.Targeted(
        at=now,
        since=since,
        first_answer=add_open_time(hours, since, timedelta(minutes=figures.first_answer_minutes)),
        resolution=add_open_time(hours, since, timedelta(hours=figures.resolution_hours)),
    )


def resumed(before: CaseState, hours: OpeningHours, now: datetime) -> events.Targeted | None:
    """The customer, who had the word before, has spoken: the time that was left begins to pass again."""
    target = before.resolution
    if target is None or target.kept_at is not None or target.paused_at is None:
        return None
    left = open_time_between(hours, target.paused_at, target.until)
    return events.Targeted(at=now, since=target.since, resolution=add_open_time(hours, now, left))


def running(state: CaseState) -> Iterator[tuple[str, Target]]:
    """The service promises whose time passes."""
    if state.status == model.CLOSED:
        return
    for name, target in ((FIRST_ANSWER, state.first_answer), (RESOLUTION, state.resolution)):
        if target is not None and target.runs():
            yield name, target


def next_due(state: CaseState) -> datetime | None:
    """When the next of them would be missed."""
    return min((target.until for _, target in running(state) if not target.missed), default=None)


def missed(state: CaseState, now: datetime) -> tuple[events.TargetMissed, ...]:
    """Those that were missed by now and not told of yet."""
    return tuple(
        events.TargetMissed(at=now, target=name, until=target.until)
        for name, target in running(state)
        if not target.missed and target.until <= now
    )


def follow(state: CaseState, at: datetime) -> CaseState:
    """The state with the clock of the solution standing still or running, as its status demands."""
    target = state.resolution
    if target is None or target.kept_at is not None:
        return state
    with_customer = state.status in _WITH_CUSTOMER
    if with_customer == (target.paused_at is not None):
        return state
    return replace(state, resolution=replace(target, paused_at=at if with_customer else None))


def set_by(state: CaseState, event: events.Targeted) -> dict[str, Any]:
    """What `Targeted` changes in the state."""
    changed: dict[str, Any] = {}
    for field, until in (("first_answer", event.first_answer), ("resolution", event.resolution)):
        if until is not None:
            changed[field] = Target(since=event.since, until=until)
    return changed


def missed_by(state: CaseState, event: events.TargetMissed) -> dict[str, Any]:
    """What `TargetMissed` changes in the state."""
    field = "first_answer" if event.target == FIRST_ANSWER else "resolution"
    target: Target | None = getattr(state, field)
    return {} if target is None else {field: replace(target, missed=True)}


def kept(target: Target | None, at: datetime) -> Target | None:
    """A target after what it asked for was done."""
    return target if target is None or target.kept_at is not None else replace(target, kept_at=at)
