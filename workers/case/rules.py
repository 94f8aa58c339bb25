"""What a case decides. Pure: no clock, no store, no channel. What follows from it: `workers.case.evolving`."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from bus.message.reply import STATE_RANK
from workers.case import callback, events, hold, model, temper
from workers.case.closing import SAYS_NOTHING_NEW, what_is_missing
from workers.case.events import CaseEvent
from workers.case.model import PERSON_PROMISE, CaseState, Promise

__all__ = [
    "PERSON_PROMISE",
    "Close",
    "ComeBack",
    "Command",
    "HandOver",
    "Happened",
    "Hold",
    "Open",
    "Receive",
    "Refused",
    "Reply",
    "Track",
    "Understand",
    "decide",
    "says_something",
]


class Refused(Exception):
    """The case does not allow this now. `missing` names each reason by the key of its phrase."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        super().__init__(", ".join(missing))
        self.missing = missing


class _Command(msgspec.Struct, frozen=True, kw_only=True):
    actor: str = model.MACHINE


class Open(_Command, frozen=True, kw_only=True):
    """Begin a case with a contact."""

    id: str
    tenant: str
    number: str
    person: str
    channel: str
    language: str = ""
    link: str = "new"
    claims: str = ""
    siblings: tuple[str, ...] = ()
    disclosed: bool = False


class Receive(_Command, frozen=True, kw_only=True):
    """A contact of the customer came in. Once per contact; a closed case opens again."""

    received: events.Received


class Understand(_Command, frozen=True, kw_only=True):
    """What triage made of a contact. From the tone `supervisor_at` on, or when it rises again, a supervisor is told."""

    understood: events.Understood
    supervisor_at: str


class Reply(_Command, frozen=True, kw_only=True):
    """A reply was decided. A person's reply keeps the promise that a person answers."""

    planned: events.ReplyPlanned


class Track(_Command, frozen=True, kw_only=True):
    """News of a reply. Lower ranks are no news; a final failure hands the case to people, who answer by `until`."""

    progress: events.ReplyProgress
    until: datetime


class HandOver(_Command, frozen=True, kw_only=True):
    """People take it from here, by `until`."""

    reason: str
    until: datetime
    what: str = "answer"


class Hold(_Command, frozen=True, kw_only=True):
    """A person asks the customer for a moment, with the reason. Raises Refused with `reason`, or `channel` when nobody
    waits on one."""

    reason: str


class ComeBack(_Command, frozen=True, kw_only=True):
    """We come back to somebody who waits, with apology and reason, because no person did."""

    planned: events.ReplyPlanned


class Close(_Command, frozen=True, kw_only=True):
    """End the case with an outcome (or the one already chosen). Raises Refused with everything that is missing."""

    outcome: str = ""


class Happened(_Command, frozen=True, kw_only=True):
    """Something that needs no rule but to be written down."""

    event: CaseEvent


Command = Open | Receive | Understand | Reply | Track | HandOver | Hold | ComeBack | Close | Happened


def decide(state: CaseState | None, command: Command, now: datetime) -> tuple[CaseEvent, ...]:
    """The events that follow from a command. Raises Refused when the case does not allow it.

    Whatever goes on in a closed case opens it first: the outcome and the answer with which it was closed are spent, and
    it is closed again by the same rule.
    """
    decided = _decided(state, command, now)
    if state is None or state.status != model.CLOSED or not any(map(_goes_on, decided)):
        return decided
    if any(isinstance(event, events.Reopened) for event in decided):
        return decided
    return (events.Reopened(at=now, actor=decided[0].actor), *decided)


def _goes_on(event: CaseEvent) -> bool:
    """Whether somebody has to do something after it, or has done it for the customer by hand."""
    if isinstance(event, events.ReplyPlanned):
        return event.actor != model.MACHINE
    return isinstance(event, _GOES_ON)


_GOES_ON = (
    events.HandedOver, events.Returned, events.ConversationEnded, events.QuestionAsked, events.AnythingElseAsked,
    events.AnythingElseAnswered,
)  # fmt: skip


def _decided(state: CaseState | None, command: Command, now: datetime) -> tuple[CaseEvent, ...]:
    if isinstance(command, Open):
        if state is not None:
            return ()
        fields = {name: getattr(command, name) for name in command.__struct_fields__}
        return (events.Opened(at=now, **fields),)
    if state is None:
        raise Refused(("case",))
    if isinstance(command, Happened):
        return (command.event,)
    match command:
        case Receive():
            return (*_receive(state, command.received, now), *_about_calling(state, command.received, now))
        case Understand():
            return _understand(state, command, now)
        case Reply():
            return _reply(state, command.planned, now)
        case Track():
            return _track(state, command.progress, command.until, now)
        case HandOver():
            return _hand_over(state, command, now)
        case Hold():
            return _hold(state, command, now)
        case ComeBack():
            return (command.planned, *hold.come_back(state, command.planned.reply, now))
        case Close():
            return _close(state, command, now)


