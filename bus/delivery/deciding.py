"""What becomes of one record: its outcome, or what follows from its failure. Counts failures, applies nothing."""

import asyncio
import random
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
import structlog
from msgspec.structs import replace

from bus.clock import Clock
from bus.delivery import ledger
from bus.delivery.dead_letters import ONLY_GROUP, DeskCase, dead_letter_outcome, shows_nowhere
from bus.delivery.hands import Hand
from bus.delivery.lanes import Place, place_of
from bus.delivery.outcome import NOTHING, Outcome, Write
from bus.delivery.parking import Line, ParkedKeys, ParkedRecord, park, postpone, release
from bus.delivery.retry import GiveUp, Park, RetryPolicy, TryAgain, error_class
from bus.delivery.worker import Worker
from bus.log.port import Record, StoredRecord
from bus.message.envelope import traceparent_of
from bus.telemetry import Metrics
from bus.tracing import Tracing

__all__ = ["Decided", "Decider"]

log = structlog.get_logger()

_INHERITED = ("traceparent", "deadline", "contact-at", "key-id")
"""Headers that a record hands on to what was decided because of it: trace, urgency, when the customer was heard."""

_MAX_PARKED_KEYS = 10_000
"""Parked keys of one worker in one process: some megabytes. Beyond that lanes wait, and so the log."""


class Decided(msgspec.Struct, frozen=True):
    """An outcome ready to be applied, and why it is one: `verdict` is None for what the worker decided itself."""

    record: StoredRecord
    outcome: Outcome
    verdict: Park | GiveUp | None = None


class _Failures(msgspec.Struct):
    """Of one record, here and now: how many, and since when by the monotonic clock."""

    since: float
    count: int = 0


