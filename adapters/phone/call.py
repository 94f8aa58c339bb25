"""What is known of one call, and what can happen to it: plain data for the pure functions of `machine`."""

import msgspec

__all__ = ["Call", "Event", "Line", "Move", "Pending", "Report", "Turn"]


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Words to speak, ready for the ear, in one language. `slow` for callers who did not understand."""

    text: str
    language: str
    slow: bool = False


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A reply of a worker or a person, taken but not yet spoken."""

    reply: str
    case: str
    text: str
    language: str
    listen: bool = False
    handover: bool = False
    kind: str = "answer"
    by_person: bool = False


class Turn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something the caller did that becomes a contact: its id follows from the call, `event` and `step`.

    `form` holds the provider's parameters that the contact is made from. `at` is in microseconds.
    """

    event: str
    step: int
    at: int
    form: dict[str, str]
    request: str = ""
    native: dict[str, str] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """News of a reply for the bus: delivered when spoken, failed when nobody was there to hear it."""

    reply: str
    case: str
    state: str
    reason: str = ""


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of one call. Everything that a document says follows from it, so that a repeated request gets the
    same bytes.

    `state`: ask (we listen), think (the workers do), queue (waiting for a person), callback, voicemail, goodbye,
    over, busy (never answered).
    `step` numbers the documents; addresses in a document carry its step, so a late request shows itself.
    `applied` is the event that led here, `ready` false while the answer to it is still being waited for.
    Times are microseconds.
    """

    tenant: str
    sid: str
    line: str
    caller: str
    language: str
    began_at: int
    heard_at: int = 0
    """When the provider last asked about the call."""
    state: str = "ask"
    step: int = 0
    applied: str = ""
    ready: bool = True
    saying: tuple[Line, ...] = ()
    question: bool = False
    """The last reply was a question, so keys may be a code or a number of several digits."""
    menu: bool = False
    """The keys menu was offered, so a digit means what the menu said."""
    turn: int = 0
    misses: int = 0
    asked_at: int = 0
    fillers: int = 0
    hold_until: int = 0
    queued_at: int = 0
    queue_step: int = 0
    reason: str = "asked"
    cycle: int = 0
    parked: bool = False
    """The provider has the caller in its queue now."""
    queue_errors: int = 0
    dialled: bool = False
    """The hotline was tried: the next document leads to the queue."""
    pending: tuple[Pending, ...] = ()
    taken: tuple[str, ...] = ()
    """Replies taken so far, so that a repeated sending is not spoken twice."""
    reports: tuple[Report, ...] = ()
    owed: tuple[Turn, ...] = ()
    """Turns that the bus could not take yet; tried again until it does."""

    @property
    def over(self) -> bool:
        """Whether nobody is there to hear anything more."""
        return self.state in ("goodbye", "callback", "over", "busy")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the provider about a call.

    `route`: arrive, said, think, wait, key, left, dialled, recorded, status. `step` is that of the document that led
    to it. `at` in microseconds.
    """

    route: str
    step: int
    at: int
    form: dict[str, str]

    @property
    def key(self) -> str:
        """The same for a request and its repetition."""
        return f"{self.route}/{self.step}"

    @property
    def parked(self) -> bool:
        """Whether the answer is played to a caller inside the provider's queue, where only few verbs are allowed."""
        return self.route in ("wait", "key")

    @property
    def was_connected(self) -> bool:
        """Whether somebody took the call that was dialled for the caller."""
        return self.form.get("DialCallStatus") in ("completed", "answered")

    @property
    def digits(self) -> str:
        return self.form.get("Digits", "")

    @property
    def speech(self) -> str:
        return self.form.get("SpeechResult", "").strip()


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A decision: the call as it shall be, and the turns that the bus has to take first.

    `otherwise` is the call when the bus cannot take them: nothing may be promised that nobody knows of.
    """

    call: Call
    turns: tuple[Turn, ...] = ()
    otherwise: Call | None = None
