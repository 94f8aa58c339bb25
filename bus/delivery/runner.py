"""Runs one worker: fetch, lanes, decide, apply many outcomes in one transaction.

    fetch -> lanes (one record per key) -> prepare(batch) -> handle(record) each -> apply(batch) -> next of each lane

While one transaction runs, the outcomes of the next collect: the batch grows with the load and needs no timer.
"""

import asyncio
import contextlib
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import structlog

from bus import faultpoints
from bus.clock import Clock, to_micros
from bus.delivery.dead_letters import DeskCase
from bus.delivery.deciding import Decided, Decider
from bus.delivery.hands import Hand, Hands
from bus.delivery.lanes import Lanes, Place, place_of
from bus.delivery.outcome import NOTHING
from bus.delivery.parking import Line, ParkedKeys, ParkedRecord
from bus.delivery.retry import GiveUp, Park, RetryPolicy, TryAgain
from bus.delivery.worker import Worker
from bus.errors import Conflict, PermanentError, TransientError
from bus.log.port import Delivery, Fenced, Log, StoredRecord, Subscription, TopicPartition
from bus.store.port import Effect, Result, Store
from bus.telemetry import Metrics

__all__ = ["RunnerLimits", "WorkerRunner"]

log = structlog.get_logger()

T = TypeVar("T")

_FAULTS = 10
"""So often in a row may a fetch or a transaction fail for a reason that is not known to pass."""

_LONGEST_PAUSE_S = 5.0
"""Between two attempts to reach a store or a log that is away."""

_SIGN_OF_LIFE_S = 5.0
"""With full lanes the log is still asked so often, for nothing: a member that never asks is taken for dead."""

_CROWDED_WAIT_S = 0.05
"""How long a fetch may wait while it leaves partitions out; they may have room again the next moment."""

_LOOK_S = 0.25
"""A parked key is woken at most so late."""

_MEASURE_EVERY = 4
"""Gauges are set at every fourth look."""


class RunnerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one worker in one process.

    `max_in_flight` bounds memory: records of some kilobytes each; one partition may have `crowded` of them, so that
    a stuck one leaves room for others. `batch` is where a transaction stops getting cheaper per record. `fetch_wait_s`
    bounds how late a stop is noticed. `drain_s` fits under the 30 s that orchestrators give; its last `commit_s` belong
    to committing and leaving, whatever else was not finished. `commit_retry_s`: the log may be locked for a moment (a
    checkpoint, another process). `handle_s`: a decision that hangs is a fault; the longest honest one is a mail relay
    that takes its time.
    """

    max_in_flight: int = 1000
    crowded: int = 400
    batch: int = 200
    fetch_wait_s: float = 0.5
    drain_s: float = 20.0
    commit_s: float = 5.0
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
        self._limits = limits or RunnerLimits()
        self._lanes = Lanes()
        self._parking = ParkedKeys(worker.group, store)
        self._decider = Decider(
            worker,
            clock=clock,
            metrics=metrics,
            desk_case=desk_case,
            jitter=jitter,
            retry=retry or RetryPolicy(),
            parking=self._parking,
        )
        self._hands = Hands(self._work, name=worker.group, limit_s=self._limits.handle_s)
        self._prepared: deque[StoredRecord] = deque()
        self._resting: dict[Place, tuple[StoredRecord, asyncio.TimerHandle]] = {}
        self._decided: list[Decided] = []
        self._applying = False
        self._commit = asyncio.Event()
        self._moved = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._drain_s = self._limits.drain_s
        self._generations: dict[TopicPartition, int] = {}
        self._drained: dict[TopicPartition, int] = {}
        self._measured: set[tuple[str, int]] = set()

    @property
    def group(self) -> str:
        """The worker's consumer group."""
        return self._worker.group

    @property
    def topics(self) -> Sequence[str]:
        """The topics its worker consumes."""
        return self._worker.topics

    def stop(self, within_s: float | None = None) -> None:
        """Take nothing new; `run` returns when what is in hand is finished, or at the latest after `within_s`."""
        if within_s is not None:
            self._drain_s = within_s
        self._stopping.set()
        self._stir()

    async def run(self) -> None:
        """Work until `stop`. Raises only what makes going on pointless; the caller restarts or ends the process."""
        subscription = await self._log.subscribe(
            self.group, self._worker.topics, member=self._member, drain=self._drain
        )
        applying = asyncio.create_task(self._apply_loop())
        background = [
            applying,
            asyncio.create_task(self._hands.watch()),
            asyncio.create_task(self._look_after_parked()),
        ]
        try:
            await self._fetch_loop(subscription, background)
            await self._finish(asyncio.get_running_loop().time() + self._drain_s, applying)
        finally:
            for task in (*background, *self._tasks):
                task.cancel()
            await asyncio.gather(*background, *self._tasks, self._hands.dismiss(), return_exceptions=True)
            for _, alarm in self._resting.values():
                alarm.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.commit_s):
                    await subscription.close()

    # Fetching.

    async def _fetch_loop(self, subscription: Subscription, background: Sequence[asyncio.Task[None]]) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._raise_faults(background)
            room = self._limits.max_in_flight - self._lanes.size
            if room <= 0 and await self._room_within(_SIGN_OF_LIFE_S):
                continue
            try:
                if room > 0:
                    crowded = self._lanes.crowded(self._limits.crowded)
                    wait_s = _CROWDED_WAIT_S if crowded else self._limits.fetch_wait_s
                    records = await subscription.fetch(room, wait_s, paused=crowded)
                else:
                    records = await subscription.fetch(1, 0, paused=frozenset(subscription.generations))
                if subscription.generations != self._generations:
                    await self._take_over(subscription.generations)
                failures = 0
            except Fenced:
                raise
            except Exception as error:
                # A log that is away for a while must not end the worker; what is not known to pass has a limit.
                failures += 1
                log.warning("fetch failed", group=self.group, attempt=failures, exc_info=error)
                if failures >= _FAULTS and not isinstance(error, TransientError):
                    raise
                await self._pause(failures)
                continue
            if records:
                faultpoints.reached("consume.fetched", self.group)
                self._lanes.add([record for record in records if not self._gone(record)] if self._drained else records)
                self._hands.call()

    def _raise_faults(self, background: Sequence[asyncio.Task[None]]) -> None:
        for task in background:
            if task.done():
                task.result()
        if self._hands.failure is not None:
            raise self._hands.failure

    async def _room_within(self, seconds: float) -> bool:
        """Wait for anything to be finished; False when nothing was."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), seconds)
            return True
        return False

    async def _take_over(self, now: Mapping[TopicPartition, int]) -> None:
        """Partitions came or went: forget what was read of those that did, and learn what is parked of the new."""
        before, self._generations = self._generations, dict(now)
        changed = {place for place in {*before, *now} if before.get(place) != now.get(place)}
        self._metrics.rebalances.labels(self.group).inc()
        self._give_back(changed)
        try:
            await self._parking.load({place: now[place] for place in changed if place in now})
        except BaseException:
            # Nothing of these partitions may be handled before it is known what is parked: they are taken over anew.
            self._generations = {place: now[place] for place in now if place not in changed}
            raise
        for place in changed:
            self._drained.pop(place, None)

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
            log.warning("prepare failed", group=self.group, count=len(batch), exc_info=error)
        finally:
            hand.end()

    def _follow(self, record: StoredRecord, found: Decided | TryAgain) -> None:
        if isinstance(found, Decided):
            self._decided.append(found)
            self._commit.set()
            return
        if self._gone(record):
            self._let_go(record)
            self._stir()
            return
        place = place_of(record)
        alarm = asyncio.get_running_loop().call_later(found.after_s, self._rested, place)
        self._resting[place] = record, alarm

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
            faultpoints.reached("outcome.decided", self.group)
            results = await self._apply([self._effect(each) for each in decided])
            faultpoints.reached("outcome.applied", self.group)
            words: Counter[str] = Counter()
            for each, result in zip(decided, results, strict=True):
                words[result.reason or ("nothing" if each.outcome is NOTHING else "done")] += 1
                self._settle(each, result)
            self._applying = False
            for word, count in words.items():
                self._metrics.handled.labels(self.group, word).inc(count)
            self._stir()
            self._hands.call()

    def _effect(self, decided: Decided) -> Effect:
        record = decided.record
        if isinstance(record, ParkedRecord):
            # Its delivery was finished when it was parked; what is guarded now is its row.
            return Effect(outcome=decided.outcome)
        return Effect(outcome=decided.outcome, source=Delivery.of(self.group, record))

    async def _apply(self, effects: list[Effect]) -> Sequence[Result]:
        failures = 0
        while True:
            try:
                return await self._store.apply(effects)
            except Exception as error:
                failures += 1
                log.error("transaction failed", group=self.group, attempt=failures, count=len(effects), exc_info=error)
                if failures >= _FAULTS and not isinstance(error, TransientError):
                    raise
                await self._pause(failures)

    def _settle(self, decided: Decided, result: Result) -> None:
        record, verdict = decided.record, decided.verdict
        if result.applied:
            self._decider.forget(record)
            if isinstance(verdict, Park):
                if self._is_ours(record):
                    self._parking.rest(record, verdict.until)
                self._lanes.finish(record)
            elif isinstance(record, ParkedRecord):
                self._spawn(self._next_of_key(record))
            else:
                self._lanes.finish(record)
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

    def _is_ours(self, record: StoredRecord) -> bool:
        return self._generations.get(TopicPartition(record.topic, record.partition)) == record.generation

    def _let_go(self, record: StoredRecord) -> None:
        self._decider.forget(record)
        self._lanes.finish(record)

    # Parked keys.

    async def _look_after_parked(self) -> None:
        """Wake parked keys whose time has come, and measure, for ever."""
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._parking:
                room = max(0, self._limits.max_in_flight - self._lanes.size)
                for line in self._parking.due(self._clock.now(), room):
                    await self._wake(line)
            looks += 1
            if looks % _MEASURE_EVERY == 0:
                self._measure()

    async def _wake(self, line: Line) -> None:
        first = await self._surely(lambda: self._parking.first(line))
        if not self._parking.knows(line):
            return
        if first is None:
            self._parking.free(line)
        else:
            self._lanes.add([first])
            self._hands.call()

    async def _next_of_key(self, record: ParkedRecord, refused: Decided | None = None) -> None:
        """What follows a parked record: the next of its key, or, when its own transaction was `refused`, itself."""
        line = self._parking.line(record)
        if line is None or line.generation != record.generation:
            self._let_go(record)
            self._stir()
            return
        first = await self._surely(lambda: self._parking.first(line))
        same = first is not None and (first.offset, first.attempts) == (record.offset, record.attempts)
        if refused is not None and same:
            self._refused(refused, Result(applied=False, reason="conflict"))
            return
        self._decider.forget(record)
        if first is None:
            self._parking.free(line)
        self._lanes.finish(record, first if self._parking.knows(line) else None)
        self._stir()
        self._hands.call()

    async def _found_done(self, record: StoredRecord) -> None:
        """The record was finished by a member before us: perhaps by parking it, after we had looked."""
        if self._is_ours(record):
            line = self._parking.rest(record, self._clock.now())
            if await self._surely(lambda: self._parking.first(line)) is None:
                self._parking.free(line)
        self._let_go(record)
        self._stir()
        self._hands.call()

    # Leaving.

    async def _drain(self, partitions: frozenset[TopicPartition]) -> None:
        """Partitions are about to move: give back what nobody has begun, and wait for the rest."""
        for place in partitions:
            self._drained[place] = self._generations.get(place, -1)
        self._give_back(partitions)
        keys = {(place.topic, place.partition) for place in partitions}
        while not keys.isdisjoint(self._lanes.counts):
            await self._moved.wait()

    def _gone(self, record: StoredRecord) -> bool:
        """Whether the record is another member's by now, or the next one's after us."""
        place = TopicPartition(record.topic, record.partition)
        return self._stopping.is_set() or self._drained.get(place, -1) == record.generation

    def _give_back(self, partitions: set[TopicPartition] | frozenset[TopicPartition]) -> None:
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

    async def _finish(self, leave_by: float, applying: asyncio.Task[None]) -> None:
        """Give back what was not begun; finish what is in hand, and commit, until `leave_by` of the loop's time."""
        loop = asyncio.get_running_loop()
        self._give_back({TopicPartition(*partition) for partition in self._lanes.counts} | set(self._generations))
        try:
            async with asyncio.timeout_at(leave_by - self._limits.commit_s):
                while self._lanes.size and not applying.done():
                    await self._moved.wait()
        except TimeoutError:
            log.warning("work in hand is given back", group=self.group, count=self._lanes.size)
            await self._hands.dismiss()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(max(leave_by, loop.time() + 1.0) - 1.0):
                while (self._applying or self._decided) and not applying.done():
                    await self._moved.wait()

    # Small things.

    def _stir(self) -> None:
        """Tell whoever waits for something to be finished."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pause(self, failures: int) -> None:
        await asyncio.sleep(min(self._limits.commit_retry_s * failures, _LONGEST_PAUSE_S))

    async def _surely(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read, as often as it takes."""
        failures = 0
        while True:
            try:
                return await read()
            except Exception as error:
                failures += 1
                log.warning("parked records could not be read", group=self.group, attempt=failures, exc_info=error)
                await self._pause(failures)

    def _measure(self) -> None:
        metrics, now = self._metrics, to_micros(self._clock.now())
        metrics.lanes.labels(self.group).set(self._lanes.keys)
        standing = self._parking.standing()
        owned = {(place.topic, place.partition) for place in self._generations}
        for place in self._measured | owned | standing.keys():
            labels = (self.group, place[0], str(place[1]))
            keys, oldest = standing.get(place, (0, now))
            metrics.in_flight.labels(*labels).set(self._lanes.counts.get(place, 0))
            metrics.parked_keys.labels(*labels).set(keys)
            metrics.oldest_parked.labels(*labels).set(max(0, now - oldest) / 1e6)
        self._measured = owned
