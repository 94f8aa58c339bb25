"""What can happen to a case: the timeline that people read, and from which everything else is derived.

Every event carries when and by whom; its number is given by its place.
"""

from datetime import datetime

import msgspec

from workers.case.event_base import CaseEventBase
from workers.case.model import Procedure, Promise, Question, Route
from workers.case.people_events import (
    Assigned,
    BreakOffered,
    CallBackAsked,
    CallBackEnded,
    CallBackMissed,
    CallBackTried,
    ConversationEnded,
    HandedOver,
    HoldEnded,
    HoldReturned,
    HoldStarted,
    HoldWarned,
    Offered,
    PraiseGiven,
    Returned,
    SteppedIn,
    SupervisorCalled,
    Warned,
)

__all__ = [
    "EVENT_KINDS",
    "GOODWILL",
    "Acted",
    "AnythingElseAnswered",
    "AnythingElseAsked",
    "Assigned",
    "BreakOffered",
    "CallBackAsked",
    "CallBackEnded",
    "CallBackMissed",
    "CallBackTried",
    "CaseEvent",
    "Closed",
    "ConversationEnded",
    "HandedOver",
    "HoldEnded",
    "HoldReturned",
    "HoldStarted",
    "HoldWarned",
    "Joined",
    "Noted",
    "Offered",
    "Opened",
    "OutcomeChosen",
    "Parted",
    "PraiseGiven",
    "ProcedureEnded",
    "ProcedureMoved",
    "PromiseBroken",
    "PromiseDue",
    "PromiseKept",
    "PromiseMade",
    "PromiseWarned",
    "ProofAsked",
    "ProofGiven",
    "QuestionAsked",
    "QuestionSettled",
    "Rated",
    "Received",
    "Reopened",
    "ReplyPlanned",
    "ReplyProgress",
    "Returned",
    "SteppedIn",
    "SupervisorCalled",
    "SurveyAsked",
    "TargetMissed",
    "Targeted",
    "Understood",
    "Warned",
    "decode_event",
]


class Opened(CaseEventBase, frozen=True, kw_only=True, tag="opened"):
    """A case began with a contact. `link` and `claims` as in `Identified`."""

    id: str
    tenant: str
    number: str
    person: str
    channel: str
    language: str = ""
    link: str = "new"
    claims: str = ""
    siblings: tuple[str, ...] = ()
    """Cases of the other matters of the contact."""
    disclosed: bool = False
    """The customer knew already, from one of those, that a machine answers."""


class Parted(CaseEventBase, frozen=True, kw_only=True, tag="parted"):
    """A further matter of the customer became a case of its own: `other`, with its `number` and what it is about."""

    other: str
    number: str
    label: str = ""


class Received(CaseEventBase, frozen=True, kw_only=True, tag="received"):
    """A contact of the customer. `actor` is `customer`. `text` is what was written this time, without quotes."""

    contact: str
    route: Route
    text: str = ""
    subject: str = ""
    request: str = ""
    """The channel-neutral signal, if there was one: person, callback, voicemail, confirm, ended; or rating, for a
    contact that is nothing but the score we asked for."""
    attachments: tuple[str, ...] = ()
    """Names or media types of what came with it."""
    quality: str = "ok"
    automatic: bool = False


class Understood(CaseEventBase, frozen=True, kw_only=True, tag="understood"):
    """What triage made of the contact."""

    contact: str
    intents: tuple[str, ...] = ()
    confidence: float = 0.0
    department: str = ""
    language: str = ""
    tone: str = "calm"
    urgency: int = 0
    danger: str = ""
    """emergency, self-harm, threat, or nothing."""
    legal: str = ""
    reasons: tuple[str, ...] = ()


class Reopened(CaseEventBase, frozen=True, kw_only=True, tag="reopened"):
    """A closed case heard from its customer again."""


class ReplyPlanned(CaseEventBase, frozen=True, kw_only=True, tag="reply-planned"):
    """A reply was handed to its channel. `reply_kind` as `Reply.kind`."""

    reply: str
    channel: str
    reply_kind: str
    text: str
    language: str = ""
    to_person: str = ""
    """Not empty for a reply that went elsewhere than to the writer (a code to the address on file): why."""


class ReplyProgress(CaseEventBase, frozen=True, kw_only=True, tag="reply-progress"):
    """What became of a reply: accepted, delivered, read, failed, unknown; withdrawn when a later one says it."""

    reply: str
    channel: str
    state: str
    permanent: bool = False
    reason: str = ""


class QuestionAsked(CaseEventBase, frozen=True, kw_only=True, tag="question-asked"):
    """Something is asked of the customer."""

    question: Question


class QuestionSettled(CaseEventBase, frozen=True, kw_only=True, tag="question-settled"):
    """The pending question was answered or dropped."""

    question: str
    answer: str = ""


class ProcedureMoved(CaseEventBase, frozen=True, kw_only=True, tag="procedure-moved"):
    """A procedure began or went on."""

    department: str
    procedure: Procedure


class ProcedureEnded(CaseEventBase, frozen=True, kw_only=True, tag="procedure-ended"):
    """A procedure came to its end: done, declined, explained, refused, handed-over,
    replaced, paused (it goes on later)."""

    name: str
    result: str


