"""What comes in is written into its case: the contact, what was understood, and the promise that begins with it."""

from msgspec.structs import replace

from workers.case import events, model
from workers.case.rules import Receive, Understand
from workers.case.service import promised, resumed
from workers.dialogue.known import route_of
from workers.dialogue.manners import rate
from workers.dialogue.turn import Turn

__all__ = ["QUIET_REQUESTS", "record_contact"]

QUIET_REQUESTS = ("voicemail", "callback")
"""The channel itself has told the caller what happens: another sentence would find nobody on the line."""


def record_contact(turn: Turn) -> bool:
    """Write the contact and what was understood into the case. False when it is there already."""
    contact, understood = turn.contact, turn.understanding
    before = turn.state
    rate(turn)
    alone = turn.rating is not None and turn.rating.alone
    received = events.Received(
        at=turn.now,
        actor="customer",
        contact=contact.id,
        route=route_of(contact),
        text=contact.own_text(),
        subject=contact.subject,
        request="rating" if alone else str(contact.native.get("request", "")),
        attachments=tuple(part.name or part.media_type for part in contact.attachments),
        quality=contact.quality.status,
        automatic=contact.automatic,
    )
    told = turn.draft.do(Receive(received=received))
    if not told:
        return False
    if alone:
        return True
    if not contact.automatic and received.request != "ended":
        _promise_service(turn, before, anew=any(isinstance(event, events.Reopened) for event in told))
    heard = events.Understood(
        at=turn.now,
        contact=contact.id,
        intents=tuple(intent.label for intent in understood.intents),
        confidence=understood.intents[0].confidence if understood.intents else 0.0,
        department=turn.department,
        language="" if contact.channel == "link" else understood.language,
        tone=understood.tone,
        urgency=understood.urgency,
        danger=understood.danger,
        legal=understood.legal,
        reasons=understood.reasons,
    )
    turn.draft.do(Understand(understood=heard, supervisor_at=turn.pack.policy.service.supervisor_at))
    return True


def _promise_service(turn: Turn, before: model.CaseState, *, anew: bool) -> None:
    """What the company promises everybody counts from the moment at which the first contact of the case arrived."""
    service = turn.pack.policy.service
    if anew or before.resolution is None:
        figures = service.promise_of(turn.contact.channel)
        since = min(turn.contact.received_at, turn.now)
        made = promised(figures, service.hours, since, turn.now)
        if turn.contact.native.get("request") in QUIET_REQUESTS:
            # The channel has named its own time for an answer, and the caller goes by that.
            made = replace(made, first_answer=None)
        turn.draft.tell(made)
        return
    goes_on = resumed(before, service.hours, turn.now)
    if goes_on is not None:
        turn.draft.tell(goes_on)
