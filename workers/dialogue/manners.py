"""What is owed to people beside their request: calm, protection, thanks for praise, an ear for dissatisfaction."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from bus.delivery.consent import SURVEY
from bus.opening_hours import closing_time, is_open, open_days_later
from workers.case import events, model
from workers.case.consent import permits_survey
from workers.case.model import PERSON_PROMISE, Promise
from workers.case.praise import meant
from workers.case.protection import end_live, may_end, written_way
from workers.case.satisfaction import asks, rating_of
from workers.dialogue.praising import give_praise
from workers.dialogue.turn import Turn

__all__ = ["abused", "ask_satisfaction", "in_danger", "pass_on_praise", "rate", "rated", "written_down"]

_PRAISE = "feedback.praise"


async def abused(turn: Turn) -> None:
    """An insult. What is behind it is dealt with all the same, by a person; staff are warned by the case's tone.

    The first is answered with a calm notice. After that a live conversation ends, unless a person has it in hand, who
    decides for himself; in writing the answer goes on.
    """
    state = turn.state
    if turn.live and state.warned and not state.assignee and may_end(state):
        turn.settle()
        written = await written_way(turn.house.store, state)
        reason = "threats" if turn.understanding.danger == "threat" else "insults"
        until = turn.person_by(in_writing=True)
        end_live(turn.draft, turn.pack, actor=model.MACHINE, reason=reason, written=written, until=until)
        return
    if not state.warned:
        turn.say("tone.abusive")
        turn.draft.tell(events.Warned(at=turn.now))
    turn.settle()
    if turn.live and state.ended:
        turn.await_person()
    else:
        turn.hand_over("abusive")


def in_danger(turn: Turn) -> None:
    """Somebody's life may be at stake: a person at once, and for whoever does not want to live, whom to call now."""
    if turn.understanding.danger == "self-harm":
        turn.say("danger.self-harm")
    turn.settle()
    service = turn.pack.policy.service
    # As soon as for somebody who waits on the line, while people work who can keep that.
    soon = turn.now + timedelta(minutes=service.person_minutes_live) if is_open(service.hours, turn.now) else None
    turn.hand_over("danger", until=soon)


async def pass_on_praise(turn: Turn) -> bool:
    """Write down who is praised, in the customer's words, and pass it on. False when there is no praise to pass on.

    Beside a request of another kind, kind words count only when they name somebody: "great service" may be meant
    otherwise by whoever was charged twice.
    """
    understood = turn.understanding
    if not understood.praise:
        return False
    state, text = turn.state, turn.contact.own_text()
    colleagues = await turn.house.colleagues(turn.tenant) if turn.house.colleagues is not None else ()
    sender = turn.contact.sender
    names = meant(text, colleagues, state.helpers, writer=sender.name)
    plain = understood.intent == _PRAISE or understood.intent.startswith("talk.") or understood.done
    if not plain and not meant(text, colleagues, (), writer=sender.name):
        return False
    give_praise(
        turn.draft, turn.pack, contact=turn.contact.id, text=text, names=names, colleagues=colleagues,
        who=sender.name or sender.address, channel=turn.channel,
    )  # fmt: skip
    return True


async def ask_satisfaction(turn: Turn) -> bool:
    """Ask with the goodbye how satisfied the customer is. False when this customer is not asked."""
    if not asks(turn.state, turn.pack.policy.satisfaction, turn.channel) or turn.route is None:
        return False
    if not await permits_survey(turn.house.store, turn.state, turn.route, turn.now):
        return False
    turn.say("satisfaction.ask" if turn.live else "satisfaction.ask-letter")
    turn.draft.tell(events.SurveyAsked(at=turn.now, channel=turn.channel))
    turn.expect("survey", listen=turn.live)
    turn.purpose = SURVEY
    return True


def rate(turn: Turn) -> None:
    """Look for the score that we asked for, before the contact is written down."""
    contact, state = turn.contact, turn.state
    if contact.automatic or contact.native.get("request"):
        return
    digits = str(contact.native.get("digits", ""))
    settings = turn.pack.policy.satisfaction
    turn.rating = rating_of(state, contact.own_text(), digits, turn.pack.language(state.language), turn.now, settings)


def rated(turn: Turn) -> bool:
    """The customer has said how satisfied he is. False when the contact says more, which is answered as ever."""
    rating = turn.rating
    if rating is None:
        return False
    turn.draft.tell(
        events.Rated(
            at=turn.now, actor="customer", contact=turn.contact.id, channel=turn.contact.channel, score=rating.score
        )
    )
    if rating.score <= turn.pack.policy.satisfaction.follow_up_at:
        _follow_up(turn)
        return True
    if rating.alone and turn.live:
        turn.say("satisfaction.thanks")
        turn.expect("goodbye", listen=False)
    return rating.alone


def written_down(turn: Turn) -> None:
    """Whoever writes on, calmly, into a conversation that was ended is told where his words are."""
    turn.await_person()
    promised = next(promise.until for promise in turn.state.open_promises() if promise.id == PERSON_PROMISE)
    turn.say("protection.added", date=turn.date(promised), number=turn.state.number)
    turn.expect("acknowledgement", listen=False)


def _follow_up(turn: Turn) -> None:
    """A low score: a supervisor is called, and a person gets back to the customer by the end of the next working
    day."""
    if turn.state.status == model.CLOSED:
        turn.draft.tell(events.Reopened(at=turn.now))
    turn.draft.tell(events.SupervisorCalled(at=turn.now, reason="satisfaction"))
    hours = turn.pack.policy.service.hours
    today = turn.now.astimezone(ZoneInfo(hours.zone)).date()
    until = closing_time(hours, open_days_later(hours, today, 1))
    if not turn.state.with_person:
        # By hand and not by the rule: whoever has just said goodbye does not wait on the line for a person.
        turn.draft.tell(events.HandedOver(at=turn.now, reason="satisfaction"))
    if not turn.state.awaits_person():
        promise = Promise(id=PERSON_PROMISE, what="answer", by=turn.state.assignee or model.MACHINE, until=until)
        turn.draft.tell(events.PromiseMade(at=turn.now, promise=promise))
    promised = next(promise.until for promise in turn.state.open_promises() if promise.id == PERSON_PROMISE)
    turn.say("satisfaction.sorry", date=turn.date(promised), number=turn.state.number)
    turn.expect("goodbye" if turn.live else "acknowledgement", listen=False)
