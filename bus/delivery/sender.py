"""Sends the replies of one channel through the ledger: effectively once.

The worker is the consumer group `send-<channel>`. `sending` is committed before the adapter is called; what the
adapter answers settles the row in the transaction that also reports the status and moves the group on.
"""

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from bus import faultpoints
from bus.adapter.contract import Accepted, ChannelAdapter, Refused, RetryLater, SendResult
from bus.clock import Clock, from_micros
from bus.delivery import ledger
from bus.delivery.consent import SERVICE, SURVEY, QuietHours, Verdict, country_of, may_contact
from bus.delivery.doubt import IN_DOUBT_S, again, in_doubt, rest_s, status_record
from bus.delivery.outcome import NOTHING, Outcome, Write
from bus.delivery.sending_settings import SendingSettings
from bus.errors import TransientError
from bus.log.port import Record, StoredRecord
from bus.log.topics import reply_topic
from bus.message import Reply, Status, decode
from bus.store.pace import book_write, take_write
from bus.store.permission import entries_for, entry_of, recipient_key
from bus.store.port import Effect, Row, Store
from bus.telemetry import Metrics

__all__ = ["Sender"]

log = structlog.get_logger()

_BEHIND_FIRST_S, _BEHIND_LONGEST_S = 1.0, 300.0
"""Before a reply looks again whether the earlier one is out of its way."""
_RESUMED = 0.5
"""A timer that fires this much early, in seconds, by the clock of another host, is not sent back to wait."""


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
        settings: SendingSettings | None = None,
        quiet: QuietHours | None = None,
    ) -> None:
        """`quiet`: when nobody is contacted who did not ask for it."""
        self._quiet = quiet or QuietHours()
        self._in_doubt_s = in_doubt_s
        self._settings = settings or SendingSettings()
        self._adapter = adapter
        self._manifest = adapter.manifest
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._channel = adapter.manifest.name
        self._live = adapter.manifest.kind.startswith("live")
        self._to_recipient = self._settings.to_recipient()
        self._through_channel = self._settings.of_channel(adapter.manifest)
        self.group = f"send-{self._channel}"
        self.topics: Sequence[str] = (reply_topic(self._channel),)

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Nothing to load ahead."""

    async def handle(self, record: StoredRecord) -> Outcome:
        row = await self._store.one(ledger.reply_row, {"reply": decode(record.value, Reply).id})
        if row is None or row["state"] not in ("planned", "sending", "unknown"):
            return NOTHING
        # The row's own words: it may have been let stand for more than it was planned for.
        reply = decode(row["body"].encode(), Reply)
        now = self._clock.now()
        if row["state"] == "unknown":
            rest = rest_s(self._manifest, self._in_doubt_s) - (now - from_micros(row["changed_at"])).total_seconds()
            if rest > _RESUMED:
                return Outcome(timers=(again(reply, now, rest),))
        turn = (from_micros(row["not_before"]) - now).total_seconds()
        if row["state"] == "planned" and turn > _RESUMED:
            return Outcome(timers=(again(reply, now, turn),))
        if row["state"] == "sending" and self._manifest.resolve_unknown != "idempotent":
            # An earlier owner of this lane died, or was cut off, while it was sending.
            return self._unknown(reply, row, "interrupted", "interrupted", now)
        if reply.expires_at is not None and now > reply.expires_at and row["state"] != "sending":
            return self._blocked(reply, row, "expired", now)
        verdict, consents = await self._verdict(reply, now)
        if verdict.not_before is not None:
            self._count("quiet")
            return Outcome(timers=(again(reply, now, (verdict.not_before - now).total_seconds()),))
        if not verdict.permitted:
            return self._blocked(reply, row, "no permission", now)
        shares = self._shares(reply, row, now, take_write)
        writes = (ledger.begin_sending(reply.id, now, from_state=row["state"], consents=consents), *shares)
        (begun,) = await self._store.apply([Effect(outcome=Outcome(writes=writes))])
        if not begun.applied:
            return await self._not_begun(reply, row, now, consents)
        attempt = int(row["attempt"]) + 1
        row = {**row, "state": "sending", "attempt": attempt}
        faultpoints.reached("send.begun", self._channel)
        try:
            result = await self._adapter.send(reply, attempt)
        except Exception as error:
            log.error("adapter raised while sending", channel=self._channel, reply=reply.id, exc_info=error)
            return self._unknown(reply, row, "interrupted", "the adapter failed while sending", self._clock.now())
        faultpoints.reached("send.sent", self._channel)
        return self._settle(record, reply, row, result)

    async def _verdict(self, reply: Reply, now: datetime) -> tuple[Verdict, int]:
        """Whether the person may be contacted for this, and on how many entries of the consent ledger that rests."""
        if reply.purpose == SERVICE:
            return Verdict(permitted=True), 0
        recipient = recipient_key(reply.tenant, reply.to)
        rows = await self._store.all(
            entries_for, {"tenant": reply.tenant, "person": reply.person, "recipient": recipient}
        )
        country = country_of(reply.country, reply.to.address)
        entries = [entry_of(row) for row in rows]
        return may_contact(entries, reply.purpose, reply.channel, now, self._quiet, country), len(rows)

    def _shares(self, reply: Reply, row: Row, now: datetime, write: Callable[..., Write]) -> tuple[Write, ...]:
        """The shares of the limits that this sending takes: a reply counts once, however often it is tried."""
        paced = reply.automatic and not (self._live and reply.purpose in (SERVICE, SURVEY))
        if not paced or row["attempt"] or row["not_before"]:
            return ()
        own = {"tenant": reply.tenant, "channel": self._channel}
        return (
            write(self._to_recipient, now, recipient=row["recipient"], **own),
            write(self._through_channel, now, **own),
        )

    async def _not_begun(self, reply: Reply, row: Row, now: datetime, consents: int) -> Outcome:
        """Why the guard did not let the reply go, and what follows."""
        seen = await self._store.one(ledger.why_not, {"reply": reply.id, **ledger.asked_at(now, consents)})
        if seen is None or seen["state"] != row["state"] or seen["heard"] != row["heard"]:
            raise TransientError("the ledger row moved under our hands")
        if not seen["permitted"]:
            raise TransientError("the person has said something about being contacted this moment")
        if row["state"] == "planned" and seen["overtaken"]:
            return self._overtaken(reply, row, seen, now)
        if row["state"] == "planned" and seen["behind"]:
            self._count("behind")
            # As long again as it has waited: soon at first, and not at every moment of a long trouble.
            waited = (now - from_micros(row["planned_at"])).total_seconds()
            return Outcome(timers=(again(reply, now, min(max(waited, _BEHIND_FIRST_S), _BEHIND_LONGEST_S)),))
        shares = self._shares(reply, row, now, book_write)
        if not shares:
            raise TransientError("what spoke against the sending is over")
        (booked,) = await self._store.apply([Effect(outcome=Outcome(writes=(*shares, ledger.wait_turn(reply.id))))])
        waiting = await self._store.one(ledger.reply_row, {"reply": reply.id})
        if not booked.applied or waiting is None:
            raise TransientError("the ledger row moved under our hands")
        self._count("paced")
        return Outcome(timers=(again(reply, now, (from_micros(waiting["not_before"]) - now).total_seconds()),))

    def _overtaken(self, reply: Reply, row: Row, seen: Row, now: datetime) -> Outcome:
        """The decision did not know all that the customer has said by now, or that the case would be closed.

        Whoever works on the newer words takes the answer back or lets it stand (`workers.dialogue.overtaken`). If
        nobody does in time, a person hears of it: it is never sent as it is, and never just forgotten.
        """
        newer = seen["newest"] > row["heard"]
        if not newer:
            return self._blocked(reply, row, "closed", now)
        if reply.kind in ledger.NOT_LATER:
            return self._blocked(reply, row, ledger.OVERTAKEN, now)
        wait = self._settings.overtaken_wait_s(self._manifest)
        if row["reason"] != ledger.OVERTAKEN:
            self._count("overtaken")
            return Outcome(writes=(ledger.hold(reply.id, row["heard"], now),), timers=(again(reply, now, wait),))
        left = wait - (now - from_micros(row["changed_at"])).total_seconds()
        if left > _RESUMED:
            return Outcome(timers=(again(reply, now, left),))
        return self._blocked(reply, row, ledger.OVERTAKEN, now)

    def _settle(self, record: StoredRecord, reply: Reply, row: Row, result: SendResult) -> Outcome:
        now, attempt = self._clock.now(), row["attempt"]
        if isinstance(result, Accepted):
            state = "delivered" if result.delivered else "accepted"
            self._count(state)
            with contextlib.suppress(KeyError, ValueError):
                heard = datetime.fromisoformat(record.headers["contact-at"])
                self._metrics.first_answer.labels(reply.tenant, reply.channel).observe((now - heard).total_seconds())
            return Outcome(
                writes=(ledger.settle(reply.id, attempt, state, now, provider_id=result.provider_id),),
                emit=(_status(reply, state, now, provider_id=result.provider_id),),
            )
        if isinstance(result, Refused):
            self._count("refused")
            return Outcome(
                writes=(ledger.settle(reply.id, attempt, "refused", now, reason=result.reason),),
                emit=(_status(reply, "failed", now, reason=result.reason),),
            )
        if isinstance(result, RetryLater):
            self._count("later")
            return Outcome(
                writes=(ledger.settle(reply.id, attempt, "planned", now, reason=result.reason),),
                timers=(again(reply, now, result.after_s),),
            )
        return self._unknown(reply, row, "answered", result.reason, now)

    def _unknown(self, reply: Reply, row: Row, why: str, reason: str, now: datetime) -> Outcome:
        self._count("unknown")
        return in_doubt(
            reply, row, self._manifest, now,
            why="answered" if why == "answered" else "interrupted", reason=reason, in_doubt_s=self._in_doubt_s,
        )  # fmt: skip

    def _blocked(self, reply: Reply, row: Row, reason: str, now: datetime) -> Outcome:
        self._count("blocked")
        return Outcome(writes=(ledger.block(row, reason, now),), emit=(_status(reply, "failed", now, reason=reason),))

    def _count(self, result: str) -> None:
        self._metrics.reply_delivery.labels(self._channel, result).inc()


def _status(reply: Reply, state: str, at: datetime, *, provider_id: str = "", reason: str = "") -> Record:
    """The record of what became of a reply; a failure told here is final."""
    status = Status(
        reply=reply.id, tenant=reply.tenant, case=reply.case, channel=reply.channel, state=state, at=at,
        provider_id=provider_id, reason=reason, permanent=state == "failed",
    )  # fmt: skip
    return status_record(status)
