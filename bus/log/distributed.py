"""The distributed engine: the log on Kafka, the store on PostgreSQL, and what makes the two one.

    apply:   sort out by progress -> ONE transaction {inbox, state, timers, outbox} -> finish -> commit to Kafka, later
    outbox:  relay -> Kafka, again after a crash; whoever reads finds copies in the inbox

Progress is only an optimisation here: what it calls unfinished although it was done, the inbox answers as `duplicate`.
What it calls finished was committed in the database before. See docs/adr/0007.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Executable, bindparam, select

from bus.clock import Clock, SystemClock
from bus.errors import TransientError
from bus.log.kafka import KafkaLog
from bus.log.kafka_settings import KafkaSettings
from bus.log.kafka_subscription import KafkaSubscription
from bus.log.port import Delivery, Drain, Record, StoredRecord, TopicPartition
from bus.log.progress import PartitionProgress
from bus.store.outbox import OutboxRelay
from bus.store.port import Effect, Result, Row
from bus.store.postgres import PostgresStore
from bus.store.postgres_settings import PostgresSettings
from bus.store.postgres_tables import outbox
from bus.store.written import PlanReply

__all__ = ["DistributedEngine"]

log = structlog.get_logger()

_FENCED = Result(applied=False, reason="fenced")
_DUPLICATE = Result(applied=False, reason="duplicate")

_NO_OFFSET = 0
"""Durable in the outbox, its place in the log known only to the relay that appends it."""

_SEEN_WITHIN_S = 5.0
"""How long `append` waits to see its records in the log: they are durable before, and brokers that are away delay
nobody."""

_LOOK_S = 0.05
"""How often to look into the outbox for what another process relays."""

_Place = tuple[str, str, int, int]
"""Group, topic, partition, generation."""

_Name = tuple[str, str]
"""Topic and id of a record."""

_Arrival = tuple[_Name, asyncio.Future[None]]

_resting = select(outbox.c.topic, outbox.c.id).where(outbox.c.id.in_(bindparam("ids", expanding=True)))
_any_resting = select(outbox.c.seq).limit(1)


class DistributedEngine:
    """`Engine` of one process. Use `open`; belongs to the event loop that opened it."""

    def __init__(self, kafka: KafkaLog, store: PostgresStore, *, relays: bool) -> None:
        self._log = kafka
        self._store = store
        self._relay = OutboxRelay(store, self._publish) if relays else None
        self._relaying: asyncio.Task[None] | None = None
        self._awaited: dict[_Name, set[asyncio.Future[None]]] = {}
        if self._relay is not None:
            store.on_emitted(self._relay.wake)
            self._relaying = asyncio.create_task(self._relay.run())
        self._closed = False

    @classmethod
    async def open(
        cls,
        kafka: KafkaSettings,
        postgres: PostgresSettings,
        *,
        tenant: str,
        clock: Clock | None = None,
        plan_reply: PlanReply | None = None,
        relays: bool = True,
    ) -> "DistributedEngine":
        """Open the engine of a tenant. Topics and tables are made by others; servers that are away are no error yet.

        With `relays` this process takes its share of the outbox; some process of the tenant must. `plan_reply` as in
        `PostgresStore.open`. Raises ConfigurationError for settings that are unsafe or cannot work.
        """
        clock = clock or SystemClock()
        store = await PostgresStore.open(postgres, tenant=tenant, clock=clock, plan_reply=plan_reply)
        return cls(KafkaLog(kafka, clock=clock), store, relays=relays)

    async def close(self) -> None:
        """Leave every group with what is finished committed, finish what is being relayed, let go of the servers."""
        if self._closed:
            return
        self._closed = True
        await self._log.close_subscriptions()
        if self._relay is not None and self._relaying is not None:
            await self._relay.close()
            await asyncio.wait([self._relaying])
        await self._log.close()
        await self._store.close()

    # The log.

    async def append(self, records: Sequence[Record], *, once: bool = False) -> Sequence[int | None]:
        if not once:
            return await self._log.append(records)
        loop = asyncio.get_running_loop()
        arrivals: list[_Arrival] = [((record.topic, record.id), loop.create_future()) for record in records]
        for name, arrival in arrivals:
            self._awaited.setdefault(name, set()).add(arrival)
        try:
            new = await self._store.append_once(records)
            await self._seen([each for each, is_new in zip(arrivals, new, strict=True) if is_new])
        finally:
            for name, arrival in arrivals:
                arrival.cancel()
                waiting = self._awaited[name]
                waiting.discard(arrival)
                if not waiting:
                    del self._awaited[name]
        return [_NO_OFFSET if is_new else None for is_new in new]

    async def subscribe(
        self, group: str, topics: Sequence[str], *, member: str, drain: Drain | None = None
    ) -> KafkaSubscription:
        return await self._log.subscribe(group, topics, member=member, drain=drain)

    def tail(
        self, topics: Sequence[str], *, after: Mapping[TopicPartition, int] | None = None
    ) -> AsyncIterator[StoredRecord]:
        return self._log.tail(topics, after=after)

    async def read(self, topic: str, partition: int, *, start: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        return await self._log.read(topic, partition, start=start, limit=limit)

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, tuple[int, float]]:
        return await self._log.lag(group, topics)

    async def retain(self, now: datetime) -> int:
        """Forget what has outlived its time at `now`, in the log and in the database; how many records and rows."""
        return await self._log.retain(now) + await self._store.retain(now)

    # The store.

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        return await self._store.all(statement, params)

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        return await self._store.one(statement, params)

    async def by_keys(
        self, statement: Any, column: Any, keys: Sequence[str], params: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        return await self._store.by_keys(statement, column, keys, params)

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        results: list[Result | None] = [None] * len(effects)
        owned: dict[_Place, tuple[KafkaSubscription, PartitionProgress] | None] = {}
        given: list[int] = []
        for index, effect in enumerate(effects):
            source = effect.source
            if source is not None:
                place = _place(source)
                if place not in owned:
                    owned[place] = await self._log.owner_of(source)
                found = owned[place]
                if found is None or not found[1].is_out(source.offset):
                    results[index] = _FENCED if found is None else _DUPLICATE
                    continue
            given.append(index)
        # The same delivery twice among these effects is the inbox's to sort out, as it is between processes.
        finished: set[_Place] = set()
        for index, result in zip(given, await self._store.apply([effects[index] for index in given]), strict=True):
            results[index] = result
            source = effects[index].source
            if source is not None and (result.applied or result.reason == "duplicate"):
                place = _place(source)
                found = owned[place]
                if found is not None:
                    # Lost meanwhile, it is counted on a progress that nobody looks at any more.
                    found[1].finish(source.offset)
                    finished.add(place)
        for place in finished:
            found = owned[place]
            if found is not None:
                found[0].note(TopicPartition(place[1], place[2]))
        return [result for result in results if result is not None]

    async def drained(self) -> bool:
        """Whether everything that was decided has been appended to the log."""
        return await self._store.one(_any_resting) is None

    # The outbox.

    async def _publish(self, records: Sequence[Record]) -> None:
        await self._log.append(records)
        for record in records:
            for arrival in self._awaited.get((record.topic, record.id), ()):
                if not arrival.done():
                    arrival.set_result(None)

    async def _seen(self, arrivals: Sequence[_Arrival]) -> None:
        """Wait until records are in the log, whoever relays them."""
        left: list[_Arrival] = list(arrivals)
        with contextlib.suppress(TimeoutError, TransientError):
            async with asyncio.timeout(_SEEN_WITHIN_S):
                while left:
                    await asyncio.wait([arrival for _, arrival in left], timeout=_LOOK_S)
                    left = [(name, arrival) for name, arrival in left if not arrival.done()]
                    if left:
                        rows = await self._store.all(_resting, {"ids": [record_id for (_, record_id), _ in left]})
                        resting = {(row["topic"], row["id"]) for row in rows}
                        left = [(name, arrival) for name, arrival in left if name in resting]


def _place(source: Delivery) -> _Place:
    return source.group, source.topic, source.partition, source.generation
