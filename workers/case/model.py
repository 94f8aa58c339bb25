"""What is known of a case now: the snapshot, derived from its events (`workers.case.events`), and its parts.

A case is a decider: `workers.case.rules.decide(state, command, now) -> events` and
`workers.case.evolving.evolve(state, event) -> state`, both pure. The snapshot carries the number of its events as its
version. So a rule can be corrected and last week replayed.
"""

from datetime import datetime

import msgspec

from bus.message import Party

__all__ = [
    "CLOSED",
    "CLOSING",
    "MACHINE",
    "OPEN",
    "PERSON_PROMISE",
    "STATUSES",
    "WAITING_CUSTOMER",
    "WAITING_PERSON",
    "CallBack",
    "CaseState",
    "Hold",
    "Procedure",
    "Promise",
    "Question",
    "ReplyNote",
    "Route",
    "Target",
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
    left: bool = False
    """Whoever was heard there has hung up or closed the conversation since: nobody listens any more."""


class Procedure(_Struct, frozen=True, kw_only=True):
    """A procedure under way. `facts` are what is known so far; `asked` counts questions that brought nothing new."""

    name: str
    step: str = ""
    facts: dict[str, str] = {}
    asked: int = 0


class Question(_Struct, frozen=True, kw_only=True):
    """What we wait for from the customer.

    `kind`: fact (facts named in `about`), confirm (yes or no to the proposal), choice (one of `about`), proof (a code
    or the link), tried (did the step help), anything-else, intent (which of two requests, labels in `about`), next
    (whether to go on with this matter now, after another one of the same conversation; its label in `about`).
    """

    kind: str
    about: tuple[str, ...] = ()
    asked_at: datetime


class Promise(_Struct, frozen=True, kw_only=True):
    """What was promised, by whom, until when. `kept_at` is None while it is open.

    `made` is when. `action` (`refund:<id>`, `return:<id>`, `order:<id>`) was set going for it in the systems of record:
    it needs nobody any more, keeps no case open, and is looked after at its time. `warned`: people were told that its
    end is near. `broke` is the first time that was named and went by; a new one may have been named since. `over`:
    the present time has gone by too, and was counted.
    """

    id: str
    what: str
    by: str
    until: datetime
    kept_at: datetime | None = None
    made: datetime | None = None
    action: str = ""
    warned: bool = False
    broke: datetime | None = None
    over: bool = False

    def is_open(self) -> bool:
        """Whether somebody still has to keep it."""
        return self.kept_at is None and not self.action


class Target(_Struct, frozen=True, kw_only=True):
    """A service promise of the company to everybody: how long something may take, counted while people work.

    `paused_at`: the customer has the word since then, and the clock stands still. `missed`: it was kept late or not at
    all.
    """

    since: datetime
    until: datetime
    kept_at: datetime | None = None
    paused_at: datetime | None = None
    missed: bool = False

    def runs(self) -> bool:
        """Whether its time passes."""
        return self.kept_at is None and self.paused_at is None


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


class CallBack(_Struct, frozen=True, kw_only=True):
    """Somebody shall be called at `number`, which keeps its place: the case waits for a person as before.

    `line` is our number that was called, if one was. `place` is by when a person was promised before: whoever asks to
    be called is told another time and served in the order of the old one. `tries` counts how often it was tried;
    `reply` is the sending under way, `next_at` when the next try is due (None: whenever a person has time).
    """

    number: str
    line: str = ""
    asked: datetime
    place: datetime | None = None
    tries: int = 0
    reply: str = ""
    next_at: datetime | None = None


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
    earliest time of an open promise or of a service promise whose clock runs; of a broken one the first that was named.
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
    paused: tuple[Procedure, ...] = ()
    """Procedures that another wish of the customer came into the middle of; the last one goes on first."""
    pending: Question | None = None
    promises: tuple[Promise, ...] = ()
    proof: str = "none"
    customer: str = ""
    proven: tuple[str, ...] = ()
    challenge: str = ""
    """The challenge that is open, if one is."""
    link: str = ""
    claims: str = ""
    siblings: tuple[str, ...] = ()
    """Cases of the other matters of one contact, in the order in which they became known."""
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
    waits_since: datetime | None = None
    """Since when a person has to answer, without one having done so."""
    offered: str = ""
    """To whom the case is offered at this moment."""
    joined: tuple[str, ...] = ()
    """Supervisors who have stepped in beside whoever has the case."""
    callback: CallBack | None = None
    hold: Hold | None = None
    supervisor: str = ""
    """Why a supervisor is called, until a person has answered; empty when nobody is."""
    supervisor_for: str = ""
    """Who called the supervisor and goes on beside; until somebody else has come. Empty when a rule called."""
    ended: str = ""
    """Why a live conversation was ended (`workers.case.protection.REASONS`), until the case is opened again."""
    helpers: tuple[str, ...] = ()
    """The people who have answered the customer."""
    praised: bool = False
    survey_asked: datetime | None = None
    """When the customer was asked how satisfied he is; None again when the case is opened again."""
    satisfaction: int = 0
    """The last score, 1 to 5; 0: none was given."""
    done: tuple[str, ...] = ()
    """What was done for the customer, as `action:reference`."""
    goodwill: dict[str, int] = {}
    """What was given on top in this case without a duty: minor units by currency."""
    chain: str = ""
    """The digest of the last event (`workers.case.chain`)."""
    created: datetime
    updated: datetime
    due: datetime | None = None
    first_answer: Target | None = None
    resolution: Target | None = None

    def open_promises(self) -> tuple[Promise, ...]:
        """The promises that somebody still has to keep, the earliest first."""
        return tuple(sorted((p for p in self.promises if p.is_open()), key=lambda p: p.until))

    def promise(self, id: str) -> Promise | None:
        """The promise of that id that is not kept, be it open or under way."""
        return next((p for p in self.promises if p.id == id and p.kept_at is None), None)

    def awaits_person(self) -> bool:
        """Whether the answer of a person is promised."""
        return any(promise.id == PERSON_PROMISE and promise.is_open() for promise in self.promises)

    def route(self) -> Route | None:
        """Where the last contact came from."""
        return self.routes.get(self.channel)
