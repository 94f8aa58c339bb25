"""The flow of records through one member of a group: lanes, decisions, transactions, parked keys.

    add -> lanes (one record per key) -> prepare(batch) -> handle(record) each -> apply(batch) -> next of each lane

While one transaction runs, the outcomes of the next collect: the batch grows with the load and needs no timer. One flow
lives as long as one membership; what is in it when the membership ends comes back from the log.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence, Set
from typing import Any, TypeVar

import structlog

from bus import faultpoints
from bus.clock import Clock, to_micros
from bus.delivery.deciding import Decided, Decider
from bus.delivery.hands import Hand, Hands
from bus.delivery.lanes import Lanes, Place, place_of
from bus.delivery.limits import RunnerLimits
from bus.delivery.outcome import NOTHING
from bus.delivery.parking import Line, ParkedKeys, ParkedRecord
from bus.delivery.retry import GiveUp, Park, TryAgain
from bus.delivery.worker import Worker
from bus.errors import Conflict, PermanentError, TransientError
from bus.log.port import Delivery, StoredRecord, TopicPartition
from bus.store.port import Effect, Result, Store
from bus.telemetry import Metrics

__all__ = ["FAULTS", "Flow"]

log = structlog.get_logger()

T = TypeVar("T")

FAULTS = 10
"""So often in a row may a fetch or a transaction fail for a reason that is not known to pass."""

_LONGEST_PAUSE_S = 5.0
"""Between two attempts to reach a store or a log that is away."""

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
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._decider = decider
        self._parking = parking
        self._lanes = Lanes()
        self._hands = Hands(self._work, name=worker.group, limit_s=limits.handle_s)
        self._prepared: deque[StoredRecord] = deque()
        self._resting: dict[Place, tuple[StoredRecord, asyncio.TimerHandle]] = {}
        self._decided: list[Decided] = []
        self._applying = False
        self._commit = asyncio.Event()
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._closed = False
        self._generations: dict[TopicPartition, int] = {}
        self._drained: dict[TopicPartition, int] = {}
        self._measured: set[tuple[str, int]] = set()

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
        parts = (self._apply_loop(), self._hands.watch(), self._look_after_parked())
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
                while self._applying or self._decided:
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

    async def pause(self, failures: int) -> None:
        """Between two attempts at something that failed so often."""
        await asyncio.sleep(min(self._limits.commit_retry_s * failures, _LONGEST_PAUSE_S))

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
                self._follow(record, await self._decider.decide(hand, record))
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
            self._decided.append(found)
            self._commit.set()
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

    # Applying.

    async def _apply_loop(self) -> None:
        while True:
            await self._commit.wait()
            self._commit.clear()
            decided, self._decided = self._decided, []
            if not decided:
                continue
            self._applying = True
            faultpoints.reached("outcome.decided", self._group)
            results = await self._apply([self._effect(each) for each in decided])
            faultpoints.reached("outcome.applied", self._group)
            words: Counter[str] = Counter()
            for each, result in zip(decided, results, strict=True):
                words[result.reason or ("nothing" if each.outcome is NOTHING else "done")] += 1
                self._settle(each, result)
            self._applying = False
            for word, count in words.items():
                self._metrics.handled.labels(self._group, word).inc(count)
            self._stir()
            self._hands.call()

    def _effect(self, decided: Decided) -> Effect:
        record = decided.record
        if isinstance(record, ParkedRecord):
            # Its delivery was finished when it was parked; what is guarded now is its row.
            return Effect(outcome=decided.outcome)
        return Effect(outcome=decided.outcome, source=Delivery.of(self._group, record))

    async def _apply(self, effects: list[Effect]) -> Sequence[Result]:
        failures = 0
        while True:
            try:
                return await self._store.apply(effects)
            except Exception as error:
                failures += 1
                log.error("transaction failed", group=self._group, attempt=failures, count=len(effects), exc_info=error)
                if failures >= FAULTS and not isinstance(error, TransientError):
                    raise
                await self.pause(failures)

    def _settle(self, decided: Decided, result: Result) -> None:
        record, verdict = decided.record, decided.verdict
        if result.applied:
            if isinstance(verdict, Park):
                if self._is_ours(record):
                    note = self._parking.rest if isinstance(record, ParkedRecord) else self._parking.follow
                    note(record, verdict.until)
                self._let_go(record)
            elif isinstance(record, ParkedRecord):
                self._spawn(self._next_of_key(record))
            else:
                self._let_go(record)
        elif result.reason == "fenced":
            # The record belongs to another member now, who decides it anew; here it is only forgotten.
            self._let_go(record)
        elif result.reason == "duplicate":
            self._spawn(self._found_done(record))
        elif isinstance(record, ParkedRecord) and result.reason == "conflict":
            self._spawn(self._next_of_key(record, decided))
        else:
            self._refused(decided, result)

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
                    await self._wake(line)
            looks += 1
            if looks % _MEASURE_EVERY == 0:
                self._measure()

    async def _wake(self, line: Line) -> None:
        followed = line.followed
        first = await self._surely(lambda: self._parking.first(line))
        if not self._parking.knows(line):
            return
        if first is not None:
            self._lanes.add([first])
            self._hands.call()
        elif line.followed == followed and not self._lanes.holds(line.key):
            self._parking.free(line)
        else:
            # A member before us released them all, while something was, or is being, parked behind: look again.
            line.awake = False

    async def _next_of_key(self, record: ParkedRecord, refused: Decided | None = None) -> None:
        """What follows a parked record: the next of its key, or, when its own transaction was `refused`, itself."""
        line = self._parking.line(record)
        if line is not None and line.generation == record.generation:
            first = await self._surely(lambda: self._parking.first(line))
            same = first is not None and (first.offset, first.attempts) == (record.offset, record.attempts)
            if refused is not None and same:
                self._refused(refused, Result(applied=False, reason="conflict"))
                return
            if first is None:
                self._parking.free(line)
            self._let_go(record, first if self._parking.knows(line) else None)
        else:
            self._let_go(record)
        self._stir()
        self._hands.call()

    async def _found_done(self, record: StoredRecord) -> None:
        """The record was finished by a member before us: perhaps by parking it, after we had looked."""
        if self._is_ours(record) and self._parking.line(record) is None:
            line = self._parking.rest(record, self._clock.now())
            if await self._surely(lambda: self._parking.first(line)) is None:
                self._parking.free(line)
        self._let_go(record)
        self._stir()
        self._hands.call()

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

    def _stir(self) -> None:
        """Tell whoever waits for something to be finished."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _surely(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read, as often as it takes."""
        failures = 0
        while True:
            try:
                return await read()
            except Exception as error:
                failures += 1
                log.warning("parked records could not be read", group=self._group, attempt=failures, exc_info=error)
                await self.pause(failures)

    def _measure(self) -> None:
        metrics, now = self._metrics, to_micros(self._clock.now())
        metrics.lanes.labels(self._group).set(self._lanes.keys)
        standing = self._parking.standing()
        owned = {(place.topic, place.partition) for place in self._generations}
        for place in self._measured | owned | standing.keys():
            labels = (self._group, place[0], str(place[1]))
            keys, oldest = standing.get(place, (0, now))
            metrics.in_flight.labels(*labels).set(self._lanes.counts.get(place, 0))
            metrics.parked_keys.labels(*labels).set(keys)
            metrics.oldest_parked.labels(*labels).set(max(0, now - oldest) / 1e6)
        self._measured = owned
