"""The closing rule: when a case may end. One rule for software and for people."""

from datetime import datetime

from workers.case.model import CaseState

__all__ = ["REASONS", "what_is_missing"]

REASONS = ("outcome", "anything-else", "answer", "promise", "reply")
"""outcome: none was chosen. anything-else: the customer was not asked. answer: the customer has not answered that and
its notice has not run out. promise: one is open. reply: the last one has not reached its channel."""

_ARRIVED = frozenset({"accepted", "delivered", "read"})


def what_is_missing(state: CaseState, now: datetime) -> tuple[str, ...]:
    """Everything that keeps a case from being closed at this moment, in the order of REASONS; empty when nothing."""
    missing: list[str] = []
    if not state.outcome:
        missing.append("outcome")
    if state.anything_else_asked is None:
        missing.append("anything-else")
    elif state.anything_else_answered is None or state.anything_else_answered > now:
        missing.append("answer")
    if state.open_promises():
        missing.append("promise")
    # A goodbye says that the case ends: it follows from closing and cannot be its condition.
    last = next((note for note in reversed(state.replies) if note.kind != "goodbye"), None)
    if last is not None and last.state not in _ARRIVED:
        missing.append("reply")
    return tuple(missing)
