"""The runner on the real engine: order, batches, retries, dead letters, exactly one effect."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Integer, Table, Text, bindparam, select, update

from bus.clock import SystemClock
from bus.delivery.dead_letters import discard, list_dead_letters, retry
from bus.delivery.outcome import NOTHING, Outcome, Write
from bus.delivery.retry import RetryPolicy
from bus.delivery.runner import RunnerLimits, WorkerRunner
from bus.errors import PoisonError, TransientError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.log.topics import CASE_OFFERS
from bus.message import Party, Reply, envelope
from bus.store.schema import SQLITE, metadata
from bus.store.sql import insert_ignore
from bus.telemetry import Metrics

counter = metadata.tables.get("test_counter")
if counter is None:
    counter = Table(
        "test_counter",
        metadata,
        Column("name", Text, primary_key=True),
        Column("value", Integer, nullable=False),
        info=SQLITE,
    )
_create = insert_ignore(counter, ["name"])
_step = (
    update(counter)
    .where(counter.c.name == bindparam("b_name"), counter.c.value == bindparam("b_was"))
    .values(value=bindparam("b_is"))
)
_value = select(counter).where(counter.c.name == bindparam("name"))


class Worker:
    """A worker made of a function."""

    group = "g"
    topics: Sequence[str] = ("in",)

    def __init__(self, decide: Callable[[StoredRecord], Awaitable[Outcome]]) -> None:
        self._decide = decide
        self.batches: list[int] = []

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        self.batches.append(len(batch))

    async def handle(self, record: StoredRecord) -> Outcome:
        return await self._decide(record)


def record(number: int, key: str, **headers: str) -> Record:
    return Record(topic="in", key=key, value=str(number).encode(), id=f"{key}/{number}", headers=headers)


def out(stored: StoredRecord) -> Outcome:
    return Outcome(emit=(Record(topic="out", key=stored.key, value=stored.value, id=f"out/{stored.id}"),))


class Watched:
    """A runner with what it did."""

    def __init__(self, engine: EmbeddedEngine, worker: Worker, runner: WorkerRunner, metrics: Metrics) -> None:
        self.engine, self.worker, self.runner, self.metrics = engine, worker, runner, metrics
        self.desk: list[tuple[str, str]] = []

    async def until(self, count: int, topic: str = "out") -> list[StoredRecord]:
        """The first `count` records of a topic, in the order of the log."""
        async with asyncio.timeout(20):
            while True:
                found: list[StoredRecord] = []
                for partition in range(8):
                    found += await self.engine.read(topic, partition)
                if len(found) >= count:
                    return sorted(found, key=lambda r: r.offset)
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(engine: EmbeddedEngine, worker: Worker, **options: Any):
    metrics = Metrics()
    desk: list[tuple[str, str]] = []

    def to_desk(stored: StoredRecord, reason: str) -> Outcome:
        desk.append((stored.id, reason))
        return Outcome(emit=(Record(topic="desk", key=stored.key, value=b"", id=f"desk/{stored.id}"),))

    runner = WorkerRunner(
        worker,
        log_port=engine,
        store=engine,
        clock=SystemClock(),
        metrics=metrics,
        member="m1",
        desk_case=to_desk,
        jitter=random.Random(1),
        retry=options.pop("retry", RetryPolicy(first_s=0.01, cap_s=0.02)),
        limits=options.pop("limits", RunnerLimits(fetch_wait_s=0.05)),
    )
    task = asyncio.create_task(runner.run())
    watched = Watched(engine, worker, runner, metrics)
    watched.desk = desk
    try:
        yield watched
    finally:
        runner.stop()
        await asyncio.wait_for(task, 10)


async def test_keys_keep_their_order_while_many_are_handled_at_once(engine: EmbeddedEngine) -> None:
    in_hand: set[str] = set()
    most = 0

    async def decide(stored: StoredRecord) -> Outcome:
        nonlocal most
        assert stored.key not in in_hand
        in_hand.add(stored.key)
        most = max(most, len(in_hand))
        await asyncio.sleep(random.Random(stored.id).random() / 500)
        in_hand.discard(stored.key)
        return out(stored)

    await engine.append([record(n, f"k{n % 20}") for n in range(400)])
    async with running(engine, Worker(decide)) as watched:
        done = await watched.until(400)
    by_key: dict[str, list[int]] = {}
    for stored in done:
        by_key.setdefault(stored.key, []).append(int(stored.value))
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    assert len(done) == 400
    assert most > 5
    assert max(watched.worker.batches) > 5


async def test_records_that_say_the_same_are_decided_once_for_all_that_wait(engine: EmbeddedEngine) -> None:
    rounds: list[str] = []

    async def decide(stored: StoredRecord) -> Outcome:
        rounds.append(stored.id)
        if len(rounds) == 1:
            raise TransientError("away")
        return out(stored)

    def look(number: int) -> Record:
        return Record(topic=CASE_OFFERS, key="shop", value=b"{}", id=f"look/{number}")

    worker = Worker(decide)
    worker.topics = (CASE_OFFERS,)
    await engine.append([look(n) for n in range(50)])
    async with running(engine, worker) as watched:
        await watched.until(1)
        await engine.append([look(50)])
        assert [stored.id for stored in await watched.until(2)] == ["out/look/0", "out/look/50"]
    assert rounds == ["look/0", "look/0", "look/50"]
    assert set((await engine.lag("g", [CASE_OFFERS])).values()) == {(0, 0.0)}


async def test_a_transient_fault_delays_only_its_own_key(engine: EmbeddedEngine) -> None:
    failures = {"slow/0": 2}

    async def decide(stored: StoredRecord) -> Outcome:
        if failures.get(stored.id, 0):
            failures[stored.id] -= 1
            raise TransientError("away")
        return out(stored)

    await engine.append([record(0, "slow"), record(1, "slow"), record(0, "other")])
    async with running(engine, Worker(decide)) as watched:
        done = await watched.until(3)
    assert [r.id for r in done if r.key == "slow"] == ["out/slow/0", "out/slow/1"]
    assert watched.desk == []


@pytest.mark.parametrize(("error", "word"), [(PoisonError("x"), "poison"), (KeyError("secret text"), "unexpected")])
async def test_what_cannot_be_handled_becomes_a_dead_letter_and_a_case(
    engine: EmbeddedEngine, error: Exception, word: str
) -> None:
    async def decide(stored: StoredRecord) -> Outcome:
        if stored.value == b"0":
            raise error
        return out(stored)

    await engine.append([record(0, "a", tenant="shop"), record(1, "a"), record(2, "b")])
    async with running(engine, Worker(decide)) as watched:
        await watched.until(2)
        await watched.until(1, "desk")
    assert watched.desk == [("a/0", word)]
    (letter,) = await list_dead_letters(engine)
    assert (letter["reason"], letter["tenant"], bytes(letter["value"])) == (word, "shop", b"0")
    assert "secret" not in str(dict(letter))


async def test_a_dead_letter_can_be_retried_once_or_discarded(engine: EmbeddedEngine) -> None:
    broken = True

    async def decide(stored: StoredRecord) -> Outcome:
        if broken:
            raise PoisonError("x")
        return out(stored)

    await engine.append([record(0, "a"), record(1, "b")])
    now = SystemClock().now()
    async with running(engine, Worker(decide)) as watched:
        await watched.until(2, "desk")
        letters = {row["record_id"]: row["id"] for row in await list_dead_letters(engine)}
        broken = False
        assert await retry(engine, letters["a/0"], actor="ops", now=now)
        assert not await retry(engine, letters["a/0"], actor="ops", now=now)
        assert await discard(engine, letters["b/1"], actor="ops", now=now)
        assert not await retry(engine, letters["b/1"], actor="ops", now=now)
        assert not await discard(engine, "d-none", actor="ops", now=now)
        (again,) = await watched.until(1)
    assert again.id == "out/a/0~retry-1"


async def test_a_live_record_past_its_deadline_goes_to_a_person_at_once(engine: EmbeddedEngine) -> None:
    async def decide(stored: StoredRecord) -> Outcome:
        raise TransientError("away")

    soon = (SystemClock().now() + timedelta(milliseconds=1)).isoformat()
    await engine.append([record(0, "a", deadline=soon)])
    async with running(engine, Worker(decide), retry=RetryPolicy(first_s=5)) as watched:
        await watched.until(1, "desk")
    assert watched.desk == [("a/0", "deadline")]


async def test_lost_races_are_decided_again_until_every_step_counts_once(engine: EmbeddedEngine) -> None:
    """Thirty records of different keys all step the same counter: guards fail, decisions repeat, nothing is lost."""

    async def decide(stored: StoredRecord) -> Outcome:
        row = await engine.one(_value, {"name": "n"})
        was = row["value"] if row else 0
        return Outcome(
            writes=(
                Write(statement=_create, params={"name": "n", "value": 0}),
                Write(statement=_step, params={"b_name": "n", "b_was": was, "b_is": was + 1}, expect=1),
            ),
            emit=out(stored).emit,
        )

    await engine.append([record(n, f"k{n}") for n in range(30)])
    async with running(engine, Worker(decide), retry=RetryPolicy(conflict_attempts=500)) as watched:
        await watched.until(30)
    row = await engine.one(_value, {"name": "n"})
    assert row is not None
    assert row["value"] == 30


async def test_stopping_finishes_what_is_in_hand_and_leaves_the_rest_for_the_next(engine: EmbeddedEngine) -> None:
    handled: list[str] = []
    gate = asyncio.Event()

    async def decide(stored: StoredRecord) -> Outcome:
        await gate.wait()
        handled.append(stored.id)
        return out(stored)

    await engine.append([record(n, f"k{n}") for n in range(10)])
    limits = RunnerLimits(max_in_flight=4, fetch_wait_s=0.05)
    async with running(engine, Worker(decide), limits=limits) as watched:
        async with asyncio.timeout(5):
            while sum(watched.worker.batches) < 4:
                await asyncio.sleep(0.01)
        watched.runner.stop()
        gate.set()
    first = set(handled)
    assert 4 <= len(first) < 10
    async with running(engine, Worker(decide)) as watched:
        done = await watched.until(10)
    assert len(done) == len({r.id for r in done}) == 10
    assert len(handled) == 10


async def test_replies_are_planned_and_headers_handed_on(engine: EmbeddedEngine) -> None:
    async def decide(stored: StoredRecord) -> Outcome:
        reply = Reply(
            id="r-1",
            tenant="shop",
            case="k-1",
            channel="email",
            account="a",
            to=Party(kind="email", address="g@x"),
            text="Guten Tag",
            language="de",
        )
        return Outcome(replies=(reply,), emit=out(stored).emit)

    at = SystemClock().now()
    headers = {
        **envelope(record_id="c-1", kind="contact", source="s", tenant="shop", at=at),
        "contact-at": at.isoformat(),
    }
    headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await engine.append([record(0, "a", **headers)])
    async with running(engine, Worker(decide)) as watched:
        (reply,) = await watched.until(1, "reply.email")
        (emitted,) = await watched.until(1)
    assert reply.headers["contact-at"] == emitted.headers["contact-at"] == at.isoformat()
    assert reply.headers["traceparent"] == headers["traceparent"]
    assert reply.headers["ce_id"] == "r-1"


async def test_a_handler_that_hangs_is_cut_off_and_counted_as_a_fault(engine: EmbeddedEngine) -> None:
    async def decide(stored: StoredRecord) -> Outcome:
        if stored.value == b"0":
            await asyncio.Event().wait()
        return NOTHING

    await engine.append([record(0, "a")])
    limits = RunnerLimits(fetch_wait_s=0.05, handle_s=0.05)
    async with running(engine, Worker(decide), limits=limits) as watched:
        await watched.until(1, "desk")
    assert watched.desk == [("a/0", "unexpected")]
