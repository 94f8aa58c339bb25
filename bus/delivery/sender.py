"""Sends the replies of one channel through the ledger: effectively once.

The worker is the consumer group `send-<channel>`. `sending` is committed before the adapter is called; what the
adapter answers settles the row in the transaction that also reports the status and moves the group on.
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from bus.adapter.contract import Accepted, ChannelAdapter, Refused, RetryLater, SendResult, Unknown
from bus.clock import Clock
from bus.delivery.ledger import begin_sending, reply_row, set_state
from bus.delivery.outcome import NOTHING, Outcome, SetTimer
from bus.errors import TransientError
from bus.log.port import Record, StoredRecord
from bus.log.topics import REPLY_STATUS, reply_topic
from bus.message import Reply, Status, decode, encode, envelope
from bus.store.port import Effect, Row, Store
from bus.telemetry import Metrics

__all__ = ["IN_DOUBT_S", "Sender", "status_record"]

log = structlog.get_logger()

IN_DOUBT_S = 900.0
"""An attempt in doubt rests so long before it is repeated under the same id: a mail host's queue has spoken by then."""

_UNKNOWN_ATTEMPTS = 2
"""In doubt twice: a person decides. A lost reply is worse than a twin, a third twin is worse than both."""


class Sender:
    """A worker that hands replies to a channel's adapter."""

    def __init__(
        self,
        adapter: ChannelAdapter,
        *,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        in_doubt_s: float = IN_DOUBT_S,
    ) -> None:
        self._in_doubt_s = in_doubt_s
        self._adapter = adapter
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._channel = adapter.manifest.name
        self.group = f"send-{self._channel}"
        self.topics: Sequence[str] = (reply_topic(self._channel),)

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Nothing to load ahead."""

    async def handle(self, record: StoredRecord) -> Outcome:
        reply = decode(record.value, Reply)
        row = await self._store.one(reply_row, {"reply": reply.id})
        if row is None or row["state"] not in ("planned", "sending", "unknown"):
            return NOTHING
        now = self._clock.now()
        if reply.expires_at is not None and now > reply.expires_at:
            return self._failed(reply, row["state"], "blocked", "expired", now)
        if row["state"] == "sending" and "idempotent-send" not in self._adapter.manifest.capabilities:
            # An earlier owner of this lane died, or was cut off, while it was sending.
            return self._unknown(record, reply, row, "sending", "interrupted", now)
        (begun,) = await self._store.apply(
            [Effect(outcome=Outcome(writes=(begin_sending(reply.id, now, from_state=row["state"]),)))]
        )
        if not begun.applied:
            return await self._not_begun(reply, row["state"], now)
        attempt = row["attempt"] + 1
        result = await self._send(reply, attempt)
        return self._settle(record, reply, {**row, "attempt": attempt}, result)

    async def _send(self, reply: Reply, attempt: int) -> SendResult:
        try:
            return await self._adapter.send(reply, attempt)
        except Exception as error:
            log.error("adapter raised while sending", channel=self._channel, reply=reply.id, exc_info=error)
            return Unknown(reason="the adapter failed while sending")

    async def _not_begun(self, reply: Reply, state: str, now: datetime) -> Outcome:
        row = await self._store.one(reply_row, {"reply": reply.id})
        if row is not None and row["state"] == state and reply.purpose == "marketing":
            return self._failed(reply, state, "blocked", "no permission", now)
        raise TransientError("the ledger row moved under our hands")

    def _settle(self, record: StoredRecord, reply: Reply, row: Row, result: SendResult) -> Outcome:
        now = self._clock.now()
        if isinstance(result, Accepted):
            self._count("delivered" if result.delivered else "accepted")
            with contextlib.suppress(KeyError, ValueError):
                heard = datetime.fromisoformat(record.headers["contact-at"])
                self._metrics.first_answer.labels(reply.tenant, reply.channel).observe((now - heard).total_seconds())
            state = "delivered" if result.delivered else "accepted"
            return Outcome(
                writes=(set_state(reply.id, state, now, provider_id=result.provider_id),),
                emit=(status_record(_status(reply, state, now, provider_id=result.provider_id)),),
            )
        if isinstance(result, Refused):
            return self._failed(reply, "sending", "refused", result.reason, now)
        if isinstance(result, RetryLater):
            back = set_state(reply.id, "planned", now, reason=result.reason)
            self._count("later")
            return Outcome(writes=(back,), timers=(self._again(record, reply, now, result.after_s),))
        return self._unknown(record, reply, row, "sending", result.reason, now)

    def _unknown(
        self, record: StoredRecord, reply: Reply, row: Row, from_state: str, reason: str, now: datetime
    ) -> Outcome:
        self._count("unknown")
        write = set_state(reply.id, "unknown", now, from_state=from_state, reason=reason)
        if row["attempt"] >= _UNKNOWN_ATTEMPTS:
            status = _status(reply, "failed", now, reason="it is not known whether the reply arrived", permanent=True)
            return Outcome(writes=(write,), emit=(status_record(status),))
        return Outcome(writes=(write,), timers=(self._again(record, reply, now, self._in_doubt_s),))

    def _failed(self, reply: Reply, from_state: str, state: str, reason: str, now: datetime) -> Outcome:
        self._count(state)
        status = _status(reply, "failed", now, reason=reason, permanent=True)
        return Outcome(
            writes=(set_state(reply.id, state, now, from_state=from_state, reason=reason),),
            emit=(status_record(status),),
        )

    def _again(self, record: StoredRecord, reply: Reply, now: datetime, after_s: float) -> SetTimer:
        return SetTimer(
            id=f"send-{reply.id}",
            due=now + timedelta(seconds=after_s),
            topic=record.topic,
            key=record.key,
            kind="reply",
            value=record.value,
            tenant=reply.tenant,
        )

    def _count(self, result: str) -> None:
        self._metrics.reply_delivery.labels(self._channel, result).inc()


def _status(
    reply: Reply, state: str, at: datetime, *, provider_id: str = "", reason: str = "", permanent: bool = False
) -> Status:
    return Status(
        reply=reply.id,
        tenant=reply.tenant,
        case=reply.case,
        channel=reply.channel,
        state=state,
        at=at,
        provider_id=provider_id,
        reason=reason,
        permanent=permanent,
    )


def status_record(status: Status) -> Record:
    """The record of a status on `reply.status`, in the lane of its case."""
    record_id = f"{status.reply}/{status.state}"
    return Record(
        topic=REPLY_STATUS,
        key=status.case,
        value=encode(status),
        id=record_id,
        headers=envelope(
            record_id=record_id, kind="status", source=f"channel/{status.channel}", tenant=status.tenant, at=status.at
        ),
    )
