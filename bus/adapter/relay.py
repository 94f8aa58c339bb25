"""The relay of one spooled topic: each partition in its own lane, in order, until the brokers have taken it.

A lane publishes what waits in it as one batch and takes the next only after the acknowledgement, so a partition that is
away holds up nobody else, and no record is first seen after a later one of its key: a batch in doubt is published again
from its first record, and copies are recognised downstream.
"""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import structlog

from bus import faultpoints
from bus.adapter.handover import HandOver
from bus.clock import Clock
from bus.delivery.dead_letters import DeskCase, dead_letter_outcome
from bus.errors import PermanentError, TransientError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Delivery, Fenced, Record, StoredRecord, Subscription, TopicPartition
from bus.store.port import Effect
from bus.telemetry import Metrics

__all__ = ["GROUP", "Publish", "Relay", "RelayLimits"]

log = structlog.get_logger()

GROUP = "relay"

Publish = Callable[[Sequence[Record]], Awaitable[object]]
"""Append to the brokers in the order given; returns after their acknowledgement."""

_FETCH = 512
"""Records per read of the spool."""
_BATCH, _BATCH_BYTES = 500, 1_048_576
"""Of one publish: large enough that round trips do not count, small enough for its deadline."""
_FULL, _FULL_BYTES = 1_000, 4_194_304
"""A lane with so much waiting is not read on: bounds memory while a partition is away."""
_IDLE_S, _CROWDED_S = 1.0, 0.25
"""One read waits so long for news; with full lanes beside idle ones less, because they may have room again."""
_COMMIT_EVERY_S = 0.1
"""Progress is written so often: a commit costs the accepting side an fsync, a lost one costs a copy."""
_LAST_COMMIT_S = 2.0
_FIRST_PAUSE_S = 0.1


class RelayLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What `SpoolSettings` says about a relay."""

    publish_timeout_s: float
    longest_pause_s: float


class _Lane:
    """Records of one partition that wait to be published, in order."""

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.filled = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self._waiting: deque[StoredRecord] = deque()
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= _FULL or self._bytes >= _FULL_BYTES

    def put(self, record: StoredRecord) -> None:
        self._waiting.append(record)
        self._bytes += len(record.value)
        self.filled.set()

    def take(self) -> list[StoredRecord]:
        """The next batch; at least one record when any waits."""
        batch: list[StoredRecord] = []
        size = 0
        while (
            self._waiting and len(batch) < _BATCH and (not batch or size + len(self._waiting[0].value) < _BATCH_BYTES)
        ):
            size += len(self._waiting[0].value)
            batch.append(self._waiting.popleft())
        self._bytes -= size
        if not self._waiting:
            self.filled.clear()
        return batch


class Relay:
    """See the module. `run` until cancelled."""

    def __init__(
        self,
        topic: str,
        engine: EmbeddedEngine,
        publish: Publish,
        *,
        member: str,
        clock: Clock,
        metrics: Metrics,
        desk_case: DeskCase,
        jitter: random.Random,
        limits: RelayLimits,
        hand_over: HandOver,
    ) -> None:
        self._topic, self._engine, self._publish, self._member = topic, engine, publish, member
        self._clock, self._metrics, self._desk_case, self._jitter = clock, metrics, desk_case, jitter
        self._limits = limits
        self._hand_over = hand_over
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._finished: list[Delivery] = []
        self._commit = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self) -> None:
        """Relay until cancelled. Raises, as a group, what makes the subscription useless (`Fenced` for good) and what
        ended a lane: a partition that nobody publishes any more must not go unnoticed.
        """
        subscription = await self._engine.subscribe(GROUP, [self._topic], member=self._member)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._commit_loop(subscription))
                await self._fetch_loop(subscription, tasks)
        finally:
            with contextlib.suppress(TransientError, TimeoutError):
                async with asyncio.timeout(_LAST_COMMIT_S):
                    await self._commit_finished(subscription)
            await subscription.close()

    async def _fetch_loop(self, subscription: Subscription, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._room.clear()
            full = frozenset(place for place, lane in self._lanes.items() if lane.is_full)
            if full and len(full) == len(subscription.generations):
                await self._room.wait()
                continue
            records = await subscription.fetch(_FETCH, _CROWDED_S if full else _IDLE_S, paused=full)
            self._follow(subscription.generations, tasks)
            for record in records:
                lane = self._lanes.get(TopicPartition(record.topic, record.partition))
                if lane is not None and lane.generation == record.generation:
                    lane.put(record)

    def _follow(self, generations: Mapping[TopicPartition, int], tasks: asyncio.TaskGroup) -> None:
        """One lane per partition that is ours, in the generation in which it is ours."""
        for place, lane in list(self._lanes.items()):
            if generations.get(place) != lane.generation:
                del self._lanes[place]
                self._hand_over.lost(place)
                if lane.task is not None:
                    lane.task.cancel()
        for place, generation in generations.items():
            if place not in self._lanes:
                lane = self._lanes[place] = _Lane(generation)
                self._hand_over.ours(place)
                lane.task = tasks.create_task(self._work(lane))

    async def _work(self, lane: _Lane) -> None:
        while True:
            await lane.filled.wait()
            batch = lane.take()
            self._room.set()
            await self._publish_for_sure(batch)

    async def _publish_for_sure(self, batch: Sequence[StoredRecord]) -> None:
        """Return when the brokers have the batch, or the one record of it that they will never take is set aside."""
        pause = _FIRST_PAUSE_S
        failures = 0
        records = [
            Record(topic=record.topic, key=record.key, value=record.value, id=record.id, headers=record.headers)
            for record in batch
        ]
        while True:
            try:
                async with asyncio.timeout(self._limits.publish_timeout_s):
                    await self._publish(records)
                faultpoints.reached("relay.published", self._topic)
            except PermanentError as error:
                self._count("refused")
                if len(batch) == 1:
                    await self._set_aside(batch[0], error)
                else:
                    # Which one it is, and still in order. What stands before it may arrive twice.
                    middle = len(batch) // 2
                    await self._publish_for_sure(batch[:middle])
                    await self._publish_for_sure(batch[middle:])
                return
            except Exception as error:
                self._count("in doubt" if isinstance(error, TimeoutError) else "failed")
                failures += 1
                if failures in (1, 10) or failures % 100 == 0:
                    log.warning(
                        "records cannot be published for the moment", topic=self._topic, count=len(batch),
                        attempt=failures, error=type(error).__name__,
                    )  # fmt: skip
            else:
                self._count("acknowledged")
                self._hand_over.taken(records)
                self._finished += [Delivery.of(GROUP, record) for record in batch]
                self._commit.set()
                return
            await asyncio.sleep(self._jitter.uniform(pause / 2, pause))
            pause = min(pause * 2, self._limits.longest_pause_s)

    async def _set_aside(self, record: StoredRecord, error: PermanentError) -> None:
        """A dead letter in the spool, and a case for a person on the spool's own way; then the others go on.

        The case is made without the bytes that were refused: what carries them would be refused as well.
        """
        outcome = dead_letter_outcome(
            record,
            group=GROUP,
            reason="permanent",
            attempts=1,
            now=self._clock.now(),
            desk_case=lambda refused, reason: self._desk_case(msgspec.structs.replace(refused, value=b""), reason),
        )
        while True:
            with contextlib.suppress(TransientError):
                (result,) = await self._engine.apply([Effect(outcome=outcome, source=Delivery.of(GROUP, record))])
                break
            await asyncio.sleep(_FIRST_PAUSE_S)
        self._metrics.dead_letters.labels(GROUP, "permanent").inc()
        log.error(
            "the brokers refuse a record for good", topic=record.topic, record=record.id,
            state="set aside" if result.applied else result.reason, exc_info=error,
        )  # fmt: skip

    # Progress.

    async def _commit_loop(self, subscription: Subscription) -> None:
        while True:
            await self._commit.wait()
            await asyncio.sleep(_COMMIT_EVERY_S)
            self._commit.clear()
            try:
                await self._commit_finished(subscription)
            except TransientError as error:
                log.warning("progress of the relay could not be kept", topic=self._topic, error=type(error).__name__)
                self._commit.set()

    async def _commit_finished(self, subscription: Subscription) -> None:
        finished, self._finished = self._finished, []
        if not finished:
            return
        try:
            await subscription.commit(finished)
        except Fenced:
            # Those of partitions that moved are published again by their new owner.
            return
        except TransientError:
            self._finished[:0] = finished
            raise

    def _count(self, result: str) -> None:
        self._metrics.spool_publishes.labels(result).inc()
