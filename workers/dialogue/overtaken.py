"""Answers that have not left when the customer writes again: taken into the new one, taken back, or let stand.

The send ledger keeps an answer back once the customer has said more than its decision knew. Here, in the transaction
that decides about the newer words, it is settled what becomes of it, so that nothing is said blindly and nothing is
left unsaid:

- what the new answer makes pointless (the question that is asked anew, a goodbye) is taken back;
- what still has to be said goes into the new answer, before its own words, and is taken back;
- where the new decision says nothing, or something else (that a person will answer), the older answer stands, and goes
  out first.

Each is guarded by the ledger: an answer that leaves in the same moment makes this decision be taken again.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from bus.delivery import ledger
from bus.delivery.ledger import send_ledger
from bus.delivery.outcome import CancelTimer
from bus.message import Reply, decode, encode
from bus.store.port import Row
from workers.case import events
from workers.case.changes import BOUND, Draft
from workers.dialogue.turn import Turn

__all__ = ["look_for_unsent", "settle_unsent"]

_MOST_TOGETHER = 2_000
"""Characters that are taken into another answer; more of it is better read as a message of its own."""


async def look_for_unsent(turn: Turn) -> None:
    """Find out which answers of this case the customer cannot have seen yet."""
    turn.unsent = await _unsent(turn, turn.draft)


async def settle_unsent(turn: Turn) -> None:
    """Decide what becomes of them, once it is known what this turn says."""
    for draft in turn.drafts:
        rows = turn.unsent if draft is turn.drafts[0] else await _unsent(turn, draft)
        for row in reversed(rows):
            _settle(turn, draft, row, decode(row["body"].encode(), Reply))


async def _unsent(turn: Turn, draft: Draft) -> Sequence[Row]:
    state = draft.before
    ids = [note.id for note in state.replies if note.state == "planned" and note.kind in BOUND] if state else []
    if not ids:
        # The snapshot knows of every reply that left; only what it thinks of as waiting costs a look at the ledger.
        return ()
    rows = await turn.house.store.by_keys(ledger.unsent, send_ledger.c.reply, ids, {"tenant": turn.tenant})
    return sorted((row for row in rows if row["heard"]), key=lambda row: ids.index(row["reply"]))


def _settle(turn: Turn, draft: Draft, row: Row, reply: Reply) -> None:
    if reply.kind in ledger.WITH_THE_END:
        _take_back(draft, row)
        return
    if not turn.silent and turn.says in ("answer", "question"):
        if reply.kind == "question" and _made_pointless(draft):
            turn.also_answers(reply)
            _take_back(draft, row)
            return
        if _goes_along(turn, reply):
            turn.also_say(reply)
            _take_back(draft, row)
            return
    answers = (*reply.answers, turn.contact.id) if turn.stands else reply.answers
    reply = replace(reply, answers=answers, heard=draft.state.heard)
    draft.writes.append(ledger.stand_by(row, reply, draft.now))
    if row["reason"] == ledger.OVERTAKEN:
        # It was held, so its record is gone: a new one, before that of this turn's own reply.
        draft.emit.append(ledger.reply_record(reply, encode(reply), draft.now, again=str(reply.heard)))
        draft.timers.append(CancelTimer(id=f"send-{reply.id}"))


def _take_back(draft: Draft, row: Row) -> None:
    draft.writes.append(ledger.withdraw(row, draft.now))
    draft.timers.append(CancelTimer(id=f"send-{row['reply']}"))
    draft.tell(
        events.ReplyProgress(
            at=draft.now, reply=row["reply"], channel=row["channel"], state="withdrawn", reason=ledger.OVERTAKEN
        )
    )


def _made_pointless(draft: Draft) -> bool:
    """Whether the question is answered or asked anew, and not only pushed aside by another matter."""
    before = draft.before
    # The same words asked anew, in the same moment by the clock, are another question: so `is`.
    if before is None or before.pending is None or draft.state.pending is before.pending:
        return False
    running = before.procedure
    if running is None:
        return True
    replaced = any(
        isinstance(event, events.ProcedureEnded)
        and event.name == running.name
        and event.result in ("replaced", "paused")
        for event in draft.events
    )
    begun = {event.procedure.name for event in draft.events if isinstance(event, events.ProcedureMoved)}
    return not replaced or running.name in begun


def _goes_along(turn: Turn, reply: Reply) -> bool:
    """To the same place, in the same language, and short enough to be read as one."""
    route = turn.route
    start, end = reply.core
    return (
        route is not None
        and (route.channel, route.address.address) == (reply.channel, reply.to.address)
        and turn.language == reply.language
        and 0 < end - start <= _MOST_TOGETHER
    )