class Decider:
    """Asks the worker, and knows what to do when it fails."""

    def __init__(
        self,
        worker: Worker,
        *,
        clock: Clock,
        metrics: Metrics,
        desk_case: DeskCase,
        jitter: random.Random,
        retry: RetryPolicy,
        parking: ParkedKeys,
        tracing: Tracing | None = None,
        tenant: str = "",
    ) -> None:
        self._worker = worker
        self._group = worker.group
        self._clock = clock
        self._metrics = metrics
        self._desk_case = desk_case
        self._jitter = jitter
        self._retry = retry
        self._parking = parking
        self._tracing = tracing
        self._tenant = tenant
        self._failures: dict[Place, _Failures] = {}

    async def decide(self, hand: Hand, record: StoredRecord) -> Decided | TryAgain:
        """What shall happen because of this record. Raises only CancelledError."""
        if self._parking and not isinstance(record, ParkedRecord):
            line = self._parking.line(record)
            if line is not None:
                return self._behind(record, line)
        if record.headers.get(ONLY_GROUP, self._group) != self._group:
            return Decided(record, NOTHING)
        hand.begin()
        traceparent = ""
        try:
            if self._tracing is None:
                outcome = await self._worker.handle(record)
            else:
                with self._tracing.deciding(self._group, record) as traceparent:
                    outcome = await self._worker.handle(record)
        except asyncio.CancelledError:
            if not hand.was_cut_off():
                raise
            return self.failed(record, TimeoutError())
        except Exception as error:
            return self.failed(record, error)
        finally:
            hand.end()
        return self._done(record, outcome, traceparent)

    def failed(self, record: StoredRecord, error: BaseException, detail: str = "") -> Decided | TryAgain:
        """What follows from a failure, of the decision or of its transaction."""
        now = self._clock.now()
        failures = self._failures.setdefault(place_of(record), _Failures(self._clock.monotonic()))
        failures.count += 1
        waited_s = self._clock.monotonic() - failures.since
        parked_since = record.first_failed_at if isinstance(record, ParkedRecord) else None
        verdict = self._retry.decide(
            error,
            attempt=failures.count,
            waited_s=waited_s,
            now=now,
            deadline=_deadline(record),
            jitter=self._jitter,
            parked_since=parked_since,
        )
        attempts = failures.count + (record.attempts if isinstance(record, ParkedRecord) else 0)
        if isinstance(verdict, GiveUp):
            self._say("record given up", record, verdict.reason, attempts, error, detail)
            return self._letter(record, verdict, attempts, now)
        if isinstance(verdict, TryAgain):
            self._say("record will be handled again", record, error_class(error), attempts, error, detail)
            return verdict
        if not isinstance(record, ParkedRecord) and len(self._parking) >= _MAX_PARKED_KEYS:
            return TryAgain(self._retry.cap_s)
        self._say("record is parked", record, verdict.reason, attempts, error, detail)
        failed_at = parked_since or now - timedelta(seconds=waited_s)
        return Decided(record, Outcome(writes=(self._aside(record, verdict, attempts, failed_at),)), verdict)

    def refused(self, decided: Decided, reason: str, detail: str) -> TryAgain:
        """A dead letter that could not be written down: its record comes back when the fault may be mended."""
        log.error(
            "dead letter was refused",
            group=self._group,
            topic=decided.record.topic,
            record=decided.record.id,
            reason=reason,
            detail=detail,
        )
        return TryAgain(self._retry.cap_s)

    def forget(self, record: StoredRecord) -> None:
        """The record is settled, or somebody else's."""
        if self._failures:
            self._failures.pop(place_of(record), None)

    def _done(self, record: StoredRecord, outcome: Outcome, traceparent: str = "") -> Decided:
        if isinstance(record, ParkedRecord):
            outcome = _with_write(outcome, release(self._group, record))
        if outcome.replies or outcome.emit:
            outcome = self._complete(record, outcome, traceparent)
        return Decided(record, outcome)

    def _behind(self, record: StoredRecord, line: Line) -> Decided:
        """Park a record because its key is; one that cannot wait so long goes to a person at once."""
        now = self._clock.now()
        until = line.until
        deadline = _deadline(record)
        if deadline is not None and until > deadline:
            self._say("record given up", record, "deadline", 0)
            return self._letter(record, GiveUp("deadline"), 0, now)
        verdict = Park(until, "behind")
        write = park(self._group, self._owned(record), attempts=0, until=until, failed_at=None, reason=verdict.reason)
        return Decided(record, Outcome(writes=(write,)), verdict)

    def _aside(self, record: StoredRecord, verdict: Park, attempts: int, failed_at: datetime) -> Write:
        if isinstance(record, ParkedRecord):
            return postpone(
                self._group,
                record,
                attempts=attempts,
                until=verdict.until,
                failed_at=failed_at,
                reason=verdict.reason,
            )
        return park(
            self._group,
            self._owned(record),
            attempts=attempts,
            until=verdict.until,
            failed_at=failed_at,
            reason=verdict.reason,
        )

    def _letter(self, record: StoredRecord, verdict: GiveUp, attempts: int, now: datetime) -> Decided:
        self._metrics.dead_letters.labels(self._group, verdict.reason).inc()
        if shows_nowhere(record.topic):
            self._metrics.unseen_letters.labels(self._group).inc()
        outcome = dead_letter_outcome(
            self._owned(record),
            group=self._group,
            reason=verdict.reason,
            attempts=attempts,
            now=now,
            desk_case=self._for_a_person,
        )
        return Decided(record, self._done(record, outcome).outcome, verdict)

    def _owned(self, record: StoredRecord) -> StoredRecord:
        """The record with a tenant: one that names none (a foreign hand wrote it) belongs to whose log it lies in."""
        if not self._tenant or record.headers.get("tenant"):
            return record
        return replace(record, headers={**record.headers, "tenant": self._tenant})

    def _for_a_person(self, record: StoredRecord, reason: str) -> Outcome:
        try:
            return self._desk_case(record, reason)
        except Exception as error:
            # A letter without a case is found on the list; a record that stops the worker is found by nobody.
            log.error(
                "no case for a dead letter", group=self._group, topic=record.topic, record=record.id, exc_info=error
            )
            return NOTHING

    def _complete(self, record: StoredRecord, outcome: Outcome, traceparent: str) -> Outcome:
        """Plan the replies in the ledger and hand the inherited headers on."""
        headers = {name: record.headers[name] for name in _INHERITED if name in record.headers}
        if traceparent or "traceparent" not in headers:
            headers["traceparent"] = traceparent or traceparent_of(record.topic, record.id)
        writes = list(outcome.writes)
        emit = [_with_headers(emitted, headers) for emitted in outcome.emit]
        now = self._clock.now()
        for reply in outcome.replies:
            rows, records = ledger.plan(reply, now, headers)
            writes.extend(rows)
            emit.extend(records)
        return Outcome(writes=tuple(writes), emit=tuple(emit), timers=outcome.timers)

    def _say(
        self,
        what: str,
        record: StoredRecord,
        reason: str,
        attempts: int,
        error: BaseException | None = None,
        detail: str = "",
    ) -> None:
        say = log.error if what == "record given up" else log.warning
        say(
            what,
            group=self._group,
            topic=record.topic,
            record=record.id,
            reason=reason,
            attempt=attempts,
            exc_info=error,
            **({"detail": detail} if detail else {}),
        )


def _with_write(outcome: Outcome, write: Write) -> Outcome:
    return Outcome(writes=(*outcome.writes, write), emit=outcome.emit, replies=outcome.replies, timers=outcome.timers)


def _with_headers(record: Record, headers: Mapping[str, str]) -> Record:
    """What was inherited, where the record says nothing of its own; where it comes from it cannot say itself."""
    return Record(
        topic=record.topic,
        key=record.key,
        value=record.value,
        id=record.id,
        headers={**headers, **record.headers, "traceparent": headers["traceparent"]},
    )


def _deadline(record: StoredRecord) -> datetime | None:
    text = record.headers.get("deadline")
    return datetime.fromisoformat(text) if text else None
