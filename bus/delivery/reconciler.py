"""Looks after replies of which nobody speaks any more: sendings that hang, and acceptances that nothing followed.

The sender settles what it can see: an answer, an attempt that was cut off and comes to it again. What is left over is a
row whose record nobody handles: its handler was given up, or its partition has no owner. Every process that sends runs
a reconciler; each finding is a guarded write, so any number of them may look at the same row.

A lease is kept by looking, not by a clock: an attempt is in doubt when this process has seen it under way for the whole
lease, by the clock that never goes back. Clocks of hosts that disagree, or jump, take nobody's sending away from him; a
reconciler that is started anew only waits once more.
"""

import asyncio
from collections.abc import Mapping, Sequence

import structlog
from sqlalchemy import bindparam, func, or_, select, update

from bus.adapter.contract import Manifest
from bus.clock import Clock, to_micros
from bus.delivery.doubt import IN_DOUBT_S, in_doubt, status_record
from bus.delivery.ledger import send_ledger
from bus.delivery.outcome import Outcome, Write
from bus.delivery.sending_settings import SendingSettings
from bus.message import Reply, Status, decode
from bus.store.pace import forget_write
from bus.store.port import Effect, Row, Store
from bus.telemetry import Metrics

__all__ = ["Reconciler"]

log = structlog.get_logger()

_SLICE = 500
"""Rows looked at in a round, and settled in one transaction."""

_FORGET_AFTER_S = 3_600
"""Limits unused for longer are dropped, once a round."""

_under_way = (
    select(send_ledger)
    .where(send_ledger.c.state == "sending", send_ledger.c.channel.in_(bindparam("channels", expanding=True)))
    .order_by(send_ledger.c.changed_at)
    .limit(_SLICE)
)
_reports = send_ledger.alias("reports")
_unfinished = (
    select(send_ledger)
    .where(
        send_ledger.c.state == "accepted",
        send_ledger.c.channel == bindparam("channel"),
        send_ledger.c.changed_at < bindparam("before"),
        # A tray that nobody writes answers into reports nothing, and then nothing is missing.
        select(1)
        .where(
            _reports.c.state == "delivered", _reports.c.channel == bindparam("channel"),
            _reports.c.tenant == send_ledger.c.tenant,
        )
        .exists(),
    )
    .order_by(send_ledger.c.changed_at)
    .limit(_SLICE)
)  # fmt: skip
_miss = (
    update(send_ledger)
    .where(send_ledger.c.reply == bindparam("b_reply"), send_ledger.c.state == "accepted")
    .values(state="failed", reason=bindparam("b_reason"), changed_at=bindparam("b_at"))
)
_open = (
    select(send_ledger.c.channel, send_ledger.c.state, func.count().label("count"))
    .where(
        or_(*(send_ledger.c.state == state for state in ("planned", "sending", "unknown"))),
        send_ledger.c.channel.in_(bindparam("channels", expanding=True)),
    )
    .group_by(send_ledger.c.channel, send_ledger.c.state)
)

_NO_NEWS = "the channel has reported nothing for too long"


class Reconciler:
    """Of the channels that a process hosts."""

    def __init__(
        self,
        manifests: Sequence[Manifest],
        *,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        in_doubt_s: float = IN_DOUBT_S,
        settings: SendingSettings | None = None,
    ) -> None:
        self._manifests: Mapping[str, Manifest] = {manifest.name: manifest for manifest in manifests}
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._in_doubt_s = in_doubt_s
        self._settings = settings or SendingSettings()
        self._seen: dict[tuple[str, int], float] = {}

    async def run(self) -> None:
        """Look again and again until cancelled; a store that is away for a moment is waited for."""
        while True:
            try:
                await self.look()
            except Exception as error:
                log.error("replies could not be looked after", exc_info=error)
            await asyncio.sleep(self._settings.reconcile_every_s)

    async def look(self) -> int:
        """One round; how many replies were settled."""
        found = [*await self._hanging(), *await self._unreported()]
        results = await self._store.apply(found) if found else ()
        settled = sum(result.applied for result in results)
        if settled:
            log.warning("replies were settled that nobody spoke of", count=settled)
        forget = forget_write(self._clock.now(), unused_s=_FORGET_AFTER_S)
        await self._store.apply([Effect(outcome=Outcome(writes=(forget,)))])
        await self._count()
        return settled

    async def _hanging(self) -> list[Effect]:
        """Sendings that this process has seen under way for longer than their lease."""
        rows = await self._store.all(_under_way, {"channels": list(self._manifests)})
        now = self._clock.monotonic()
        attempts = {(row["reply"], row["attempt"]) for row in rows}
        self._seen = {attempt: self._seen.get(attempt, now) for attempt in attempts}
        return [
            self._effect(row)
            for row in rows
            if now - self._seen[row["reply"], row["attempt"]] >= self._settings.lease_s
        ]

    def _effect(self, row: Row) -> Effect:
        reply = decode(row["body"].encode(), Reply)
        manifest = self._manifests[row["channel"]]
        self._metrics.reply_delivery.labels(row["channel"], "unknown").inc()
        outcome = in_doubt(
            reply, row, manifest, self._clock.now(),
            why="interrupted", reason="the lease of the sending ran out", in_doubt_s=self._in_doubt_s,
        )  # fmt: skip
        return Effect(outcome=outcome)

    async def _unreported(self) -> list[Effect]:
        """Replies that were accepted so long ago that the channel should have told more."""
        now = self._clock.now()
        effects: list[Effect] = []
        for manifest in self._manifests.values():
            if not manifest.final_status_h:
                continue
            before = to_micros(now) - round(manifest.final_status_h * 3_600_000_000)
            for row in await self._store.all(_unfinished, {"channel": manifest.name, "before": before}):
                status = Status(
                    reply=row["reply"], tenant=row["tenant"], case=row["case_id"], channel=row["channel"],
                    state="failed", at=now, reason=_NO_NEWS, permanent=True,
                )  # fmt: skip
                params = {"b_reply": row["reply"], "b_reason": _NO_NEWS, "b_at": to_micros(now)}
                write = Write(statement=_miss, params=params, expect=1)
                effects.append(Effect(outcome=Outcome(writes=(write,), emit=(status_record(status),))))
        return effects

    async def _count(self) -> None:
        counts = {(row["channel"], row["state"]): row["count"] for row in await self._store.all(
            _open, {"channels": list(self._manifests)}
        )}  # fmt: skip
        for channel in self._manifests:
            for state in ("planned", "sending", "unknown"):
                self._metrics.replies_open.labels(channel, state).set(counts.get((channel, state), 0))
