"""Random schedules: faults that pass and faults that last, crashes at any step, members that come and go.

Whatever happens, each record has its effect once, and the records of a key have theirs in order. A seed repeats the
schedule of faults; the interleaving is the machine's.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from bus.clock import SystemClock
from bus.delivery import flow as flow_module
from bus.delivery.outcome import Outcome
from bus.delivery.parking import parked
from bus.delivery.retry import RetryPolicy
from bus.delivery.runner import RunnerLimits, WorkerRunner
from bus.engine import Engine
from bus.errors import TransientError
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import Drain, Record, StoredRecord
from bus.store.port import Effect, Result
from bus.store.postgres_settings import PostgresSettings
from bus.telemetry import Metrics
from bus.testing.log_member import opener_of
from bus.testing.log_records import PATIENCE_S, TARGET, TOPIC
from bus.testing.openers import Servers

KEYS = 9
RECORDS = 180
HEADERS = {"tenant": "shop"}
LIMITS = RunnerLimits(fetch_wait_s=0.02, commit_retry_s=0.005, drain_s=2.0, commit_s=0.5, batch=7, crowded=20)
RETRY = RetryPolicy(first_s=0.002, cap_s=0.005, lane_s=0.005, park_cap_s=0.06, unexpected_attempts=4)


class Pace:
    """How fast members come and go on an engine: joining a group on Kafka takes its time."""

    def __init__(self, opener: str, shortest_s: float, longest_s: float, storm_s: float, lives: int) -> None:
        self.opener = opener_of(opener)
        self.shortest_s, self.longest_s, self.storm_s, self.lives = shortest_s, longest_s, storm_s, lives


EMBEDDED = Pace("bus.testing.openers:embedded", 0.05, 0.4, 2.0, 6)
DISTRIBUTED = Pace("bus.testing.openers:distributed", 1.0, 3.0, 9.0, 4)


class Weather:
    """What goes wrong, by one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.calm = False
        self.down: set[str] = set()
        self.parked = 0

    def strikes(self, likely: float) -> bool:
        return not self.calm and self.random.random() < likely


class Storm:
    """The engine of one process, whose transactions fail before they are made, or after."""

    def __init__(self, engine: Engine, weather: Weather) -> None:
        self._engine = engine
        self._weather = weather
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def subscribe(self, group: str, topics: Sequence[str], *, member: str, drain: Drain | None = None) -> Any:
        subscription: Any = await self._engine.subscribe(group, topics, member=member, drain=drain)
        leave = subscription.close

        async def close() -> None:
            # The dead do not leave; their seat is taken by whoever comes under the same name.
            if not self.dead:
                await leave()

        subscription.close = close
        return subscription

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        if self._weather.strikes(0.1):
            raise TransientError("before anything was written")
        results = await self._engine.apply(effects)
        for each, result in zip(effects, results, strict=True):
            self._weather.parked += result.applied and any("first_failed_at" in w.params for w in each.outcome.writes)
        if self._weather.strikes(0.1):
            raise TransientError("written, but the answer was lost")
        return results

    async def one(self, *given: Any) -> Any:
        if self._weather.strikes(0.1):
            raise TransientError("a read failed")
        return await self._engine.one(*given)


class Worker:
    group = "g"
    topics: Sequence[str] = (TOPIC,)

    def __init__(self, weather: Weather) -> None:
        self._weather = weather

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        if self._weather.strikes(0.2):
            await asyncio.sleep(0.002)

    async def handle(self, record: StoredRecord) -> Outcome:
        if self._weather.strikes(0.5):
            await asyncio.sleep(self._weather.random.random() / 200)
        if record.key in self._weather.down or self._weather.strikes(0.2):
            raise TransientError("away")
        if self._weather.strikes(0.03):
            raise KeyError("a fault of the program")
        return effect(record, "")


def effect(record: StoredRecord, reason: str) -> Outcome:
    """What customer and person see lies in one topic, so that their order can be compared."""
    return Outcome(
        emit=(Record(topic=TARGET, key=record.key, value=record.value, id=f"out/{record.id}", headers=HEADERS),)
    )