GOODWILL = "goodwill"
"""The action of giving something on top: its amounts are added up by case."""


class Acted(CaseEventBase, frozen=True, kw_only=True, tag="acted"):
    """Something was done for the customer. `amount` is minor units; `rules` are the rows that permitted it."""

    action: str
    reference: str
    amount: int = 0
    currency: str = ""
    rules: tuple[str, ...] = ()


class ProofAsked(CaseEventBase, frozen=True, kw_only=True, tag="proof-asked"):
    """A confirmation was asked through the address on file."""

    challenge: str
    by: str
    """link (in the thread of the address on file) or code (to the address on file, typed by the writer)."""


class ProofGiven(CaseEventBase, frozen=True, kw_only=True, tag="proof-given"):
    """The writer proved to be a customer."""

    customer: str
    identity: str
    by: str
    person: str = ""


class PromiseMade(CaseEventBase, frozen=True, kw_only=True, tag="promise-made"):
    """Something was promised."""

    promise: Promise


class PromiseKept(CaseEventBase, frozen=True, kw_only=True, tag="promise-kept"):
    """A promise was kept (or taken back by a person, who says so in a note)."""

    id: str


class PromiseWarned(CaseEventBase, frozen=True, kw_only=True, tag="promise-warned"):
    """The end of an open promise is near."""

    id: str
    what: str


class PromiseBroken(CaseEventBase, frozen=True, kw_only=True, tag="promise-broken"):
    """The time of an open promise went by.

    `told` is the channel through which the customer hears an apology; empty when none is said: this was not the first
    time that went by, or there is no way to the customer but the telephone (then a call-back is promised).
    """

    id: str
    what: str
    until: datetime
    told: str = ""


class PromiseDue(CaseEventBase, frozen=True, kw_only=True, tag="promise-due"):
    """The time of a promise that was under way has come, and the systems of record do not say that it was kept."""

    id: str
    what: str


class Targeted(CaseEventBase, frozen=True, kw_only=True, tag="service-promised"):
    """Until when the company promises everybody a first answer and a solution; None leaves the one there is."""

    since: datetime
    first_answer: datetime | None = None
    resolution: datetime | None = None


class TargetMissed(CaseEventBase, frozen=True, kw_only=True, tag="service-missed"):
    """A service promise was not kept in time. `target`: first-answer, resolution."""

    target: str
    until: datetime


class SurveyAsked(CaseEventBase, frozen=True, kw_only=True, tag="survey-asked"):
    """The customer was asked at the end how satisfied he is, from 1 to 5."""

    channel: str


class Rated(CaseEventBase, frozen=True, kw_only=True, tag="rated"):
    """The customer's answer: 1 (very unsatisfied) to 5 (very satisfied)."""

    contact: str
    channel: str
    score: int


class Noted(CaseEventBase, frozen=True, kw_only=True, tag="noted"):
    """Something for people to read; never shown to the customer. `to`: whom it is for; empty: all colleagues."""

    text: str
    to: str = ""


class Joined(CaseEventBase, frozen=True, kw_only=True, tag="joined"):
    """What the customer wrote in another case belongs here (`into` empty) or went there."""

    other: str
    into: str = ""


class AnythingElseAsked(CaseEventBase, frozen=True, kw_only=True, tag="anything-else-asked"):
    """The customer was asked whether there is anything else."""

    channel: str


class AnythingElseAnswered(CaseEventBase, frozen=True, kw_only=True, tag="anything-else-answered"):
    """`answer`: no, yes, or notice (the time of the notice ran out)."""

    answer: str


class OutcomeChosen(CaseEventBase, frozen=True, kw_only=True, tag="outcome-chosen"):
    """How the case ended, in a word: solved, refunded, exchanged, explained, declined, praised, ..."""

    outcome: str


class Closed(CaseEventBase, frozen=True, kw_only=True, tag="closed"):
    """The case is at its end."""


CaseEvent = (
    Opened
    | Parted
    | Received
    | Understood
    | Reopened
    | ReplyPlanned
    | ReplyProgress
    | QuestionAsked
    | QuestionSettled
    | ProcedureMoved
    | ProcedureEnded
    | Acted
    | ProofAsked
    | ProofGiven
    | PromiseMade
    | PromiseKept
    | PromiseWarned
    | PromiseBroken
    | PromiseDue
    | Targeted
    | TargetMissed
    | HandedOver
    | Returned
    | Warned
    | Assigned
    | Offered
    | SteppedIn
    | CallBackAsked
    | CallBackTried
    | CallBackMissed
    | CallBackEnded
    | HoldStarted
    | HoldWarned
    | HoldReturned
    | HoldEnded
    | SupervisorCalled
    | ConversationEnded
    | BreakOffered
    | PraiseGiven
    | SurveyAsked
    | Rated
    | Noted
    | Joined
    | AnythingElseAsked
    | AnythingElseAnswered
    | OutcomeChosen
    | Closed
)

EVENT_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in CaseEvent.__args__}
"""The word in column `kind` of the timeline, by event."""

_decoder: msgspec.json.Decoder[CaseEvent] = msgspec.json.Decoder(CaseEvent)


def decode_event(data: str) -> CaseEvent:
    """An event of the timeline from column `data`."""
    return _decoder.decode(data)
