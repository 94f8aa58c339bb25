"""Partitions that move, processes that are told to go, stores that are away: nothing is lost, doubled or overtaken."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError

from bus.delivery import runner as runner_module
from bus.delivery.outcome import NOTHING, Outcome
from bus.delivery.runner import RunnerLimits
from bus.errors import TransientError
from bus.log.embedded import EmbeddedEngine
from bus.log.partition import partition_of
from bus.log.port import Drain, Record, StoredRecord, TopicPartition
from bus.store.port import Effect, Result

LIMITS = RunnerLimits(fetch_wait_s=0.02, commit_retry_s=0.01)


def out(record: StoredRecord) -> Outcome:
    return Outcome(emit=(Record(topic="out", key=record.key, value=record.value, id=f"out/{record.id}"),))


def record(value: str) -> Record:
    """Its key is the first letter."""
    return Record(topic="in", key=value[0], value=value.encode(), id=value)


def places(*keys: str) -> frozenset[TopicPartition]:
    return frozenset(TopicPartition("in", partition_of(key, 8)) for key in keys)


class Port:
    """The engine, with what a test wants to see or to go wrong."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self.drain: Drain | None = None
        self.faults: list[Exception] = []
        self.reads: list[Exception] = []
        self.asked: list[tuple[int, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def subscribe(self, group: str, topics: Sequence[str], *, member: str, drain: Drain | None = None) -> Any:
        self.drain = drain
        subscription = await self._engine.subscribe(group, topics, member=member)
        fetch = subscription.fetch

        async def counted(most: int, wait_s: float, *, paused: frozenset[TopicPartition] = frozenset()) -> Any:
            self.asked.append((most, len(paused)))
            return await fetch(most, wait_s, paused=paused)

        subscription.fetch = counted  # type: ignore[method-assign]
        return subscription

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        if self.faults:
            raise self.faults.pop(0)
        return await self._engine.apply(effects)

    async def all(self, *given: Any) -> Any:
        if self.reads:
            raise self.reads.pop(0)
        return await self._engine.all(*given)


@pytest.fixture
def port(engine: EmbeddedEngine) -> Port:
    return Port(engine)


async def test_before_a_partition_moves_what_is_in_hand_is_finished_and_the_rest_given_back(
    engine: EmbeddedEngine, member: Any, port: Port
) -> None:
    begun: list[str] = []
    gate = asyncio.Event()

    async def decide(stored: StoredRecord) -> Outcome:
        begun.append(stored.value.decode())
        await gate.wait()
        return out(stored)

    await engine.append([record("a1"), record("a2"), record("c1")])
    async with member(decide, port=port, limits=LIMITS) as m:
        await m.until(lambda: len(begun) == 2)
        assert port.drain is not None
        draining = asyncio.create_task(port.drain(places("a")))
        await asyncio.sleep(0)
        assert not draining.done()
        gate.set()
        await asyncio.wait_for(draining, 10)
        assert "a1" in [r.value.decode() for r in await m.records()]
        assert "a2" not in begun

        async def other_came() -> bool:
            return len(await m.records()) == 2

        await m.until(other_came)
        assert "a2" not in begun


async def test_back_off_does_not_hold_a_partition_that_moves(engine: EmbeddedEngine, member: Any, port: Port) -> None:
    tried = asyncio.Event()

    async def decide(stored: StoredRecord) -> Outcome:
        tried.set()
        raise TransientError("away")

    from bus.delivery.retry import RetryPolicy

    await engine.append([record("a1")])
    async with member(decide, port=port, limits=LIMITS, retry=RetryPolicy(first_s=20)) as m:
        await asyncio.wait_for(tried.wait(), 10)
        assert port.drain is not None
        await asyncio.wait_for(port.drain(places("a")), 5)
        assert await m.records() == []


async def test_a_decision_that_does_not_end_is_given_back_in_time_and_the_others_are_committed(
    engine: EmbeddedEngine, member: Any, port: Port
) -> None:
    begun: list[str] = []

    async def decide(stored: StoredRecord) -> Outcome:
        begun.append(stored.value.decode())
        if stored.key == "a":
            await asyncio.Event().wait()
        return out(stored)

    await engine.append([record("a1"), record("a2"), record("c1")])
    loop = asyncio.get_running_loop()
    limits = RunnerLimits(fetch_wait_s=0.02, commit_s=0.5)
    async with member(decide, limits=limits, port=port) as m:
        await m.until(lambda: "a1" in begun)
        await m.came("c1")
        began = loop.time()
        m.runner.stop(within_s=2.0)
        await asyncio.wait_for(m.task, 10)
        assert loop.time() - began < 4.0
        # Whoever asks for a drain while the member leaves is not kept waiting for what was given up.
        assert port.drain is not None
        await asyncio.wait_for(port.drain(places("a")), 1)
    assert "a2" not in begun

    async def again(stored: StoredRecord) -> Outcome:
        return out(stored)

    async with member(again) as m:
        await m.came("c1", "a1", "a2")


async def test_a_store_that_is_away_is_waited_for_however_long(engine: EmbeddedEngine, member: Any, port: Port) -> None:
    async def decide(stored: StoredRecord) -> Outcome:
        return out(stored)

    port.faults = [TransientError("away") for _ in range(15)]
    await engine.append([record("a1")])
    async with member(decide, port=port, limits=RunnerLimits(fetch_wait_s=0.02, commit_retry_s=0.001)) as m:
        await m.came("a1")
    assert not port.faults


async def test_after_a_failure_the_same_runner_begins_anew(engine: EmbeddedEngine, member: Any, port: Port) -> None:
    """A supervisor runs it again; what the first run had in hand must not block its keys."""

    async def decide(stored: StoredRecord) -> Outcome:
        return out(stored)

    port.faults = [SQLAlchemyError("a fault nobody knows") for _ in range(10)]
    await engine.append([record("a1"), record("a2")])
    async with member(decide, port=port, limits=RunnerLimits(fetch_wait_s=0.02, commit_retry_s=0.001)) as m:
        with pytest.raises(SQLAlchemyError):
            await asyncio.wait_for(asyncio.shield(m.task), 20)
        m.task = asyncio.create_task(m.runner.run())
        await m.came("a1", "a2")
        m.runner.stop()
        await asyncio.wait_for(m.task, 10)


async def test_nothing_is_handled_before_it_is_known_what_is_parked(
    engine: EmbeddedEngine, member: Any, port: Port
) -> None:
    async def decide(stored: StoredRecord) -> Outcome:
        assert not port.reads
        return out(stored)

    port.reads = [TransientError("away") for _ in range(5)]
    await engine.append([record("a1"), record("a2"), record("c1")])
    async with member(decide, port=port, limits=LIMITS) as m:
        await m.until(lambda: not port.reads)

        async def all_came() -> bool:
            return len(await m.records()) == 3

        await m.until(all_came)
        assert m.desk == []


async def test_with_full_lanes_the_log_still_hears_from_the_member(
    engine: EmbeddedEngine, member: Any, port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "_SIGN_OF_LIFE_S", 0.02)
    gate = asyncio.Event()

    async def decide(stored: StoredRecord) -> Outcome:
        await gate.wait()
        return NOTHING

    await engine.append([record(f"{key}1") for key in "abcdef"])
    limits = RunnerLimits(max_in_flight=4, fetch_wait_s=0.02)
    async with member(decide, port=port, limits=limits) as m:
        await m.until(lambda: (1, 8) in port.asked)
        gate.set()
        await m.until(lambda: m.gauge("records_handled_total") == 6)


async def test_a_crowded_partition_leaves_room_for_the_others(engine: EmbeddedEngine, member: Any, port: Port) -> None:
    gate = asyncio.Event()

    async def decide(stored: StoredRecord) -> Outcome:
        if stored.key == "a":
            await gate.wait()
        return out(stored)

    assert places("a") != places("c")
    await engine.append([record(f"a{n}") for n in range(1, 30)])
    limits = RunnerLimits(max_in_flight=10, crowded=5, fetch_wait_s=0.02)
    async with member(decide, port=port, limits=limits) as m:
        await m.until(lambda: any(paused for _, paused in port.asked))
        await engine.append([record("c1")])
        await m.came("c1")
        gate.set()

        async def all_came() -> bool:
            return len(await m.records()) == 30

        await m.until(all_came)
