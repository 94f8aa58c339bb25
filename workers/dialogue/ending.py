"""How conversations end: goodbye, thanks after the end, a line that is left, and "stop"."""

from bus.store.permission import recipient_key, withdrawal_write
from workers.case import events, model
from workers.case.merging import family
from workers.case.rules import Close, Refused
from workers.dialogue.manners import ask_satisfaction
from workers.dialogue.turn import Turn

__all__ = ["end_again", "goodbye", "left", "says_goodbye", "stop", "thanks_after_the_end"]


def left(turn: Turn) -> None:
    """The customer left a live channel. After "anything else?" that is an answer; before it is no end."""
    state = turn.state
    if state.anything_else_asked is not None and state.anything_else_answered is None and not state.with_person:
        turn.draft.tell(events.AnythingElseAnswered(at=turn.now, answer="notice"))
        _close(turn)


async def stop(turn: Turn) -> None:
    """Advertising ends, at once and for everybody who is the same human being, and the customer is told so."""
    # The writer's own person, and the one whose case this is: an offer may have gone to another of his addresses.
    # And everybody who is the same human being.
    known = dict.fromkeys(person for person in (turn.item.person, turn.state.person) if person)
    people = {each: None for one in known for each in await family(turn.house.store, turn.tenant, one)}
    recipient = recipient_key(turn.tenant, turn.contact.sender)
    for person in people:
        turn.draft.writes.append(
            withdrawal_write(
                tenant=turn.tenant, person=person, recipient=recipient, evidence=turn.contact.id, now=turn.now
            )
        )
    turn.draft.tell(events.Acted(at=turn.now, action="stop-contact", reference=turn.item.person))
    turn.say("stop.done")
    if turn.state.with_person:
        return
    turn.draft.tell(events.OutcomeChosen(at=turn.now, outcome="stopped"))
    turn.ask_anything_else()


def says_goodbye(turn: Turn) -> bool:
    """Asked whether there is anything else, the customer says no."""
    pending = turn.state.pending
    if pending is None or pending.kind != "anything-else":
        return False
    understood = turn.understanding
    return understood.done or understood.answer == "no" or understood.intent == "talk.thanks_done"


async def goodbye(turn: Turn) -> None:
    """The customer needs nothing else: a last word, and the question how it was where it is asked."""
    turn.draft.tell(events.AnythingElseAnswered(at=turn.now, actor="customer", answer="no"))
    if not turn.live:
        turn.say("goodbye")
    if not await ask_satisfaction(turn):
        if turn.live:
            turn.say("goodbye")
        turn.expect("goodbye", listen=False)
    _close(turn)


def thanks_after_the_end(turn: Turn) -> bool:
    """Thanks in a case that was at its end already."""
    before = turn.draft.before
    settled = before is not None and before.status == model.CLOSING and before.anything_else_answered is not None
    reopened = any(isinstance(event, events.Reopened) for event in turn.draft.events)
    return (reopened or settled) and (turn.understanding.done or turn.understanding.intent == "talk.thanks_done")


def end_again(turn: Turn) -> None:
    """Thanks for a case at its end: nice to read, and no reason to ask what else there is."""
    if not turn.state.outcome:
        turn.draft.tell(events.OutcomeChosen(at=turn.now, outcome="thanked"))
    turn.draft.tell(events.AnythingElseAsked(at=turn.now, channel=turn.channel))
    turn.draft.tell(events.AnythingElseAnswered(at=turn.now, actor="customer", answer="no"))
    if turn.live:
        turn.say("goodbye")
        turn.expect("goodbye", listen=False)
    _close(turn)


def _close(turn: Turn) -> None:
    try:
        turn.draft.do(Close())
    except Refused:
        # The last answer has not been reported as delivered yet: `CaseWorker` closes when it is.
        return
