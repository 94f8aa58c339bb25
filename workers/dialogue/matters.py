"""Several matters of one customer: each has a case of its own, so that none is forgotten over the other.

A further matter comes with the first one in the same contact, or in the middle of it. Its case is a sibling of the
first: it has a number of its own, both name each other, and the proof that the writer gave in one counts in the other,
because it is the same writer in the same conversation. By mail and post both are worked on at once and each has its
answer. On the phone and in the chat they are worked on one after the other: who turns to something else is followed,
and before "anything else?" comes what is still waiting.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace
from sqlalchemy import bindparam, update

from bus.clock import to_micros
from bus.delivery.outcome import Write
from bus.log.port import Record
from bus.log.topics import LIVE_CHANNELS, lane_of, work_topic
from bus.message import derive_id, encode, envelope
from bus.store.conversation import heard_write
from bus.store.sql import insert_ignore
from workers.case import events, model
from workers.case.changes import Draft, load_cases
from workers.case.model import CaseState
from workers.case.numbers import free_number, taken_in
from workers.case.people import identity_key
from workers.case.rules import Open
from workers.case.schema import contact_case, thread
from workers.case.work import Intent, Matter, Understanding, WorkItem

if TYPE_CHECKING:
    from workers.dialogue.turn import Turn

__all__ = [
    "SIBLING",
    "ask_next",
    "further",
    "give_work",
    "interrupt",
    "item_of",
    "load_waiting",
    "open_sibling",
    "tell_siblings",
]

SIBLING = "sibling"
"""How such a case was found (`Opened.link`): in the words that belong to another one."""

_add_contact = insert_ignore(contact_case, ["tenant", "contact", "matter"])
_follow = (
    update(thread)
    .where(
        thread.c.tenant == bindparam("b_tenant"),
        thread.c.channel == bindparam("b_channel"),
        thread.c.conversation == bindparam("b_conversation"),
    )
    .values(case_id=bindparam("b_case"))
)


def item_of(turn: "Turn", case: str, matter: Matter) -> WorkItem:
    """The contact once more, as far as it is about this matter."""
    understanding = replace(
        turn.understanding,
        department=matter.department,
        intents=(Intent(label=matter.label, confidence=matter.confidence),),
        decision="accept",
        question=(),
        answering=False,
        answer="",
        done=False,
        legal=matter.legal,
        entities=matter.entities,
        also=(),
    )
    return WorkItem(contact=turn.contact, case=case, person=turn.item.person, understanding=understanding, link=SIBLING)


def _objects(matter: Matter) -> Sequence[str]:
    """What tells a matter from another one of the same contact with the same label."""
    return sorted({f"{each.kind}:{each.value}" for each in matter.entities if each.kind in ("order", "invoice")})


async def open_sibling(turn: "Turn", matter: Matter) -> Draft:
    """A case of its own for a further matter. Both cases name each other; nothing is worked on yet."""
    main = turn.state
    case_id = derive_id("k", turn.tenant, turn.contact.id, matter.label, *_objects(matter))
    number = await free_number(turn.tenant, case_id, taken_in(turn.house.store, turn.tenant))
    draft = Draft(None, turn.now, hours=turn.pack.policy.service.hours)
    draft.do(
        Open(
            id=case_id, tenant=turn.tenant, number=number, person=main.person or turn.item.person,
            channel=turn.contact.channel, language=turn.language, link=SIBLING, siblings=(main.id, *main.siblings),
            # Whoever is talked to hears it in the words of this turn at the latest.
            disclosed=main.disclosed or turn.live,
        )
    )  # fmt: skip
    _share_proof(turn, draft)
    turn.draft.tell(events.Parted(at=turn.now, other=case_id, number=number, label=matter.label))
    turn.matters += 1
    row = {
        "tenant": turn.tenant, "contact": turn.contact.id, "matter": turn.matters, "case_id": case_id,
        "channel": turn.contact.channel, "at": to_micros(turn.now),
    }  # fmt: skip
    draft.writes += [Write(statement=_add_contact, params=row, expect=1), heard_write(turn.tenant, case_id)]
    turn.opened.append(draft)
    return draft


def give_work(turn: "Turn", draft: Draft, matter: Matter) -> None:
    """Let the department of a matter work on it, now and in its own case."""
    _give(turn, draft, matter.department, item_of(turn, draft.state.id, matter))


def _give(turn: "Turn", draft: Draft, department: str, item: WorkItem) -> None:
    contact = item.contact
    record_id = derive_id("w", turn.tenant, contact.id, item.case)
    headers = envelope(
        record_id=record_id, kind="work", source=f"workers/{turn.department}", tenant=turn.tenant, at=turn.now,
        subject=item.case, deadline=contact.deadline,
    )  # fmt: skip
    topic = work_topic(department, lane_of(contact.channel))
    draft.emit.append(Record(topic=topic, key=item.case, value=encode(item), id=record_id, headers=headers))


async def tell_siblings(turn: "Turn") -> None:
    """The writer has proved by the link of this case who he is: other matters of his that wait for just that go on.

    Each has sent its own message with its own link, which still says yes to what that message proposes. On the phone
    and in the chat the other matters come to it by themselves.
    """
    if turn.live or not turn.state.siblings:
        return
    found = await load_cases(turn.house.store, [(turn.tenant, case) for case in turn.state.siblings])
    for state in sorted(found.values(), key=lambda state: (state.created, state.id)):
        route, pending = state.route(), state.pending
        if pending is None or pending.kind != "proof" or state.with_person or turn.writer in state.proven:
            continue
        if route is None or identity_key(route.address) != turn.writer or not state.department:
            continue
        turn.draft.writes.append(heard_write(turn.tenant, state.id))
        understanding = replace(turn.understanding, department=state.department)
        item = WorkItem(
            contact=turn.contact, case=state.id, person=state.person, understanding=understanding, link=SIBLING
        )
        _give(turn, turn.draft, state.department, item)


async def interrupt(turn: "Turn") -> None:
    """The customer turns to something else in the middle: that is worked on at once, and this one waits as it is."""
    understood = turn.understanding
    matter = Matter(
        label=understood.intent,
        confidence=understood.intents[0].confidence,
        department=understood.department,
        legal=understood.legal,
        entities=understood.entities,
    )
    draft = await open_sibling(turn, matter)
    give_work(turn, draft, matter)
    turn.let_stand()
    if turn.live:
        _talk_goes_on_in(turn, draft.state)


async def load_waiting(turn: "Turn") -> None:
    """Which other matters of this customer wait for their turn in the same conversation."""
    if not turn.live or not turn.state.siblings:
        return
    known: dict[str, CaseState] = {}
    wanted: Sequence[str] = turn.state.siblings
    while wanted:
        found = await load_cases(turn.house.store, [(turn.tenant, case) for case in wanted])
        known |= {state.id: state for state in found.values()}
        # A sibling of a sibling is one too.
        further = {case for state in found.values() for case in state.siblings}
        wanted = sorted(further - known.keys() - {turn.state.id})
    waiting = [state for state in known.values() if _waits(state) and state.channel == turn.channel]
    turn.waiting += sorted(waiting, key=lambda state: (state.created, state.id))


def _waits(state: CaseState) -> bool:
    """Whether a case would go on if only the customer turned to it."""
    if state.with_person or state.status in (model.CLOSED, model.CLOSING):
        return False
    return state.procedure is not None or (state.pending is not None and state.pending.kind == "next")


def ask_next(turn: "Turn") -> bool:
    """Before "anything else?" comes the next matter that waits. False when there is none.

    What was paused in this case comes first. Then this case has said what it had to say: "anything else?" is answered
    by what is still waiting, and the conversation goes on in the other case. Either asks whether to go on, so that
    nobody is surprised.
    """
    if turn.live and turn.state.paused:
        label = _label_of_paused(turn)
        turn.say("matter.back", name=_name(turn, label), number=turn.state.number)
        turn.ask("next", (label,))
        return True
    if not turn.waiting:
        return False
    other = turn.waiting.pop(0)
    begun = other.procedure is not None and (other.pending is None or other.pending.kind != "next")
    label = _label_of(other)
    turn.say("matter.back" if begun else "matter.next", name=_name(turn, label), number=other.number)
    turn.draft.tell(events.AnythingElseAsked(at=turn.now, channel=turn.channel))
    turn.draft.tell(events.AnythingElseAnswered(at=turn.now, answer="next"))
    turn.expect("question")
    at_hand = (*turn.opened, *turn.drafts)
    draft = next((draft for draft in at_hand if draft.state.id == other.id), None)
    if draft is None:
        draft = Draft(other, turn.now, hours=turn.pack.policy.service.hours)
        turn.opened.append(draft)
    _share_proof(turn, draft)
    turn.ask_in(draft, "next", (label,))
    _talk_goes_on_in(turn, draft.state)
    return True


def _name(turn: "Turn", label: str) -> str:
    issue = turn.pack.issues.get(label)
    return issue.names.get(turn.language, label) if issue is not None else label


def _label_of_paused(turn: "Turn") -> str:
    """The reason for contact that led to the procedure that was paused last."""
    paused = turn.state.paused[-1].name
    issues = turn.pack.issues
    of_procedure = [label for label, issue in issues.items() if issue.procedure == paused]
    return next((label for label in turn.state.intents if label in of_procedure), next(iter(of_procedure), paused))


def _label_of(state: CaseState) -> str:
    if state.pending is not None and state.pending.kind == "next" and state.pending.about:
        return state.pending.about[0]
    return state.intents[0] if state.intents else ""


def _share_proof(turn: "Turn", draft: Draft) -> None:
    """Who has proved to be the customer in this conversation has proved it for all that is said in it."""
    if not turn.proven or turn.writer in draft.state.proven:
        return
    main = turn.state
    draft.tell(
        events.ProofGiven(
            at=turn.now, actor="customer", customer=main.customer, identity=turn.writer, by=SIBLING, person=main.person
        )
    )


def _talk_goes_on_in(turn: "Turn", state: CaseState) -> None:
    contact = turn.contact
    if contact.channel in LIVE_CHANNELS and contact.conversation:
        place = {
            "b_tenant": turn.tenant, "b_channel": contact.channel, "b_conversation": contact.conversation,
            "b_case": state.id,
        }  # fmt: skip
        turn.draft.writes.append(Write(statement=_follow, params=place))


def further(understanding: Understanding) -> Sequence[Matter]:
    """The further matters of a contact that may be parted from its first: none of an answer, or of what is unsure."""
    if understanding.decision != "accept" or understanding.answering:
        return ()
    return understanding.also
