"""Which live cases a supervisor should look at first, and why. Pure.

Points add up over reasons, each of which is told in words (`risk.<word>` of the catalogue, with its `value`). A hundred
points are a house on fire; the list matters, not the number.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from workers.case import model
from workers.case.model import CaseState

__all__ = ["WORDS", "Reason", "reasons_of", "score"]

WORDS = (
    "emergency", "abuse", "angry", "upset", "late", "near", "hold", "supervisor", "repeated", "unheard", "nobody",
)  # fmt: skip
"""emergency: somebody may come to harm. late, near: a promise is over, or its last quarter runs (`value`: minutes).
hold: seconds without a person on a live channel. supervisor: called by a rule. repeated: how often the customer had to
write. unheard: the last answer did not arrive. nobody: waits on a live channel and nobody has the case."""

_HOLD_POINT_S = 5
"""A point for each 5 s: a promised minute without a person weighs like an angry tone."""
_MOST_FOR_HOLD = 40
_MOST_FOR_LATE = 50
_LATE_POINT_MIN = 10
_PATIENT_CONTACTS = 3
"""A question, an answer to ours, a thank-you: only beyond that somebody has to write again and again."""
_NEAR = 0.25
_NEAR_WITHOUT_START = timedelta(minutes=30)


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """A word, its weight, and a figure for the sentence (seconds, minutes or a count)."""

    word: str
    points: int
    value: int = 0


def reasons_of(state: CaseState, now: datetime) -> tuple[Reason, ...]:
    """Every reason to look at a case now, the heaviest first; none for a closed one."""
    if state.status == model.CLOSED:
        return ()
    found = [*_danger(state), *_time(state, now), *_trouble(state)]
    return tuple(sorted(found, key=lambda reason: (-reason.points, WORDS.index(reason.word))))


def score(reasons: tuple[Reason, ...]) -> int:
    """The sum."""
    return sum(reason.points for reason in reasons)


def _danger(state: CaseState) -> Iterator[Reason]:
    if state.urgency >= 3:
        yield Reason(word="emergency", points=60)
    for tone, word, points in (("abusive", "abuse", 30), ("angry", "angry", 20), ("upset", "upset", 8)):
        if state.tone == tone:
            yield Reason(word=word, points=points + 5 * state.rises, value=state.rises)


def _time(state: CaseState, now: datetime) -> Iterator[Reason]:
    if state.hold is not None:
        seconds = max(0, int((now - state.hold.since).total_seconds()))
        yield Reason(word="hold", points=min(_MOST_FOR_HOLD, seconds // _HOLD_POINT_S), value=seconds)
        if not state.assignee:
            yield Reason(word="nobody", points=10)
    due = state.due
    if due is None:
        return
    if now >= due:
        minutes = int((now - due).total_seconds()) // 60
        yield Reason(word="late", points=min(_MOST_FOR_LATE, 30 + minutes // _LATE_POINT_MIN), value=minutes)
    elif due - now <= _near(state, due):
        yield Reason(word="near", points=15, value=int((due - now).total_seconds()) // 60)


def _near(state: CaseState, due: datetime) -> timedelta:
    made = next((promise.made for promise in state.open_promises() if promise.until == due), None)
    return _NEAR_WITHOUT_START if made is None else (due - made) * _NEAR


def _trouble(state: CaseState) -> Iterator[Reason]:
    if state.supervisor:
        yield Reason(word="supervisor", points=25)
    if state.heard > _PATIENT_CONTACTS:
        yield Reason(word="repeated", points=min(20, 5 * (state.heard - _PATIENT_CONTACTS)), value=state.heard)
    answers = [note for note in state.replies if note.kind in ("answer", "question")]
    if answers and answers[-1].state == "failed":
        yield Reason(word="unheard", points=20)
