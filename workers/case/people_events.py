"""What happens to a case with people: who has it, who waits for whom, who is called, what they are told of.

Beside `workers.case.events`, which has all events and is where they are imported from.
"""

from datetime import datetime

from workers.case.event_base import CaseEventBase

__all__ = [
    "Assigned",
    "BreakOffered",
    "CallBackAsked",
    "CallBackEnded",
    "CallBackMissed",
    "CallBackTried",
    "ConversationEnded",
    "HandedOver",
    "HoldEnded",
    "HoldReturned",
    "HoldStarted",
    "HoldWarned",
    "Offered",
    "PraiseGiven",
    "Returned",
    "SteppedIn",
    "SupervisorCalled",
    "Warned",
]


class HandedOver(CaseEventBase, frozen=True, kw_only=True, tag="handed-over"):
    """People take it from here."""

    reason: str
    department: str = "desk"


class Warned(CaseEventBase, frozen=True, kw_only=True, tag="warned"):
    """The calm notice to an abusive message was given."""


class Returned(CaseEventBase, frozen=True, kw_only=True, tag="returned"):
    """People gave the case back to software."""


class Assigned(CaseEventBase, frozen=True, kw_only=True, tag="assigned"):
    """A person took the case, or gave it back (`to` empty)."""

    to: str


class Offered(CaseEventBase, frozen=True, kw_only=True, tag="offered"):
    """The case was offered to a person, or what became of that. `how`: made, accepted, declined, timed-out, returned
    (the person went away), withdrawn (nothing to do any more, or somebody else took it)."""

    to: str
    how: str
    reason: str = ""


class SteppedIn(CaseEventBase, frozen=True, kw_only=True, tag="stepped-in"):
    """A supervisor joined whoever has the case, and may write to the customer as well."""


class CallBackAsked(CaseEventBase, frozen=True, kw_only=True, tag="callback-asked"):
    """The customer wants to be called, and keeps the place in the queue."""

    number: str
    line: str = ""


class CallBackTried(CaseEventBase, frozen=True, kw_only=True, tag="callback-tried"):
    """A person calls: `reply` is the sending that rings first the person and then the customer; empty when the person
    dials by hand."""

    reply: str = ""


class CallBackMissed(CaseEventBase, frozen=True, kw_only=True, tag="callback-missed"):
    """A try found nobody. `reason`: customer (nobody but a mailbox, at most), representative (did not pick up), doubt
    (nobody knows whether it rang), unsaid (picked up; the person has yet to say by whom). `next_at`: the next try, None
    when there is none."""

    reason: str
    next_at: datetime | None = None


class CallBackEnded(CaseEventBase, frozen=True, kw_only=True, tag="callback-ended"):
    """Nobody has to be called any more. `how`: talked, came-back (the customer was first), elsewhere (in the case of
    the number `other`), written (after the last try), closed."""

    how: str
    other: str = ""


class HoldStarted(CaseEventBase, frozen=True, kw_only=True, tag="hold-started"):
    """The customer waits on a live channel; again with another reason while it lasts. `reason`: `workers.case.hold`."""

    channel: str
    reason: str


class HoldWarned(CaseEventBase, frozen=True, kw_only=True, tag="hold-warned"):
    """The representative was reminded that somebody waits."""


class HoldReturned(CaseEventBase, frozen=True, kw_only=True, tag="hold-returned"):
    """We came back to the customer with apology and reason, because no person did."""

    reply: str
    reason: str


class HoldEnded(CaseEventBase, frozen=True, kw_only=True, tag="hold-ended"):
    """Nobody waits any more. `how`: answered, let-go (told by when an answer comes), left, closed."""

    how: str
    seconds: int
    returns: int = 0


class SupervisorCalled(CaseEventBase, frozen=True, kw_only=True, tag="supervisor-called"):
    """A supervisor shall look at the case. `reason`: hold, angry, abuse, promise, danger, satisfaction; or, where a
    person calls, one of `workers.case.supervising.REASONS`."""

    reason: str


class ConversationEnded(CaseEventBase, frozen=True, kw_only=True, tag="conversation-ended"):
    """A live conversation was ended, with courtesy, because of how the customer spoke; the matter goes on in writing.

    `actor` is the person who ended it, or the machine. `reason`: `workers.case.protection.REASONS`. `follow_up` is the
    channel of the written follow-up. It speaks against nobody: whatever is counted leaves this conversation out.
    """

    channel: str
    reason: str
    follow_up: str


class BreakOffered(CaseEventBase, frozen=True, kw_only=True, tag="break-offered"):
    """Whoever was abused may have a rest."""

    to: str
    minutes: int


class PraiseGiven(CaseEventBase, frozen=True, kw_only=True, tag="praise-given"):
    """The customer praised somebody, in these words. `names`: who is meant, `told`: who was told."""

    contact: str
    words: str
    names: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
