"""What people do with a case at the desk. Each gives an `Outcome` for `store.apply`, or raises `Refused`.

`seen` is the version that the person had before the eyes: when the customer has written since, the reply is refused
with `changed`, and nothing is sent.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bus.delivery.outcome import Outcome
from bus.message import Reply, derive_id
from bus.opening_hours import add_open_time
from workers.case import events, model
from workers.case.changes import Draft, reply_id
from workers.case.closing import notice_ends
from workers.case.model import CaseState, Route
from workers.case.promised import Undertaking
from workers.case.protection import end_live
from workers.case.rules import Close, Hold, Refused
from workers.packs import Pack
from workers.packs.policy import Service

__all__ = ["answer_anything_else", "assign", "close", "end", "give_back", "hold", "keep", "note", "promise", "reply"]

SHARED_DESK = "desk"
"""Whoever signs in by the link of the start has no name of his own; his replies are signed by the company."""


def reply(
    state: CaseState, *, text: str, actor: str, now: datetime, seen: int | None = None, channel: str = "",
    anything_else: bool = False, undertaken: Sequence[Undertaking] = (), service: Service | None = None,
    signed_by: str = "",
) -> Outcome:  # fmt: skip
    """Answer the customer through the channel last heard from (or `channel`).

    `anything_else`: the text asks whether there is anything else, which the closing rule wants to know. `undertaken`:
    what the text promises by a time, each of which becomes a promise of the case. `service` are the company's figures:
    when people can be warned of a promise, and how long an answer to "anything else?" is waited for. `signed_by` is
    what the customer reads of who answers; else it is the name by which the person signs in.

    Raises Refused with `text`, `channel` (never heard there) or `changed`.
    """
    if not text.strip():
        raise Refused(("text",))
    if seen is not None and seen != state.version:
        raise Refused(("changed",))
    route = state.routes.get(channel or state.channel)
    if route is None:
        raise Refused(("channel",))
    draft = Draft(state, now, hours=None if service is None else service.hours)
    subject = route.subject if route.subject[:3].casefold() in ("re:", "aw:", "sv:") else f"Re: {route.subject}"
    if not state.with_person:
        # Whoever answers by hand goes on by hand: software does not talk into it.
        draft.tell(events.HandedOver(at=now, actor=actor, reason="answered by hand"))
    if not state.assignee:
        draft.tell(events.Assigned(at=now, actor=actor, to=actor))
    draft.reply(
        Reply(
            id=reply_id(state, f"desk {state.version}", route.channel, route.address.address),
            tenant=state.tenant, case=state.id, channel=route.channel, account=route.account, to=route.address,
            text=text, language=state.language, kind="answer", automatic=False,
            signed_by="" if actor == SHARED_DESK else signed_by or actor,
            conversation=route.conversation, in_reply_to=route.in_reply_to, references=route.references,
            subject=subject if route.subject else "", case_number=state.number, listen=True,
        ),
        actor=actor,
    )  # fmt: skip
    if anything_else:
        draft.tell(events.AnythingElseAsked(at=now, actor=actor, channel=route.channel))
        if service is not None:
            until = notice_ends(route.channel, now, service.closing_notice_days)
            draft.timers.append(draft.timer("closing-notice", until, now.isoformat(), ""))
    for undertaking in undertaken:
        _promise(draft, undertaking.what, undertaking.until, actor)
    return draft.outcome()


def close(state: CaseState, *, outcome: str, actor: str, now: datetime) -> Outcome:
    """End the case. Raises Refused with everything that is missing (`workers.case.closing.REASONS`)."""
    draft = Draft(state, now)
    draft.do(Close(outcome=outcome, actor=actor))
    return draft.outcome()


def answer_anything_else(state: CaseState, *, answer: str, actor: str, now: datetime) -> Outcome:
    """What the customer said to "anything else?" where a person heard it: `no` or `yes`.

    Raises Refused with `closed`.
    """
    if state.status == model.CLOSED:
        raise Refused(("closed",))
    draft = Draft(state, now)
    if state.anything_else_asked is None:
        draft.tell(events.AnythingElseAsked(at=now, actor=actor, channel=state.channel))
    draft.tell(events.AnythingElseAnswered(at=now, actor=actor, answer=answer))
    return draft.outcome()


def assign(state: CaseState, *, to: str, actor: str, now: datetime) -> Outcome:
    """Give the case to a person; to nobody with an empty `to`."""
    draft = Draft(state, now)
    draft.tell(events.Assigned(at=now, actor=actor, to=to))
    return draft.outcome()


def hold(state: CaseState, *, reason: str, actor: str, now: datetime) -> Outcome:
    """Ask the customer, who waits on a live channel, for a moment. Raises Refused with `reason` or `channel`."""
    draft = Draft(state, now)
    draft.do(Hold(actor=actor, reason=reason))
    return draft.outcome()


def note(state: CaseState, *, text: str, actor: str, now: datetime) -> Outcome:
    """Write something down for people. Raises Refused with `text`."""
    if not text.strip():
        raise Refused(("text",))
    draft = Draft(state, now)
    draft.tell(events.Noted(at=now, actor=actor, text=text))
    return draft.outcome()


def end(
    state: CaseState, *, pack: Pack, reason: str, written: Route | None, actor: str, now: datetime
) -> Outcome:  # fmt: skip
    """End an abusive live conversation (`workers.case.protection`); `written` is the way of the written follow-up.

    Raises Refused with `reason`, or `channel` when nobody is there any more.
    """
    service = pack.policy.service
    draft = Draft(state, now, hours=service.hours)
    until = add_open_time(service.hours, now, timedelta(hours=service.person_open_hours_deferred))
    end_live(draft, pack, actor=actor, reason=reason, written=written, until=until)
    return draft.outcome()


def promise(state: CaseState, *, what: str, until: datetime, actor: str, now: datetime) -> Outcome:
    """Promise the customer something; timers remind the desk.

    Raises Refused with `text` (what?), `until` when that time has passed, or `closed`.
    """
    if not what.strip():
        raise Refused(("text",))
    if until <= now:
        raise Refused(("until",))
    if state.status == model.CLOSED:
        raise Refused(("closed",))
    draft = Draft(state, now)
    _promise(draft, what, until, actor)
    return draft.outcome()


def _promise(draft: Draft, what: str, until: datetime, actor: str) -> None:
    state = draft.state
    promise_id = derive_id("e", state.tenant, state.id, str(state.version), what)
    made = model.Promise(id=promise_id, what=what, by=actor, until=until)
    draft.tell(events.PromiseMade(at=draft.now, actor=actor, promise=made))


def keep(state: CaseState, *, promise_id: str, actor: str, now: datetime) -> Outcome:
    """A promise was kept. Raises Refused with `promise` when it is not open."""
    if all(p.id != promise_id for p in state.open_promises()):
        raise Refused(("promise",))
    draft = Draft(state, now)
    draft.tell(events.PromiseKept(at=now, actor=actor, id=promise_id))
    return draft.outcome()


def give_back(state: CaseState, *, actor: str, now: datetime) -> Outcome:
    """Let software answer this case again. Raises Refused with `promised` while a person's answer is promised, and with
    `closed`: nobody would go on with it."""
    if state.status == model.CLOSED:
        raise Refused(("closed",))
    if state.awaits_person():
        raise Refused(("promised",))
    draft = Draft(state, now)
    draft.tell(events.Returned(at=now, actor=actor))
    return draft.outcome()