def _receive(state: CaseState, received: events.Received, now: datetime) -> tuple[CaseEvent, ...]:
    if received.contact in state.contacts:
        return ()
    if received.request == "ended":
        # A line that goes dead after the end is no new word.
        return (received, *hold.end(state, "left", now))
    if received.request == "rating":
        # A score is an answer to our own question, and opens nothing.
        return (received,)
    if state.status == model.CLOSED and not received.automatic:
        return (events.Reopened(at=now, actor=received.actor), received)
    if state.with_person and not received.automatic:
        # Whoever writes to a person waits for that person's next words.
        return (received, *hold.begin(state, received.route.channel, now))
    return (received,)


def says_something(received: events.Received) -> bool:
    """Whether the customer got in touch with it: neither a machine, nor a line that went dead, nor a mere score."""
    return not received.automatic and received.request not in ("ended", "rating")


def _about_calling(state: CaseState, received: events.Received, now: datetime) -> tuple[CaseEvent, ...]:
    """Somebody asks to be called, or comes back before that."""
    route = received.route
    if received.contact in state.contacts or not says_something(received):
        return ()
    if received.request == callback.KIND:
        number = route.address.address if route.address.address.startswith("+") else ""
        return callback.ask(state, number, route.account, now)
    return callback.came_back(state, now)


def _understand(state: CaseState, command: Understand, now: datetime) -> tuple[CaseEvent, ...]:
    understood = command.understood
    reason = temper.supervisor_for(state, understood.tone, command.supervisor_at, danger=bool(understood.danger))
    called = (events.SupervisorCalled(at=now, reason=reason),) if reason else ()
    return (command.understood, *called)


def _reply(state: CaseState, planned: events.ReplyPlanned, now: datetime) -> tuple[CaseEvent, ...]:
    if any(note.id == planned.reply for note in state.replies):
        return ()
    if planned.actor == model.MACHINE:
        return (planned,)
    kept = tuple(
        events.PromiseKept(at=now, actor=planned.actor, id=promise.id)
        for promise in state.open_promises()
        if promise.id == PERSON_PROMISE
    )
    return (planned, *kept, *hold.end(state, "answered", now, actor=planned.actor))


def _track(
    state: CaseState, progress: events.ReplyProgress, until: datetime, now: datetime
) -> tuple[CaseEvent, ...]:  # fmt: skip
    note = next((note for note in state.replies if note.id == progress.reply), None)
    if note is None or STATE_RANK.get(progress.state, 0) <= STATE_RANK.get(note.state, -1):
        return ()
    lost = progress.state == "failed" and progress.permanent
    if not lost or note.kind in ("goodbye", "hold", "acknowledgement", "survey", "internal", callback.KIND):
        return (progress,)
    if state.status == model.CLOSED and progress.reason == "closed":
        # It was not sent because the case had come to its end without it.
        return (progress,)
    made = _promise_person(state, "answer", until, model.MACHINE, now)
    if state.with_person:
        # Whoever answered by hand has kept the promise with words that nobody heard.
        unheard = note.kind not in SAYS_NOTHING_NEW and not state.awaits_person()
        return (progress, made) if unheard else (progress,)
    return (progress, events.HandedOver(at=now, reason="reply-failed"), made)


def _hand_over(state: CaseState, command: HandOver, now: datetime) -> tuple[CaseEvent, ...]:
    open_one = next((p for p in state.open_promises() if p.id == PERSON_PROMISE), None)
    # Who would rather be called was told when, and that holds from here on.
    told = command.what == callback.KIND and open_one is not None and open_one.what != callback.KIND
    # Otherwise a second hand-over never makes the customer wait longer than the first one promised.
    made = (
        ()
        if open_one is not None and open_one.until <= command.until and not told
        else (_promise_person(state, command.what, command.until, command.actor, now),)
    )
    waits = hold.begin(state, state.channel, now)
    if state.with_person:
        return (*made, *waits)
    return (events.HandedOver(at=now, actor=command.actor, reason=command.reason), *made, *waits)


def _promise_person(state: CaseState, what: str, until: datetime, actor: str, now: datetime) -> events.PromiseMade:
    """The promise that a person answers: of the one who has the case, or of all at the desk."""
    promise = Promise(id=PERSON_PROMISE, what=what, by=state.assignee or actor, until=until)
    return events.PromiseMade(at=now, actor=actor, promise=promise)


def _hold(state: CaseState, command: Hold, now: datetime) -> tuple[CaseEvent, ...]:
    if command.reason not in hold.REASONS:
        raise Refused(("reason",))
    begun = hold.begin(state, state.channel, now, actor=command.actor, reason=command.reason)
    if not begun:
        raise Refused(("channel",))
    return begun


def _close(state: CaseState, command: Close, now: datetime) -> tuple[CaseEvent, ...]:
    if state.status == model.CLOSED:
        return ()
    chosen = replace(state, outcome=command.outcome or state.outcome)
    missing = what_is_missing(chosen, now, by_person=command.actor != model.MACHINE)
    if missing:
        raise Refused(missing)
    closed = (*hold.end(state, "closed", now, actor=command.actor), events.Closed(at=now, actor=command.actor))
    if chosen.outcome == state.outcome:
        return closed
    return (events.OutcomeChosen(at=now, actor=command.actor, outcome=chosen.outcome), *closed)
