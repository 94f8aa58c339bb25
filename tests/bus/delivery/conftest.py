"""Runners for tests: members of one group on the engine under test, made of a function that decides."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
import structlog

from bus.delivery import flow as flow_module
from bus.delivery.dead_letters import DeskCase
from bus.delivery.outcome import Outcome
from bus.delivery.retry import RetryPolicy
from bus.delivery.runner import RunnerLimits, WorkerRunner
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.store.postgres import PostgresStore
from bus.store.postgres_tables import outbox
from bus.telemetry import Metrics
from bus.testing.clock import FakeClock
from bus.tracing import Tracing

PATIENCE_S = 20.0


class FunctionWorker:
    """A worker made of a function."""

    group = "g"

    def __init__(self, decide: Callable[[StoredRecord], Awaitable[Outcome]], topics: Sequence[str]) -> None:
        self.handle = decide
        self.topics = topics

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        """Nothing."""


class Member:
    """A running member, and what a test asks of it."""

    def __init__(self, engine: EmbeddedEngine, worker: FunctionWorker, runner: WorkerRunner, metrics: Metrics) -> None:
        self.engine, self.worker, self.runner, self.metrics = engine, worker, runner, metrics
        self.desk: list[tuple[str, str]] = []
        self.task: asyncio.Task[None] | None = None

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for a condition, which may be a coroutine function."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = condition()
                if await found if isinstance(found, Awaitable) else found:
                    return
                await asyncio.sleep(0.005)

    async def records(self, topic: str = "out") -> list[StoredRecord]:
        """The records of a topic, in the order of the log."""
        found: list[StoredRecord] = []
        for partition in range(8):
            found += await self.engine.read(topic, partition)
        return sorted(found, key=lambda record: record.offset)

    async def came(self, *values: str, topic: str = "out") -> None:
        """Wait until a topic holds just these values, in this order."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = [record.value.decode() for record in await self.records(topic)]
                if found == list(values):
                    return
                assert len(found) < len(values), found
                await asyncio.sleep(0.005)

    def gauge(self, name: str) -> float:
        """The sum of a gauge over its labels."""
        found = self.metrics.registry.collect()
        return sum(sample.value for metric in found for sample in metric.samples if sample.name == name)

    async def crash(self) -> None:
        """End as a killed process does for everybody else: whatever is in hand comes to nothing."""
        assert self.task is not None
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Tests of failures by the hundred: a traceback drawn for each of them would take longer than the test."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


Run = Callable[..., contextlib.AbstractAsyncContextManager[Member]]


@pytest.fixture
def member(engine: EmbeddedEngine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`async with member(decide, name=...) as m`: runs a member of group `g` on topic `in`."""

    monkeypatch.setattr(flow_module, "_LOOK_S", 0.01)

    @contextlib.asynccontextmanager
    async def run(
        decide: Callable[[StoredRecord], Awaitable[Outcome]],
        *,
        name: str = "m1",
        topics: Sequence[str] = ("in",),
        port: Any = None,
        retry: RetryPolicy | None = None,
        limits: RunnerLimits | None = None,
        tracing: Tracing | None = None,
        desk_case: DeskCase | None = None,
    ) -> AsyncGenerator[Member]:
        metrics = Metrics()

        def to_desk(stored: StoredRecord, reason: str) -> Outcome:
            made.desk.append((stored.value.decode(), reason))
            return Outcome(emit=(Record(topic="desk", key=stored.key, value=stored.value, id=f"desk/{stored.id}"),))

        worker = FunctionWorker(decide, topics)
        runner = WorkerRunner(
            worker,
            log_port=port or engine,
            store=port or engine,
            clock=clock,
            metrics=metrics,
            member=name,
            desk_case=desk_case or to_desk,
            jitter=random.Random(1),
            retry=retry or RetryPolicy(first_s=0.001, cap_s=0.002),
            limits=limits or RunnerLimits(fetch_wait_s=0.02, commit_retry_s=0.01),
            tracing=tracing,
            tenant="shop",
        )
        made = Member(engine, worker, runner, metrics)
        made.task = asyncio.create_task(runner.run())
        try:
            yield made
        finally:
            runner.stop()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait_for(made.task, PATIENCE_S)

    return run


@pytest_asyncio.fixture(params=["embedded", "postgresql"])
async def store(request: pytest.FixtureRequest, clock: FakeClock) -> Any:
    """A store of each kind, fresh. What was emitted is read with `emitted`."""
    if request.param == "embedded":
        opened: Any = await EmbeddedEngine.open(request.getfixturevalue("tmp_path") / "data", clock=clock)
        await opened.create_schema()
    else:
        opened = await PostgresStore.open(request.getfixturevalue("postgres_settings"), tenant="shop", clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
def emitted(store: Any) -> Callable[[str], Awaitable[list[bytes]]]:
    """The values of the records of a topic: of the log, or of the outbox on their way to it."""

    async def read(topic: str) -> list[bytes]:
        if isinstance(store, PostgresStore):
            rows = await store.all(outbox.select().order_by(outbox.c.seq))
            return [bytes(row["value"]) for row in rows if row["topic"] == topic]
        return [record.value for partition in range(8) for record in await store.read(topic, partition)]

    return read
