"""What a channel reports of a reply after it was sent, kept in the ledger; and the alarm for one that we never sent."""

from collections.abc import Mapping
from datetime import datetime

import structlog
from sqlalchemy import bindparam, or_, update

from bus.clock import to_micros
from bus.delivery.ledger import reply_row, send_ledger
from bus.delivery.outcome import Write
from bus.message import Status
from bus.store.port import Store
from bus.telemetry import Metrics

__all__ = ["reported"]

log = structlog.get_logger()

_IN_DOUBT = ("sending", "unknown", "failed", "accepted")
_BEFORE = {"delivered": _IN_DOUBT, "read": (*_IN_DOUBT, "delivered"), "failed": (*_IN_DOUBT, "delivered")}
"""From which states a report leads on: never back, and never out of what was certainly not sent."""

_report = {
    state: update(send_ledger)
    .where(
        send_ledger.c.reply == bindparam("b_reply"), or_(*(send_ledger.c.state == earlier for earlier in before))
    )
    .values(state=state, reason=bindparam("b_reason"), changed_at=bindparam("b_at"))
    for state, before in _BEFORE.items()
}  # fmt: skip


async def reported(store: Store, status: Status, now: datetime, metrics: Metrics | None = None) -> tuple[Write, ...]:
    """What the ledger learns from a status. That a reply was accepted it knows from the sending itself.

    A report of a reply that has no row (of this tenant) is an alarm: somebody sends in our name, or a ledger was lost.
    """
    if status.state not in _report:
        return ()
    row = await store.one(reply_row, {"reply": status.reply})
    if row is None or row["tenant"] != status.tenant:
        log.error("a channel reports a reply that was never sent", channel=status.channel, reply=status.reply)
        if metrics is not None:
            metrics.phantom_replies.labels(status.channel).inc()
        return ()
    if row["state"] not in _BEFORE[status.state] or (status.state == "failed" and not status.permanent):
        return ()
    known: Mapping[str, object] = {"b_reply": status.reply, "b_reason": status.reason, "b_at": to_micros(now)}
    return (Write(statement=_report[status.state], params=known),)
