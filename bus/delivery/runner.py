"""Runs one worker: fetch, lanes, decide, apply many outcomes in one transaction.

    fetch -> lanes (one record per key) -> prepare(batch) -> handle(record) each -> apply(batch) -> next of each lane

While one transaction runs, the outcomes of the next collect: the batch grows with the load and needs no timer.
"""

import asyncio
import contextlib
import random
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog

from bus.clock import Clock
from bus.delivery import ledger
from bus.delivery.dead_letters import DeskCase, dead_letter_outcome
from bus.delivery.lanes import Lanes
from bus.delivery.outcome import NOTHING, Outcome
from bus.delivery.retry import GiveUp, RetryPolicy, error_class
from bus.delivery.worker import Worker
from bus.errors import Conflict, PermanentError
from bus.log.port import Delivery, Log, Record, StoredRecord, Subscription, TopicPartition
from bus.store.port import Effect, Result, Store
from bus.telemetry import Metrics

__all__ = ["RunnerLimits", "WorkerRunner"]

log = structlog.get_logger()

_INHERITED = ("traceparent", "deadline", "contact-at", "key-id")
"""Headers that a record hands on to what was decided because of it: trace, urgency, when the customer was heard."""


class RunnerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one worker in one process.

    `max_in_flight` bounds memory: records of some kilobytes each. `batch` is where a transaction stops getting cheaper
    per record. `fetch_wait_s` bounds how late a stop is noticed. `drain_s` fits under the 30 s that orchestrators give.
    `commit_retry_s`: the log may be locked for a moment (a checkpoint, another process). `handle_s`: a decision that
    hangs is a fault; the longest honest one is a mail relay that takes its time.
    """

    max_in_flight: int = 1000
    batch: int = 200
    fetch_wait_s: float = 0.5
    drain_s: float = 20.0
    commit_retry_s: float = 0.5
    handle_s: float = 120.0


class WorkerRunner:
    """One member of a worker's group."""

    def __init__(
        self,
        worker: Worker,
        *,
        log_port: Log,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        member: str,
        desk_case: DeskCase,
        jitter: random.Random,
        retry: RetryPolicy | None = None,
        limits: RunnerLimits | None = None,
    ) -> None:
        self._worker = worker
        self._log = log_port
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._member = member
        self._desk_case = desk_case
        self._jitter = jitter
        self._retry = retry or RetryPolicy()
        self._limits = limits or RunnerLimits()
        self._lanes = Lanes()
        self._decided: list[tuple[StoredRecord, Outcome]] = []
        self._attempts: dict[tuple[str, int, int], int] = {}
        self._work = asyncio.Event()
        self._commit = asyncio.Event()
        self._room = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._generations: dict[TopicPartition, int] = {}

    @property
    def group(self) -> str:
        """The worker's consumer group."""
        return self._worker.group

    @property
    def topics(self) -> Sequence[str]:
        """The topics its worker consumes."""
        return self._worker.topics

    def stop(self) -> None:
        """Take nothing new; `run` returns when what is in flight is finished or the drain deadline is over."""
        self._stopping.set()
        self._room.set()

    async def run(self) -> None:
        """Work until `stop`. Raises only what makes going on pointless; the caller restarts or ends the process."""
        subscription = await self._log.subscribe(self.group, self._worker.topics, member=self._member)
        background = [asyncio.create_task(self._pump()), asyncio.create_task(self._apply_loop())]
        try:
            await self._fetch_loop(subscription, background)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained(), self._limits.drain_s)
        finally:
            for task in (*background, *self._tasks):
                task.cancel()
            await asyncio.gather(*background, *self._tasks, return_exceptions=True)
            await subscription.close()

    async def _fetch_loop(self, subscription: Subscription, background: Sequence[asyncio.Task[None]]) -> None:
        failures = 0
        while not self._stopping.is_set():
            for task in background:
                if task.done():
                    task.result()
            room = self._limits.max_in_flight - self._lanes.size
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            try:
                records = await subscription.fetch(room, self._limits.fetch_wait_s)
                failures = 0
            except Exception as error:
                # A database that is locked or away for a moment must not end the worker; a limit keeps it honest.
                failures += 1
                log.warning("fetch failed", group=self.group, error=type(error).__name__, attempt=failures)
                if failures >= self._retry.attempts:
                    raise
                await asyncio.sleep(self._limits.commit_retry_s)
                continue
            self._note_generations(subscription.generations)
            if records:
                self._lanes.add(records)
                self._metrics.in_flight.labels(self.group).set(self._lanes.size)
                self._work.set()

    def _note_generations(self, now: Mapping[TopicPartition, int]) -> None:
        if now == self._generations:
            return
        for partition, generation in self._generations.items():
            if now.get(partition) != generation:
                self._lanes.drop_waiting(partition.topic, partition.partition)
        self._generations = dict(now)

    async def _pump(self) -> None:
        """Hand ready records to the worker, in batches of whatever is ready."""
        while True:
            await self._work.wait()
            self._work.clear()
            while batch := self._lanes.take(self._limits.batch):
                self._spawn(self._handle_batch(batch))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle_batch(self, batch: list[StoredRecord]) -> None:
        try:
            await self._worker.prepare(batch)
        except Exception as error:
            # prepare is only a cache: without it each record is decided on its own, and fails on its own.
            log.warning(
                "prepare failed", group=self.group, error=type(error).__name__, count=len(batch), exc_info=error
            )
        for record in batch[1:]:
            self._spawn(self._handle(record))
        await self._handle(batch[0])

    async def _handle(self, record: StoredRecord) -> None:
        place = (record.topic, record.partition, record.offset)
        while True:
            try:
                async with asyncio.timeout(self._limits.handle_s):
                    outcome = await self._worker.handle(record)
                break
            except Exception as error:
                attempt = self._attempts[place] = self._attempts.get(place, 0) + 1
                verdict = self._retry.decide(error, attempt, self._clock.now(), _deadline(record), self._jitter)
                if isinstance(verdict, GiveUp):
                    log.error(
                        "record given up",
                        group=self.group,
                        topic=record.topic,
                        record=record.id,
                        reason=verdict.reason,
                        attempt=attempt,
                        exc_info=error,
                    )
                    outcome = self._dead_letter(record, verdict.reason, attempt)
                    break
                log.warning(
                    "record will be handled again",
                    group=self.group,
                    topic=record.topic,
                    record=record.id,
                    reason=error_class(error),
                    attempt=attempt,
                    exc_info=error,
                )
                await asyncio.sleep(verdict.after_s)
        self._decided.append((record, self._complete(record, outcome)))
        self._commit.set()

    def _dead_letter(self, record: StoredRecord, reason: str, attempts: int) -> Outcome:
        self._metrics.dead_letters.labels(self.group, reason).inc()
        return dead_letter_outcome(
            record, group=self.group, reason=reason, attempts=attempts, now=self._clock.now(), desk_case=self._desk_case
        )

    def _complete(self, record: StoredRecord, outcome: Outcome) -> Outcome:
        """Plan the replies in the ledger and hand the inherited headers on."""
        if not outcome.replies and not outcome.emit:
            return outcome
        headers = {name: record.headers[name] for name in _INHERITED if name in record.headers}
        writes = list(outcome.writes)
        emit = [_with_headers(emitted, headers) for emitted in outcome.emit]
        now = self._clock.now()
        for reply in outcome.replies:
            rows, records = ledger.plan(reply, now, headers)
            writes.extend(rows)
            emit.extend(records)
        return Outcome(writes=tuple(writes), emit=tuple(emit), timers=outcome.timers)

    async def _apply_loop(self) -> None:
        while True:
            await self._commit.wait()
            self._commit.clear()
            decided, self._decided = self._decided, []
            if not decided:
                continue
            effects = [Effect(outcome=outcome, source=Delivery.of(self.group, record)) for record, outcome in decided]
            results = await self._apply(effects)
            for (record, outcome), result in zip(decided, results, strict=True):
                self._settle(record, outcome, result)
            self._metrics.in_flight.labels(self.group).set(self._lanes.size)
            self._room.set()
            self._work.set()

    async def _apply(self, effects: list[Effect]) -> Sequence[Result]:
        for attempt in range(1, self._retry.attempts + 1):
            try:
                return await self._store.apply(effects)
            except Exception as error:
                log.error("transaction failed", group=self.group, attempt=attempt, count=len(effects), exc_info=error)
                if attempt == self._retry.attempts:
                    raise
                await asyncio.sleep(self._limits.commit_retry_s * attempt)
        raise AssertionError("unreachable")

    def _settle(self, record: StoredRecord, outcome: Outcome, result: Result) -> None:
        place = (record.topic, record.partition, record.offset)
        if result.applied or result.reason in ("fenced", "duplicate"):
            # Fenced: the record belongs to another member now, who decides it anew; here it is only forgotten.
            self._attempts.pop(place, None)
            self._lanes.finish(record)
            word = "nothing" if outcome is NOTHING else "done"
            self._metrics.handled.labels(self.group, word if result.applied else result.reason).inc()
            return
        attempt = self._attempts[place] = self._attempts.get(place, 0) + 1
        # An invalid outcome is a fault of the program: as permanent as a record that cannot be read.
        failure = Conflict("guard") if result.reason == "conflict" else PermanentError(result.reason)
        verdict = self._retry.decide(failure, attempt, self._clock.now(), _deadline(record), self._jitter)
        self._metrics.handled.labels(self.group, result.reason).inc()
        if isinstance(verdict, GiveUp):
            log.error(
                "record given up",
                group=self.group,
                topic=record.topic,
                record=record.id,
                reason=result.reason,
                attempt=attempt,
                detail=result.detail,
            )
            letter = self._complete(record, self._dead_letter(record, verdict.reason, attempt))
            self._decided.append((record, letter))
            self._commit.set()
            return
        self._spawn(self._again(record, verdict.after_s))

    async def _again(self, record: StoredRecord, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await self._handle(record)

    async def _drained(self) -> None:
        while self._lanes.size:
            self._room.clear()
            await self._room.wait()


def _with_headers(record: Record, headers: Mapping[str, str]) -> Record:
    if not headers:
        return record
    return Record(
        topic=record.topic, key=record.key, value=record.value, id=record.id, headers={**headers, **record.headers}
    )


def _deadline(record: StoredRecord) -> datetime | None:
    text = record.headers.get("deadline")
    return datetime.fromisoformat(text) if text else None
