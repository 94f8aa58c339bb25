"""Durable timers: each becomes a record at its time, exactly once, whoever fires it.

A timer is deleted and its record appended in one transaction, guarded by the row that is deleted; two processes that
fire the same timer produce one record.
"""

import asyncio

import structlog
from sqlalchemy import bindparam, delete, select

from bus.clock import Clock, from_micros, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.log.port import Record
from bus.log.tables import timer
from bus.message import derive_id, envelope
from bus.message.envelope import traceparent_of
from bus.store.port import Effect, Row, Store
from bus.telemetry import Metrics

__all__ = ["TimerService"]

log = structlog.get_logger()

_POLL_S = 0.25
"""A timer set by another process is seen this late at most: a quarter of the promised second."""

_SLICE = 500
"""Timers fired per transaction: a crowd of due timers must not hold the write lock for long."""

_due = select(timer).where(timer.c.due <= bindparam("now")).order_by(timer.c.due, timer.c.id).limit(_SLICE)
_fire = delete(timer).where(timer.c.id == bindparam("b_id"), timer.c.due == bindparam("b_due"))


class TimerService:
    """Fires due timers until cancelled."""

    def __init__(self, store: Store, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics

    async def run(self) -> None:
        """Loop for ever; a store that is away for a moment is waited for."""
        while True:
            try:
                fired = await self.fire_due()
            except Exception as error:
                log.error("timers could not be fired", exc_info=error)
                fired = 0
            if not fired:
                await asyncio.sleep(_POLL_S)

    async def fire_due(self) -> int:
        """Fire what is due now, up to one slice; how many were."""
        now = to_micros(self._clock.now())
        rows = await self._store.all(_due, {"now": now})
        if not rows:
            return 0
        results = await self._store.apply([self._effect(row) for row in rows])
        for row, result in zip(rows, results, strict=True):
            if result.applied:
                self._metrics.timer_lateness.observe(max(0, now - row["due"]) / 1e6)
        return len(rows)

    def _effect(self, row: Row) -> Effect:
        record_id = derive_id("t", row["id"], str(row["due"]))
        record = Record(
            topic=row["topic"],
            key=row["key"],
            value=bytes(row["value"]),
            id=record_id,
            headers=envelope(
                record_id=record_id,
                kind=row["kind"],
                source="timers",
                tenant=row["tenant"],
                at=from_micros(row["due"]),
                traceparent=traceparent_of("timer", record_id),
            ),
        )
        gone = Write(statement=_fire, params={"b_id": row["id"], "b_due": row["due"]}, expect=1)
        return Effect(outcome=Outcome(writes=(gone,), emit=(record,)))
