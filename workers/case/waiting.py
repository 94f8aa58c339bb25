"""Who waits for a person: since when, and when those who give work out have to look again. Pure.

A case waits while people have to answer it and nobody has taken it. What is offered to whom is decided elsewhere, from
everything that waits and everybody who is there; a case only says that something about it has changed.
"""

from datetime import datetime
from typing import Any

from bus.log.port import Record
from bus.log.topics import CASE_OFFERS
from bus.message import derive_id, encode, envelope
from workers.case import model
from workers.case.model import CaseState
from workers.case.work import Look

__all__ = ["follow", "look", "needs_a_look", "place_of", "waits"]


def waits(state: CaseState) -> bool:
    """Whether people have to answer the case and nobody has taken it."""
    return state.status == model.WAITING_PERSON and not state.assignee


def follow(state: CaseState, at: datetime) -> dict[str, Any]:
    """What a change of the status changes about `waits_since`: from there on the choice of people grows wider."""
    waiting = state.status == model.WAITING_PERSON
    if waiting == (state.waits_since is not None):
        return {}
    return {"waits_since": at if waiting else None}


def place_of(state: CaseState) -> datetime | None:
    """By which time a case stands in the queue: the next that is due, or the place that a call-back keeps."""
    times = (state.due, None if state.callback is None else state.callback.place)
    return min((time for time in times if time is not None), default=None)


def needs_a_look(before: CaseState | None, after: CaseState | None) -> bool:
    """Whether a change concerns those who give work out."""
    return after is not None and _signature(before) != _signature(after)


def _signature(state: CaseState | None) -> tuple[object, ...]:
    if state is None or not (state.assignee or state.offered or waits(state)):
        return ()
    route = state.route()
    return (
        state.status, state.assignee, state.department, state.language, state.channel, place_of(state),
        route is not None and route.left, state.callback is not None,
    )  # fmt: skip


def look(tenant: str, reason: str, at: datetime) -> Record:
    """The record that has the work of a tenant looked at anew. `reason` tells one from another."""
    record_id = derive_id("l", tenant, reason)
    return Record(
        topic=CASE_OFFERS,
        key=tenant,
        value=encode(Look(tenant=tenant)),
        id=record_id,
        headers=envelope(record_id=record_id, kind="look", source="workers", tenant=tenant, at=at),
    )
