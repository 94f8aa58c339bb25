"""The closing rule: when a case may end. One rule for software and for people."""

from datetime import datetime, timedelta

from bus.log.topics import LIVE_CHANNELS
from workers.case.model import CaseState

__all__ = ["AUTOMATIC", "LIVE_NOTICE", "REASONS", "SAYS_NOTHING_NEW", "notice_ends", "what_is_missing"]

REASONS = ("outcome", "anything-else", "answer", "promise", "reply")
"""outcome: none was chosen. anything-else: the customer was not asked. answer: the customer has not answered that and
its notice has not run out. promise: one is open. reply: the last one that mattered has not reached its channel."""

SAYS_NOTHING_NEW = frozenset({"goodbye", "hold", "acknowledgement", "notice", "survey", "internal", "callback"})
"""Kinds of replies whose loss leaves nobody without an answer. A goodbye follows from closing and cannot be its
condition; "one moment, please" that found nobody on the line any more is no news either."""

_ARRIVED = frozenset({"accepted", "delivered", "read"})

LIVE_NOTICE = timedelta(minutes=10)
"""How long a live conversation stays open after "anything else?" without an answer."""

AUTOMATIC = "automatic"
"""Outcome of a case to which only machines have written."""


def notice_ends(channel: str, asked: datetime, notice_days: int) -> datetime:
    """Until when an answer to "anything else?" is waited for, whoever asked it."""
    return asked + (LIVE_NOTICE if channel in LIVE_CHANNELS else timedelta(days=notice_days))


def what_is_missing(state: CaseState, now: datetime, *, by_person: bool = False) -> tuple[str, ...]:
    """Everything that keeps a case from being closed at this moment, in the order of REASONS; empty when nothing.

    `by_person`: a person closes, who may know better than a line that went dead before the answer was heard.
    """
    missing: list[str] = []
    if not state.outcome:
        missing.append("outcome")
    if state.outcome == AUTOMATIC and not state.routes:
        # Only machines have written (an out-of-office note, a bounce): there is nobody to ask.
        pass
    elif state.anything_else_asked is None:
        missing.append("anything-else")
    elif state.anything_else_answered is None or state.anything_else_answered > now:
        missing.append("answer")
    if state.open_promises():
        missing.append("promise")
    last = next((note for note in reversed(state.replies) if note.kind not in SAYS_NOTHING_NEW), None)
    if last is not None and last.state not in _ARRIVED:
        unheard = last.state == "failed" and last.channel in LIVE_CHANNELS
        if not (by_person and unheard):
            missing.append("reply")
    return tuple(missing)
