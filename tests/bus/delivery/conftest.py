"""Runners for tests: members of one group, made of a function that decides; and senders, driven by hand."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
import structlog
from msgspec.structs import replace

from bus.adapter.contract import Accepted, ChannelAdapter, Health, Manifest, SendResult
from bus.delivery import flow as flow_module
from bus.delivery import ledger
from bus.delivery.dead_letters import DeskCase
from bus.delivery.outcome import Outcome, Write
from bus.delivery.retry import RetryPolicy
from bus.delivery.runner import RunnerLimits, WorkerRunner
from bus.delivery.sender import Sender
from bus.delivery.sending_settings import SendingSettings
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.message import Party, Reply, Status, decode
from bus.store.permission import consent_write
from bus.store.port import Effect
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


ANSWER = Reply(
    id="r-1",
    tenant="shop",
    case="k-1",
    channel="email",
    account="hilfe@shop.example",
    person="p-1",
    to=Party(kind="email", address="g@x.example"),
    text="Guten Tag",
    language="de",
    heard=1,
    answers=("c-1",),
)


class Channel:
    """An adapter that answers as told, one after the other, and then takes everything."""

    def __init__(self, answers: Sequence[SendResult | Exception] = (), **manifest: Any) -> None:
        rules = {"name": "email", "kind": "deferred", "resolve_unknown": "resend-same-id"}
        self.manifest = Manifest(**{**rules, **manifest})
        self.answers = list(answers)
        self.attempts: list[tuple[str, int]] = []
        """The replies that it was asked to send, and the number of each attempt."""

    @property
    def sent(self) -> list[str]:
        """The replies that it was asked to send."""
        return [reply for reply, _ in self.attempts]

    def routes(self) -> list[Any]:
        return []

    async def receive(self) -> None: ...

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        self.attempts.append((reply.id, attempt))
        answer = self.answers.pop(0) if self.answers else Accepted()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def probe(self) -> Health:
        return Health(ok=True)

    async def close(self) -> None: ...


class Dispatch:
    """A sender over a real store, driven by hand. Where no reply is named, the last one planned is meant."""

    def __init__(self, store: Any, clock: FakeClock, adapter: Any, settings: SendingSettings | None = None) -> None:
        self.store, self.clock, self.adapter = store, clock, adapter
        self.metrics = Metrics()
        self.sender = Sender(adapter, store=store, clock=clock, metrics=self.metrics, settings=settings)
        self._records: dict[str, Record] = {}
        self._last = ANSWER

    def reply(self, **change: Any) -> Reply:
        """The answer of these tests, changed."""
        return replace(ANSWER, **change)

    async def plan(self, reply: Reply = ANSWER, **headers: str) -> None:
        """Write a reply into the ledger; its record waits for `handle`."""
        rows, (record,) = ledger.plan(reply, self.clock.now(), headers)
        self._records[reply.id], self._last = record, reply
        await self.write(*rows)

    async def write(self, *writes: Write) -> bool:
        """Whether these rows could be written."""
        return await self.apply(Outcome(writes=writes))

    async def agree(self, *, channel: str = "email", since: datetime | None = None, days: int = 30) -> None:
        """The person agrees to advertising."""
        granted = since or self.clock.now()
        consent = consent_write(
            tenant="shop",
            person="p-1",
            purpose="marketing",
            channel=channel,
            evidence="form",
            granted_at=granted,
            expires_at=granted + timedelta(days=days),
        )
        assert await self.write(consent)

    async def decide(self, reply: Reply | None = None) -> Outcome:
        """What the sender makes of the record of a reply as it was planned."""
        record = self._records[(reply or self._last).id]
        return await self.sender.handle(
            StoredRecord(
                topic=record.topic,
                partition=0,
                offset=1,
                at=0,
                key=record.key,
                value=record.value,
                id=record.id,
                headers=dict(record.headers),
            )
        )

    async def apply(self, outcome: Outcome) -> bool:
        """Whether an outcome could be applied."""
        (result,) = await self.store.apply([Effect(outcome=outcome)])
        return result.applied

    async def handle(self, reply: Reply | None = None) -> Outcome:
        """As the runner does it: decide, then apply what was decided."""
        outcome = await self.decide(reply)
        assert await self.apply(outcome)
        return outcome

    async def row(self, reply: Reply | None = None) -> Any:
        """The ledger's row."""
        return await self.store.one(ledger.reply_row, {"reply": (reply or self._last).id})

    async def standing(self, reply: Reply | None = None) -> tuple[str, str]:
        """State and reason."""
        row = await self.row(reply)
        return row["state"], row["reason"]

    async def tried(self) -> tuple[str, int]:
        """State and number of attempts."""
        row = await self.row()
        return row["state"], row["attempt"]

    @staticmethod
    def failures(outcome: Outcome) -> list[str]:
        """Why replies failed for good, as an outcome reports it."""
        found = [decode(record.value, Status) for record in outcome.emit]
        return [status.reason for status in found if status.state == "failed" and status.permanent]


@pytest.fixture
def dispatch(clock: FakeClock) -> Callable[[Any, ChannelAdapter], Dispatch]:
    """`dispatch(store, adapter)`."""
    return lambda store, adapter: Dispatch(store, clock, adapter)


@pytest.fixture
def bench(engine: EmbeddedEngine, clock: FakeClock) -> Callable[..., Dispatch]:
    """`bench(*answers, **manifest)`: what becomes of a reply by what its channel answers, on the embedded engine."""
    return lambda *answers, **manifest: Dispatch(engine, clock, Channel(answers, **manifest))


@pytest.fixture
def office(store: Any, clock: FakeClock) -> Callable[..., Dispatch]:
    """`office(kind, **settings)`: what is asked before a sending begins, on a store of each kind."""

    def opened(kind: str = "deferred", **settings: Any) -> Dispatch:
        return Dispatch(store, clock, Channel(kind=kind, replies_per_minute=60), SendingSettings(**settings))

    return opened
