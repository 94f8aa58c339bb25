"""The end of an abusive conversation: courteous, in the open, and never the end of the matter.

Only what is live can be ended: a call, a chat. Nobody is cut off in writing, where an insult can be read when one
likes. The customer hears why, that the matter goes on, under which number and until when; the same goes to him in
writing where a written way is known. A person answers, as was promised. It speaks against nobody: `ConversationEnded`
marks the conversation, and whatever is counted of waiting, leaving and satisfaction leaves it out; no survey is sent.
"""

from datetime import datetime

from bus.log.topics import LIVE_CHANNELS
from bus.message import Party
from bus.store.port import Store
from workers.case import events, hold, model
from workers.case.changes import Draft
from workers.case.model import PERSON_PROMISE, CaseState, Route
from workers.case.people import identities_of
from workers.case.rules import HandOver, Refused
from workers.case.telling import tell_customer
from workers.packs import Pack
from workers.records.money import format_date, speak_date

__all__ = ["REASONS", "end_live", "may_end", "written_way"]

REASONS = ("insults", "threats", "harassment")
"""Why a conversation may be ended. That somebody is angry, loud or right is none of them."""

_WRITTEN = ("email", "post")
"""Channels of the written follow-up, the quicker one first."""


def may_end(state: CaseState) -> bool:
    """Whether there is a live conversation that can be ended."""
    route = state.route()
    if route is None or state.status == model.CLOSED:
        return False
    return route.channel in LIVE_CHANNELS and not route.left and not state.ended


async def written_way(store: Store, state: CaseState) -> Route | None:
    """How to write to the customer of a live conversation: as he wrote in this case, else, for somebody who has proven
    who he is, to the address on file. None where no such address is known: then the conversation's own history tells.
    """
    for channel in _WRITTEN:
        if channel in state.routes:
            return state.routes[channel]
    if state.proof != "confirmed" or not state.person:
        return None
    rows = await store.all(identities_of, {"tenant": state.tenant, "person": state.person})
    mail = next((row["address"] for row in rows if row["kind"] == "email" and row["on_file"]), "")
    if not mail:
        return None
    return Route(channel="email", account="", address=Party(kind="email", address=mail), at=state.updated)


def end_live(draft: Draft, pack: Pack, *, actor: str, reason: str, written: Route | None, until: datetime) -> None:
    """End the live conversation of a case. A person answers by the time already promised, or by `until`.

    Raises Refused with `reason` for one that is not in REASONS, with `channel` when nobody is there any more.
    """
    if reason not in REASONS:
        raise Refused(("reason",))
    route = draft.state.route()
    if route is None or not may_end(draft.state):
        raise Refused(("channel",))
    draft.do(HandOver(actor=actor, reason="abusive", until=until))
    for event in hold.end(draft.state, "closed", draft.now, actor=actor):
        draft.tell(event)
    follow_up = written.channel if written is not None else route.channel
    draft.tell(
        events.ConversationEnded(at=draft.now, actor=actor, channel=route.channel, reason=reason, follow_up=follow_up)
    )
    if not draft.state.supervisor:
        draft.tell(events.SupervisorCalled(at=draft.now, reason="abuse"))
    if actor != model.MACHINE:
        minutes = pack.policy.protection.break_minutes
        draft.tell(events.BreakOffered(at=draft.now, to=actor, minutes=minutes))
    promised = next(promise.until for promise in draft.state.open_promises() if promise.id == PERSON_PROMISE)
    language = pack.language(draft.state.language)
    say_date = speak_date if route.channel == "phone" else format_date
    decision = f"end {draft.state.heard}"
    tell_customer(
        draft, pack, route, "protection.end", kind="goodbye", decision=decision, footer="letter.footer",
        date=say_date(promised, language), by_hand=actor != model.MACHINE,
    )  # fmt: skip
    if written is not None:
        footer = "letter.close" if written.channel == "post" else "letter.footer"
        tell_customer(
            draft, pack, written, "protection.follow-up", kind="notice", decision=decision, footer=footer,
            date=format_date(promised, language),
        )  # fmt: skip