async def seen(engine: Engine) -> dict[str, list[int]]:
    found: list[StoredRecord] = []
    for partition in range(8):
        found += await engine.read(TARGET, partition, limit=10_000)
    by_key: dict[str, list[int]] = {}
    for record in found:
        by_key.setdefault(record.key, []).append(int(record.value))
    return by_key


@contextlib.asynccontextmanager
async def process(
    location: str, pace: Pace, name: str, weather: Weather, seed: int
) -> AsyncGenerator[tuple[WorkerRunner, asyncio.Task[None], Storm]]:
    engine = await pace.opener(location)
    storm = Storm(engine, weather)
    runner = WorkerRunner(
        Worker(weather),
        log_port=storm,
        store=storm,
        clock=SystemClock(),
        metrics=Metrics(),
        member=name,
        desk_case=effect,
        jitter=random.Random(seed),
        retry=RETRY,
        limits=LIMITS,
    )
    task = asyncio.create_task(runner.run())
    try:
        yield runner, task, storm
    finally:
        runner.stop()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await engine.close()


async def live(location: str, pace: Pace, name: str, weather: Weather, seed: int, done: asyncio.Event) -> int:
    """One member's lives: each ends by a crash or in order, at a moment that the seed gives."""
    choose = random.Random(f"{seed}/{name}")
    lives = 0
    while not done.is_set():
        lives += 1
        async with process(location, pace, name, weather, seed + lives) as (runner, task, storm):
            life_s = PATIENCE_S if weather.calm else choose.uniform(pace.shortest_s, pace.longest_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), life_s)
            if choose.random() < 0.6 and not weather.calm:
                storm.dead = True
                task.cancel()
            else:
                runner.stop()
            await asyncio.wait({task}, timeout=5)
    return lives


async def change_the_weather(weather: Weather, ends_s: float) -> None:
    loop = asyncio.get_running_loop()
    ends = loop.time() + ends_s
    while loop.time() < ends:
        weather.down = {f"k{n}" for n in range(KEYS) if weather.random.random() < 0.5}
        await asyncio.sleep(0.15)
    weather.calm = True
    weather.down = set()


@pytest.mark.parametrize("seed", range(4))
async def test_each_record_has_its_effect_once_and_in_order(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_module, "_LOOK_S", 0.01)
    await keep_order(str(tmp_path), EMBEDDED, seed)


async def test_each_record_has_its_effect_once_and_in_order_on_kafka(
    kafka_settings: KafkaSettings, postgres_settings: PostgresSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_module, "_LOOK_S", 0.01)
    servers = Servers(kafka=kafka_settings, postgres=postgres_settings)
    await keep_order(msgspec.json.encode(servers).decode(), DISTRIBUTED, 1)


async def keep_order(location: str, pace: Pace, seed: int) -> None:
    weather = Weather(seed)
    done = asyncio.Event()
    door = await pace.opener(location)
    members = [asyncio.create_task(live(location, pace, name, weather, seed, done)) for name in ("one", "two")]
    sky = asyncio.create_task(change_the_weather(weather, pace.storm_s))
    try:
        for number in range(RECORDS):
            key = f"k{weather.random.randrange(KEYS)}"
            await door.append([Record(topic=TOPIC, key=key, value=b"%d" % number, id=f"r{number}", headers=HEADERS)])
            await asyncio.sleep(0.7 * pace.storm_s / RECORDS)
        await sky
        async with asyncio.timeout(PATIENCE_S):
            while sum(map(len, (await seen(door)).values())) < RECORDS:
                await asyncio.sleep(0.05)
            while any(count for count, _ in (await door.lag("g", [TOPIC])).values()):
                await asyncio.sleep(0.05)
    finally:
        done.set()
        lives = await asyncio.gather(*members)
    found = await seen(door)
    assert all(numbers == sorted(set(numbers)) for numbers in found.values()), found
    assert sorted(number for numbers in found.values() for number in numbers) == list(range(RECORDS))
    assert await door.all(select(parked.c.record_id)) == []
    # The schedule was one: members died, and keys were parked.
    assert sum(lives) > pace.lives
    assert weather.parked > 20
    await door.close()
