"""The flow of records through one member of a group: lanes, decisions, transactions, parked keys.

    add -> lanes (one record per key) -> prepare(batch) -> handle(record) each -> commit(batch) -> next of each lane

One flow lives as long as one membership; what is in it when the membership ends comes back from the log.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence, Set
from typing import Any

import structlog

from bus.clock import Clock
from bus.delivery.committing import GroupCommit, Next, next_of
from bus.delivery.deciding import Decided, Decider
from bus.delivery.gauges import FlowGauges
from bus.delivery.hands import Hand, Hands
from bus.delivery.lanes import Lanes, Place, place_of
from bus.delivery.limits import RunnerLimits
from bus.delivery.outcome import NOTHING
from bus.delivery.parking import ParkedKeys, ParkedRecord
from bus.delivery.retry import GiveUp, Park, TryAgain
from bus.delivery.waking import Waking
from bus.delivery.worker import Worker
from bus.errors import Conflict, PermanentError
from bus.log.port import StoredRecord, TopicPartition
from bus.store.port import Result, Store
from bus.telemetry import Metrics

__all__ = ["Flow"]

log = structlog.get_logger()

_LOOK_S = 0.25
"""A parked key is woken at most so late."""

_MEASURE_EVERY = 4
"""Gauges are set at every fourth look."""


class Flow:
    """See above. Used by one runner on one event loop."""

    def __init__(
        self,
        worker: Worker,
        *,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        limits: RunnerLimits,
        decider: Decider,
        parking: ParkedKeys,
    ) -> None:
        self._worker = worker
        self._group = worker.group
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._decider = decider
        self._parking = parking
        self._lanes = Lanes()
        self._waking = Waking(worker.group, parking, clock=clock, limits=limits, holds=self._lanes.holds)
        self._gauges = FlowGauges(worker.group, metrics, clock)
        self._hands = Hands(self._work, name=worker.group, limit_s=limits.handle_s)
        self._commit = GroupCommit(
            worker.group, store, limits=limits, metrics=metrics, settle=self._settle, settled=self._go_on
        )
        self._prepared: deque[StoredRecord] = deque()
        self._resting: dict[Place, tuple[StoredRecord, asyncio.TimerHandle]] = {}
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._closed = False
        self._generations: dict[TopicPartition, int] = {}
        self._drained: dict[TopicPartition, int] = {}

    # For the runner.

    @property
    def room(self) -> int:
        """How many records more may be added."""
        return self._limits.max_in_flight - self._lanes.size

    @property
    def crowded(self) -> frozenset[TopicPartition]:
        """Partitions that are not to be read now."""
        return self._lanes.crowded(self._limits.crowded)

    @property
    def generations(self) -> Mapping[TopicPartition, int]:
        """The partitions that were taken over, and their generations."""
        return self._generations

    def start(self) -> Sequence[asyncio.Task[None]]:
        """What runs in the background. When one of these tasks ends, the flow has failed."""
        parts = (self._commit.run(), self._hands.watch(), self._look_after_parked())
        return [asyncio.create_task(part, name=self._group) for part in parts]

    def raise_failure(self) -> None:
        """Raise what stopped a hand, if anything did."""
        if self._hands.failure is not None:
            raise self._hands.failure

    def add(self, records: Sequence[StoredRecord]) -> None:
        """Take in what was fetched."""
        kept = [record for record in records if not self._gone(record)] if self._drained else records
        self._lanes.add(kept)
        self._hands.call()

    async def take_over(self, now: Mapping[TopicPartition, int]) -> None:
        """Partitions came or went: forget what was read of those that did, and learn what is parked of the new."""
        before = self._generations
        changed = {place for place in {*before, *now} if before.get(place) != now.get(place)}
        self._metrics.rebalances.labels(self._group).inc()
        # Until it is known what is parked, nothing of these partitions counts as ours.
        self._generations = {place: generation for place, generation in now.items() if place not in changed}
        self.give_back(changed)
        await self._parking.load({place: now[place] for place in changed if place in now})
        self._generations = dict(now)
        for place in changed:
            self._drained.pop(place, None)

    async def drain(self, partitions: Set[TopicPartition]) -> None:
        """Give back what nobody has begun of these partitions, and wait until the rest is settled."""
        for place in partitions:
            self._drained[place] = self._generations.get(place, -1)
        self.give_back(partitions)
        keys = {(place.topic, place.partition) for place in partitions}
        while not self._closed and not keys.isdisjoint(self._lanes.counts):
            await self._moved.wait()

    def give_back(self, partitions: Set[TopicPartition]) -> None:
        """Forget records of these partitions that were not begun, and their parked keys."""
        keys = {(place.topic, place.partition) for place in partitions}

        def gone(record: StoredRecord) -> bool:
            return (record.topic, record.partition) in keys

        self._parking.forget(lambda topic, partition: (topic, partition) in keys)
        self._lanes.drop_waiting(gone)
        prepared, self._prepared = self._prepared, deque[StoredRecord]()
        for record in prepared:
            if gone(record):
                self._let_go(record)
            else:
                self._prepared.append(record)
        for place, (record, alarm) in list(self._resting.items()):
            if gone(record):
                alarm.cancel()
                del self._resting[place]
                self._let_go(record)
        self._stir()

    async def finish(self, decide_by: float, commit_by: float) -> None:
        """Begin nothing more; wait for decisions and for their transactions until these times of the loop."""
        self._closing = True
        self.give_back({TopicPartition(*partition) for partition in self._lanes.counts} | set(self._generations))
        try:
            async with asyncio.timeout_at(decide_by):
                while self._lanes.size:
                    await self._moved.wait()
        except TimeoutError:
            log.warning("work in hand is given back", group=self._group, count=self._lanes.size)
            await self._hands.dismiss()
        try:
            async with asyncio.timeout_at(commit_by):
                while self._commit.busy:
                    await self._moved.wait()
        except TimeoutError:
            log.error("decided work was not committed in time and is done again", group=self._group)

    async def close(self) -> None:
        """End whatever still runs. Nothing is settled any more, and nobody waits for it."""
        self._closing = self._closed = True
        self._stir()
        for task in self._tasks:
            task.cancel()
        for _, alarm in self._resting.values():
            alarm.cancel()
        await asyncio.gather(*self._tasks, self._hands.dismiss(), return_exceptions=True)

    async def moved(self, within_s: float) -> bool:
        """Wait for anything to be finished; False when nothing was in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._moved.wait()
        except TimeoutError:
            return False
        return True

    # Deciding.

    async def _work(self, hand: Hand) -> None:
        """Decide whatever may be decided now; batches are prepared first."""
        while True:
            if hand.tired():
                await hand.breathe()
            if self._prepared:
                record = self._prepared.popleft()
                if self._prepared or self._lanes.ready:
                    self._hands.call()
                alike = self._lanes.alike(record)
                found = await self._decider.decide(hand, record)
                self._follow(record, found)
                if alike and isinstance(found, Decided) and found.verdict is None:
                    for other in self._lanes.pull(record, alike):
                        self._commit.add(Decided(other, NOTHING))
            elif batch := self._lanes.take(self._limits.batch):
                if self._lanes.ready:
                    self._hands.call()
                await self._prepare(hand, batch)
                for record in batch:
                    if self._gone(record):
                        self._let_go(record)
                    else:
                        self._prepared.append(record)
            else:
                return

    async def _prepare(self, hand: Hand, batch: list[StoredRecord]) -> None:
        hand.begin()
        try:
            await self._worker.prepare(batch)
        except BaseException as error:
            if not isinstance(error, Exception) and not hand.was_cut_off():
                raise
            # prepare is only a cache: without it each record is decided on its own, and fails on its own.
            log.warning("prepare failed", group=self._group, count=len(batch), exc_info=error)
        finally:
            hand.end()

    def _follow(self, record: StoredRecord, found: Decided | TryAgain) -> None:
        if isinstance(found, Decided):
            self._commit.add(found)
        elif self._gone(record):
            self._let_go(record)
            self._stir()
        else:
            place = place_of(record)
            self._resting[place] = record, asyncio.get_running_loop().call_later(found.after_s, self._rested, place)

    def _rested(self, place: Place) -> None:
        record, _ = self._resting.pop(place)
        self._prepared.append(record)
        self._hands.call()

    # Settling.

    def _settle(self, decided: Decided, result: Result) -> None:
        record = decided.record
        match next_of(decided, result):
            case Next.LET_GO:
                self._let_go(record)
            case Next.LAID_ASIDE:
                self._laid_aside(decided)
            case Next.KEY_GOES_ON:
                self._spawn(self._next_of_key(decided))
            case Next.FOUND_DONE:
                self._spawn(self._found_done(record))
            case Next.ROW_MOVED:
                self._spawn(self._next_of_key(decided, result))
            case Next.REFUSED:
                self._refused(decided, result)

    def _laid_aside(self, decided: Decided) -> None:
        record, verdict = decided.record, decided.verdict
        if isinstance(verdict, Park) and self._is_ours(record):
            note = self._parking.rest if isinstance(record, ParkedRecord) else self._parking.follow
            note(record, verdict.until)
        self._let_go(record)

    def _refused(self, decided: Decided, result: Result) -> None:
        record = decided.record
        if isinstance(decided.verdict, GiveUp):
            self._follow(record, self._decider.refused(decided, result.reason, result.detail))
            return
        # An invalid outcome is a fault of the program: as permanent as a record that cannot be read.
        failure = Conflict("guard") if result.reason == "conflict" else PermanentError(result.reason)
        self._follow(record, self._decider.failed(record, failure, result.detail))

    # Parked keys.

    async def _look_after_parked(self) -> None:
        """Wake parked keys whose time has come, and measure, for ever."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._parking and self.room > 0:
                for line in self._parking.due(self._clock.now(), self.room):
                    first = await self._waking.wake(line)
                    if first is not None:
                        self._lanes.add([first])
                        self._hands.call()
            looks += 1
            if looks % _MEASURE_EVERY == 0:
                self._gauges.show(self._lanes, self._parking, self._generations)

    async def _next_of_key(self, decided: Decided, refused: Result | None = None) -> None:
        """What follows a parked record: the next of its key, or, when its own transaction was `refused`, itself."""
        record = decided.record
        assert isinstance(record, ParkedRecord)
        first = await self._waking.behind(record)
        same = first is not None and (first.offset, first.attempts) == (record.offset, record.attempts)
        if refused is not None and same:
            self._refused(decided, refused)
            return
        self._let_go(record, first)
        self._go_on()

    async def _found_done(self, record: StoredRecord) -> None:
        if self._is_ours(record):
            await self._waking.found_done(record)
        self._let_go(record)
        self._go_on()

    # Small things.

    def _gone(self, record: StoredRecord) -> bool:
        """Whether the record is another member's by now, or the next one's after us."""
        return self._closing or (
            bool(self._drained)
            and self._drained.get(TopicPartition(record.topic, record.partition), -1) == record.generation
        )

    def _is_ours(self, record: StoredRecord) -> bool:
        return self._generations.get(TopicPartition(record.topic, record.partition)) == record.generation

    def _let_go(self, record: StoredRecord, then: StoredRecord | None = None) -> None:
        """The record is settled, or somebody else's."""
        self._decider.forget(record)
        self._lanes.finish(record, then)

    def _go_on(self) -> None:
        """Something was settled: lanes may have their next record."""
        self._stir()
        self._hands.call()

    def _stir(self) -> None:
        """Tell whoever waits for something to be finished."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
