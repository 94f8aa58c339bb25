"""What a supervisor does with a case of somebody else. Each gives an `Outcome` for `store.apply`, or raises `Refused`.

None of it is shown to the customer: whoever steps in writes a reply for that, like everybody else.
"""

from datetime import datetime

from bus.delivery.outcome import Outcome
from workers.case import events, model
from workers.case.changes import Draft
from workers.case.model import CaseState
from workers.case.rules import Refused

__all__ = ["REASONS", "advise", "call", "step_in", "take_over"]

REASONS = ("wish", "decision", "limit", "help")
"""Why a person calls a supervisor: the customer wishes it, a decision is needed, more than the role may approve, help
is needed now."""


def call(state: CaseState, *, reason: str, actor: str, now: datetime) -> Outcome:
    """Call a supervisor to the case. Whoever calls goes on with it; the call stands until somebody else has come, and
    again with the same reason it changes nothing. Raises Refused with `reason`."""
    draft = _open(state, now)
    if reason not in REASONS:
        raise Refused(("reason",))
    if (state.supervisor, state.supervisor_for) != (reason, actor):
        draft.tell(events.SupervisorCalled(at=now, actor=actor, reason=reason))
    return draft.outcome()


def step_in(state: CaseState, *, actor: str, now: datetime) -> Outcome:
    """Join whoever has the case. It stays with that person; again, it changes nothing."""
    draft = _open(state, now)
    if actor not in state.joined and actor != state.assignee:
        draft.tell(events.SteppedIn(at=now, actor=actor))
    return draft.outcome()


def take_over(state: CaseState, *, actor: str, now: datetime) -> Outcome:
    """Take the case from whoever has it. Software no longer answers it."""
    draft = _open(state, now)
    if not state.with_person:
        draft.tell(events.HandedOver(at=now, actor=actor, reason="taken over"))
    if state.assignee != actor:
        draft.tell(events.Assigned(at=now, actor=actor, to=actor))
    return draft.outcome()


def advise(state: CaseState, *, text: str, actor: str, now: datetime) -> Outcome:
    """A note to whoever has the case. Raises Refused with `text`, or `person` when nobody has it."""
    draft = _open(state, now)
    if not text.strip():
        raise Refused(("text",))
    if not state.assignee:
        raise Refused(("person",))
    draft.tell(events.Noted(at=now, actor=actor, text=text, to=state.assignee))
    return draft.outcome()


def _open(state: CaseState, now: datetime) -> Draft:
    if state.status == model.CLOSED:
        raise Refused(("closed",))
    return Draft(state, now)
