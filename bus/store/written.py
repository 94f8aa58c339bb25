"""An outcome written down: the writes and records that it comes to, whatever store applies them."""

from collections.abc import Callable, Sequence

from sqlalchemy import bindparam, delete

from bus.clock import Clock, to_micros
from bus.delivery.outcome import CancelTimer, Outcome, SetTimer, Write
from bus.errors import PermanentError
from bus.log.port import Record
from bus.log.tables import timer
from bus.log.topics import reply_topic
from bus.message.codec import encode
from bus.message.envelope import envelope
from bus.message.reply import Reply
from bus.store.sql import upsert

__all__ = ["PlanReply", "plain_reply", "written_down"]

PlanReply = Callable[[Reply], tuple[Sequence[Write], Sequence[Record]]]
"""Writes and records that carry a reply: the send ledger."""

_set_timer = upsert(timer, ["id"])
_cancel_timer = delete(timer).where(timer.c.id == bindparam("timer_id"))


def written_down(outcome: Outcome, plan_reply: PlanReply) -> tuple[list[Write], list[Record]]:
    """Everything that an outcome writes and appends, in its order. Raises PermanentError for a timer of no bytes."""
    writes = list(outcome.writes)
    records = list(outcome.emit)
    for reply in outcome.replies:
        rows, carried = plan_reply(reply)
        writes += rows
        records += carried
    writes += [_timer_write(change) for change in outcome.timers]
    return writes, records


def plain_reply(clock: Clock) -> PlanReply:
    """Without a ledger: a reply is a record on the topic of its channel."""

    def plan(reply: Reply) -> tuple[Sequence[Write], Sequence[Record]]:
        headers = envelope(
            record_id=reply.id,
            kind="reply",
            source="workers",
            tenant=reply.tenant,
            at=clock.now(),
            subject=reply.case,
        )
        topic = reply_topic(reply.channel)
        return (), (Record(topic=topic, key=reply.case, value=encode(reply), id=reply.id, headers=headers),)

    return plan


def _timer_write(change: SetTimer | CancelTimer) -> Write:
    if isinstance(change, CancelTimer):
        return Write(statement=_cancel_timer, params={"timer_id": change.id})
    if type(change.value) is not bytes:
        raise PermanentError(f"the value of timer {change.id!r} must be bytes")
    return Write(
        statement=_set_timer,
        params={
            "id": change.id,
            "due": to_micros(change.due),
            "tenant": change.tenant,
            "topic": change.topic,
            "key": change.key,
            "kind": change.kind,
            "value": change.value,
        },
    )
