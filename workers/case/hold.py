"""The hold contract: whoever waits on a live channel hears from us within 60 seconds, with an apology and the reason.

Pure. A hold begins when a person is fetched, when the customer writes to a person, or when a person asks for a moment;
it ends with a person's words. Until then a durable timer takes the next step of it:

    heard ---- 45 s ----> the representative is warned ---- 10 s ----> we come back by ourselves, and the clock restarts

The limit is the product's promise and no setting.
"""

from datetime import datetime, timedelta

from bus.log.topics import LIVE_CHANNELS
from workers.case import events, model
from workers.case.events import CaseEvent
from workers.case.model import CaseState, Hold

__all__ = [
    "COME_BACK_AFTER",
    "LIMIT",
    "MOST_RETURNS",
    "REASONS",
    "WARN_AFTER",
    "begin",
    "come_back",
    "end",
    "has_left",
    "next_step",
    "words_of",
]

LIMIT = timedelta(seconds=60)
"""Nobody waits longer for a word."""

COME_BACK_AFTER = timedelta(seconds=55)
"""Five seconds for deciding, sending and the last metre."""

WARN_AFTER = timedelta(seconds=45)
"""Ten seconds in which the representative can still come back in person."""

MOST_RETURNS = 4
"""After so many returns without a person we stop asking for patience: the customer is told by when an answer comes,
and is free to leave."""

OFFER_FROM = 2
"""From this return on another way is offered: to be called."""

REASONS = ("busy", "looking", "order", "invoice", "stock", "colleague", "system")
"""What may be said of why it takes so long; each has its sentence in the pack. A person chooses the true one; `busy`
and `looking` are ours when nobody has said anything: nobody has the case yet, somebody has."""

_SPEAKS_BY_ITSELF = frozenset({"phone"})
"""The queue of the telephone speaks every half minute by its own clock, which no crash of a worker can stop."""


def is_held_on(channel: str) -> bool:
    """Whether waiting on a channel is a hold that the case has to keep."""
    return channel in LIVE_CHANNELS and channel not in _SPEAKS_BY_ITSELF


def begin(
    state: CaseState, channel: str, now: datetime, *, actor: str = model.MACHINE, reason: str = ""
) -> tuple[CaseEvent, ...]:
    """The customer waits from now on; a hold that lasts already only gets another reason, and its clock goes on.

    Nobody waits in a case that is closed: with his next word it opens again, and he waits then.
    """
    if not is_held_on(channel) or (state.hold is not None and not reason) or state.status == model.CLOSED:
        return ()
    if state.ended and not reason:
        # The conversation was ended; he knows by when he has an answer.
        return ()
    reason = reason or ("looking" if state.assignee else "busy")
    return (events.HoldStarted(at=now, actor=actor, channel=channel, reason=reason),)


def end(state: CaseState, how: str, now: datetime, *, actor: str = model.MACHINE) -> tuple[CaseEvent, ...]:
    """Nobody waits any more; nothing when nobody did."""
    hold = state.hold
    if hold is None:
        return ()
    seconds = int((now - hold.since).total_seconds())
    return (events.HoldEnded(at=now, actor=actor, how=how, seconds=seconds, returns=hold.returns),)


def come_back(state: CaseState, reply: str, now: datetime) -> tuple[CaseEvent, ...]:
    """We have come back with `reply` because no person did: a supervisor is called, and after the last return the
    customer is free."""
    hold = state.hold
    if hold is None:
        return ()
    returned = events.HoldReturned(at=now, reply=reply, reason=hold.reason)
    called = () if state.supervisor else (events.SupervisorCalled(at=now, reason="hold"),)
    if hold.returns < MOST_RETURNS:
        return (returned, *called)
    return (returned, *called, *end(state, "let-go", now))


def has_left(state: CaseState) -> bool:
    """Whether our last return reached nobody: the window is closed, and we talk to ourselves."""
    hold = state.hold
    if hold is None or not hold.reply:
        return False
    note = next((note for note in state.replies if note.id == hold.reply), None)
    return note is not None and note.state not in _HEARD


_HEARD = frozenset({"delivered", "read"})


def next_step(hold: Hold) -> tuple[str, datetime]:
    """What is to be done next and when: `warn` or `return`."""
    if not hold.warned:
        return "warn", hold.heard + WARN_AFTER
    return "return", hold.heard + COME_BACK_AFTER


def words_of(hold: Hold) -> str:
    """The key of the phrase of the next return: the first, a later one, one with an offer, or the one that lets go."""
    if hold.returns >= MOST_RETURNS:
        return "hold.let-go"
    if hold.returns >= OFFER_FROM:
        return "hold.offer"
    return "hold.again" if hold.returns else "hold.first"
