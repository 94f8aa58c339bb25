"""The case: its state and what can happen to it.

A case is a decider: `workers.case.rules.decide(state, command, now) -> events` and `evolve(state, event) -> state`,
both pure. The events are the timeline that people read; the snapshot is derived from them and carries their number as
its version. So a rule can be corrected and last week replayed.
"""

from datetime import datetime

import msgspec

from bus.message import Party

__all__ = [
    "CLOSED",
    "CLOSING",
    "EVENT_KINDS",
    "MACHINE",
    "OPEN",
    "PERSON_PROMISE",
    "STATUSES",
    "WAITING_CUSTOMER",
    "WAITING_PERSON",
    "Acted",
    "AnythingElseAnswered",
    "AnythingElseAsked",
    "Assigned",
    "CaseEvent",
    "CaseState",
    "Closed",
    "HandedOver",
    "Hold",
    "HoldEnded",
    "HoldReturned",
    "HoldStarted",
    "HoldWarned",
    "Joined",
    "Noted",
    "Opened",
    "OutcomeChosen",
    "Procedure",
    "ProcedureEnded",
    "ProcedureMoved",
    "Promise",
    "PromiseDue",
    "PromiseKept",
    "PromiseMade",
    "ProofAsked",
    "ProofGiven",
    "Question",
    "QuestionAsked",
    "QuestionSettled",
    "Received",
    "Reopened",
    "ReplyNote",
    "ReplyPlanned",
    "ReplyProgress",
    "Returned",
    "Route",
    "SupervisorCalled",
    "Understood",
    "Warned",
    "decode_event",
]

OPEN = "open"
WAITING_CUSTOMER = "waiting-customer"
WAITING_PERSON = "waiting-person"
CLOSING = "closing"
CLOSED = "closed"
STATUSES = (OPEN, WAITING_CUSTOMER, WAITING_PERSON, CLOSING, CLOSED)

MACHINE = "machine"
"""The actor of everything that software decided. People are actors by their own name."""

PERSON_PROMISE = "person"
"""The promise that a person answers. Any reply of a person keeps it."""


class _Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Route(_Struct, frozen=True, kw_only=True):
    """How the person was last heard on a channel, so that replies go back where the contact came from."""

    channel: str
    account: str
    address: Party
    conversation: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    subject: str = ""
    contact: str = ""
    at: datetime


class Procedure(_Struct, frozen=True, kw_only=True):
    """A procedure under way. `facts` are what is known so far; `asked` counts questions that brought nothing new."""

    name: str
    step: str = ""
    facts: dict[str, str] = {}
    asked: int = 0


class Question(_Struct, frozen=True, kw_only=True):
    """What we wait for from the customer.

    `kind`: fact (facts named in `about`), confirm (yes or no to the proposal), choice (one of `about`), proof (a code
    or the link), tried (did the step help), anything-else, intent (which of two requests, labels in `about`).
    """

    kind: str
    about: tuple[str, ...] = ()
    asked_at: datetime


class Promise(_Struct, frozen=True, kw_only=True):
    """What was promised, by whom, until when. `kept_at` is None while it is open."""

    id: str
    what: str
    by: str
    until: datetime
    kept_at: datetime | None = None


class Hold(_Struct, frozen=True, kw_only=True):
    """Somebody waits on a live channel. `heard` is when we were last heard, `returns` counts our coming back unasked.

    `reply` is the last of them; whoever has not received it has left.
    """

    channel: str
    reason: str
    by: str = MACHINE
    since: datetime
    heard: datetime
    warned: bool = False
    returns: int = 0
    reply: str = ""


class ReplyNote(_Struct, frozen=True, kw_only=True):
    """A reply and how far it came. `state` as in `bus.message.Status`, or `planned`."""

    id: str
    channel: str
    kind: str
    state: str = "planned"


class CaseState(_Struct, frozen=True, kw_only=True):
    """Everything that is known of a case now.

    `version` is the number of events so far. `with_person` says that people answer it: software only records what
    comes in. `proof` is none or confirmed; `customer` is the customer record that the sender was *proven* to be, never
    a guess. `proven` lists the identities (`kind:address`) from which proof was given in this case. `due` is the
    earliest open promise.
    """

    id: str
    tenant: str
    number: str
    version: int = 0
    status: str = OPEN
    person: str = ""
    department: str = ""
    language: str = ""
    tone: str = "calm"
    rises: int = 0
    """How often the tone has risen from one contact to the next."""
    urgency: int = 0
    subject: str = ""
    channel: str = ""
    """The channel of the last contact."""
    heard: int = 0
    """How many contacts of the customer the decisions so far knew (`bus.store.conversation`)."""
    routes: dict[str, Route] = {}
    intents: tuple[str, ...] = ()
    procedure: Procedure | None = None
    pending: Question | None = None
    promises: tuple[Promise, ...] = ()
    proof: str = "none"
    customer: str = ""
    proven: tuple[str, ...] = ()
    challenge: str = ""
    """The challenge that is open, if one is."""
    link: str = ""
    claims: str = ""
    anything_else_asked: datetime | None = None
    anything_else_answered: datetime | None = None
    anything_else_channel: str = ""
    outcome: str = ""
    replies: tuple[ReplyNote, ...] = ()
    contacts: tuple[str, ...] = ()
    """The last contacts, newest last; enough to know one that comes twice."""
    acknowledged: bool = False
    disclosed: bool = False
    """The customer has been told that a machine answers and how to reach a person."""
    warned: bool = False
    """The calm notice to an abusive message has been given."""
    with_person: bool = False
    assignee: str = ""
    hold: Hold | None = None
    supervisor: str = ""
    """Why a supervisor is called, until a person has answered; empty when nobody is."""
    done: tuple[str, ...] = ()
    """What was done for the customer, as `action:reference`."""
    created: datetime
    updated: datetime
    due: datetime | None = None

    def open_promises(self) -> tuple[Promise, ...]:
        """The promises that are not kept yet, the earliest first."""
        return tuple(sorted((p for p in self.promises if p.kept_at is None), key=lambda p: p.until))

    def awaits_person(self) -> bool:
        """Whether the answer of a person is promised."""
        return any(promise.id == PERSON_PROMISE for promise in self.open_promises())

    def route(self) -> Route | None:
        """Where the last contact came from."""
        return self.routes.get(self.channel)


# What can happen. Every event carries when and by whom; `seq` is given by its place.


class CaseEventBase(_Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Common to all events of a case."""

    at: datetime
    actor: str = MACHINE


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


class Received(CaseEventBase, frozen=True, kw_only=True, tag="received"):
    """A contact of the customer. `actor` is `customer`. `text` is what was written this time, without quotes."""

    contact: str
    route: Route
    text: str = ""
    subject: str = ""
    request: str = ""
    """The channel-neutral signal, if there was one: person, callback, voicemail, confirm, ended."""
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
    """A procedure came to its end: done, declined, explained, refused, handed-over, replaced."""

    name: str
    result: str


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


class PromiseDue(CaseEventBase, frozen=True, kw_only=True, tag="promise-due"):
    """The time of an open promise has come."""

    id: str
    what: str


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
    """A supervisor shall look at the case. `reason`: hold, angry, abuse, promise."""

    reason: str


class Noted(CaseEventBase, frozen=True, kw_only=True, tag="noted"):
    """Something for people to read; never shown to the customer."""

    text: str


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
    | PromiseDue
    | HandedOver
    | Returned
    | Warned
    | Assigned
    | HoldStarted
    | HoldWarned
    | HoldReturned
    | HoldEnded
    | SupervisorCalled
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
