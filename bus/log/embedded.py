"""The embedded engine: log and store in one SQLite file, so that one transaction carries records, state and progress.

    event loop:     prepare statements, read (microseconds)      <- readers, one snapshot per read
    writer thread:  one transaction for all jobs that wait       -> fsync -> results, wake-up of readers

Several processes may open one folder: a kernel lock queues their transactions, datagrams wake their readers. One host,
local disk; a few tens of thousands of records per second; no replication.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Executable
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.schema import CreateIndex, CreateTable

from bus.clock import Clock, SystemClock, to_micros
from bus.delivery.outcome import NOTHING
from bus.log.embedded_append import Appender, entry_of
from bus.log.embedded_apply import Applier, PlanReply
from bus.log.embedded_groups import HEARTBEAT_S, Groups, Seat
from bus.log.embedded_reads import LogReads
from bus.log.embedded_retention import Retention
from bus.log.embedded_subscription import EmbeddedSubscription
from bus.log.embedded_wake import Signal, WakeSocket
from bus.log.port import Delivery, Drain, Record, StoredRecord, TopicPartition
from bus.log.progress import PartitionProgress
from bus.store.port import Effect, Result, Row
from bus.store.schema import tables_of
from bus.store.sqlite_file import warn_of_wal_reset_bug
from bus.store.sqlite_reads import Reads, Statements
from bus.store.sqlite_writer import DEFAULT_FLOOR_BYTES, Job, Transaction, Writer

__all__ = ["EmbeddedEngine"]

_POLL_S = 0.25
"""How often to look whether another process has written: the net below the datagrams."""

_STALLED_LOOP_S = 30.0
"""A process whose event loop has answered nothing for so long gives its leases up: it works on nothing."""

_EVERYTHING: frozenset[str] = frozenset()
"""As topics of a wake-up: look at all of them."""

_UNKNOWN: Mapping[int, int] = {}
"""As last offsets of a wake-up: look yourself."""

_TAIL_BATCH = 500
"""Records per read of a follower: bounds its memory."""


class EmbeddedEngine:
    """`Log` and `Store` on one folder. Use `open`; belongs to the event loop that opened it."""

    def __init__(self, folder: Path, clock: Clock, plan_reply: PlanReply | None, floor_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        warn_of_wal_reset_bug()
        self.folder = folder
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._statements = Statements()
        self._appender = Appender(self._tell)
        self._groups = Groups(self._appender, clock, lambda transaction: self._tell(transaction, _EVERYTHING, _UNKNOWN))
        self._subscriptions: dict[str, EmbeddedSubscription] = {}
        self._readers: dict[EmbeddedSubscription | Signal, frozenset[str]] = {}
        self._pulse = self._beaten = clock.monotonic()
        self._writer = Writer(folder, floor_bytes=floor_bytes, tick=self._tick, tick_s=HEARTBEAT_S)
        self._reads = Reads(self._writer.open_reader(), self._statements)
        self.log_reads = LogReads(self._reads)
        self._retention = Retention(self._reads, self._writer)
        self._applier = Applier(self._statements, self._appender, clock, plan_reply, self._progress_of)
        self._wake = WakeSocket(folder, lambda topics: self._wake_readers(topics, _UNKNOWN))
        self._seen = -1
        self._poll = self._loop.create_task(self._poll_version())
        self._closed = False

    @classmethod
    async def open(
        cls,
        folder: Path,
        *,
        clock: Clock | None = None,
        plan_reply: PlanReply | None = None,
        floor_bytes: int = DEFAULT_FLOOR_BYTES,
    ) -> "EmbeddedEngine":
        """Open a data folder, making it when it is not there. The tables come from `create_schema` or migrations.

        `plan_reply` turns a reply of an outcome into the writes and records that carry it (the send ledger); without
        it a reply is a record on its channel's topic. Below `floor_bytes` of free disk `append` raises StorageFull,
        while `apply` goes on, so that what was accepted can be finished.
        """
        return cls(folder, clock or SystemClock(), plan_reply, floor_bytes)

    async def create_schema(self) -> None:
        """Create every table of the house that does not exist yet: for tests and trials; the product migrates."""
        dialect = SQLiteDialect()
        texts: list[str] = []
        for table in tables_of(dialect.name):
            texts.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
            texts += [str(CreateIndex(index, if_not_exists=True).compile(dialect=dialect)) for index in table.indexes]

        def work(transaction: Transaction) -> None:
            for text in texts:
                transaction.execute(text)

        await self._writer.submit(work)

    async def close(self) -> None:
        """Leave every group, finish what is waiting, close the file. Nothing may be called afterwards."""
        if self._closed:
            return
        self._closed = True
        for subscription in list(self._subscriptions.values()):
            await subscription.close()
        self._poll.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._poll
        await self._writer.close()
        self._wake.close()

    # The log.

    async def append(self, records: Sequence[Record], *, once: bool = False) -> Sequence[int | None]:
        at = to_micros(self._clock.now())
        entries = [entry_of(record, at) for record in records]
        append = self._appender.append_once if once else self._appender.append
        return await self._writer.submit(lambda transaction: append(transaction, entries), intake=True)

    async def subscribe(
        self, group: str, topics: Sequence[str], *, member: str, drain: Drain | None = None
    ) -> EmbeddedSubscription:
        subscription = EmbeddedSubscription(self, Seat(group=group, member=member, topics=tuple(sorted(set(topics)))))
        await self.sit_down(subscription)
        self._subscriptions[subscription.seat.incarnation] = subscription
        self._readers[subscription] = frozenset(topics)
        return subscription

    def tail(
        self, topics: Sequence[str], *, after: Mapping[TopicPartition, int] | None = None
    ) -> AsyncIterator[StoredRecord]:
        positions = {place: head + 1 for place, (_, head, _) in self.log_reads.heads(topics).items()}
        positions.update({place: offset + 1 for place, offset in (after or {}).items()})
        return self._follow(tuple(topics), positions)

    async def _follow(self, topics: Sequence[str], positions: dict[TopicPartition, int]) -> AsyncIterator[StoredRecord]:
        signal = Signal()
        self._readers[signal] = frozenset(topics)
        try:
            while True:
                signal.clear()
                found: list[StoredRecord] = []
                for place, (partition_id, head, _) in self.log_reads.heads(topics).items():
                    position = positions.setdefault(place, 0)
                    if head >= position:
                        records = self.log_reads.records(partition_id, place, position, _TAIL_BATCH)
                        if records:
                            positions[place] = records[-1].offset + 1
                            found += records
                # Offsets are one sequence over all partitions here, so this is the order of appending.
                for record in sorted(found, key=lambda record: record.offset):
                    yield record
                if not found:
                    await signal.wait(_STALLED_LOOP_S)
        finally:
            del self._readers[signal]

    async def read(self, topic: str, partition: int, *, start: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        place = TopicPartition(topic, partition)
        known = self.log_reads.heads([topic]).get(place)
        return self.log_reads.records(known[0], place, start, limit) if known else []

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, tuple[int, float]]:
        return self.log_reads.lag(group, topics, to_micros(self._clock.now()))

    async def retain(self, now: datetime, *, keep: timedelta | None = None) -> int:
        """Delete what is at `now` older than its topic keeps and finished by every group; how many records went.

        `keep` stands for what every topic keeps: in a spool, published records are of little use.
        """
        return await self._retention.run(to_micros(now), keep)

    # The store.

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        return self._reads.all(statement, params)

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        rows = self._reads.all(statement, params)
        return rows[0] if rows else None

    async def by_keys(
        self, statement: Any, column: Any, keys: Sequence[str], params: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        return self._reads.by_keys(statement, column, keys, params)

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        if not effects:
            return []
        # What changes nothing but progress is decided again after a power cut, to the same end: it can wait for others.
        changes = any(effect.outcome is not NOTHING for effect in effects)
        return await self._writer.submit(self._applier.prepare(effects), durable=changes, urgent=changes)

    async def finish(self, deliveries: Sequence[Delivery]) -> Sequence[Result]:
        """Count deliveries as finished, now and for good, with nothing else."""
        effects = [Effect(outcome=NOTHING, source=delivery) for delivery in deliveries]
        return await self._writer.submit(self._applier.prepare(effects))

    # For subscriptions.

    def version(self) -> int:
        """Changes whenever anything was committed."""
        return self._reads.version()

    async def sit_down(self, subscription: EmbeddedSubscription) -> None:
        """Take, or take again, a member's seat in its group."""
        await self._writer.submit(lambda transaction: self._groups.join(transaction, subscription.seat))

    async def leave(self, subscription: EmbeddedSubscription) -> None:
        """Give a member's seat up."""
        self._readers.pop(subscription, None)
        self._subscriptions.pop(subscription.seat.incarnation, None)
        await self._writer.submit(lambda transaction: self._groups.leave(transaction, subscription.seat))

    async def beat_if_due(self) -> None:
        """Prolong leases now when the writer's own beat is late: time may have jumped."""
        if self._clock.monotonic() - self._beaten > 2 * HEARTBEAT_S:
            seats = self._seats()
            await self._writer.submit(lambda transaction: self._beat(transaction, seats), durable=False)

    def _progress_of(self, delivery: Delivery) -> PartitionProgress | None:
        place = TopicPartition(delivery.topic, delivery.partition)
        for subscription in tuple(self._subscriptions.values()):
            if subscription.group == delivery.group:
                progress = subscription.progress_of(place, delivery.generation)
                if progress is not None:
                    return progress
        return None

    # Heartbeats and wake-ups.

    def _seats(self) -> list[Seat]:
        return [subscription.seat for subscription in tuple(self._subscriptions.values())]

    def _tick(self) -> Job | None:
        """In the writer's thread: the next heartbeat, unless the event loop has stood still for too long."""
        now = self._clock.monotonic()
        seats = self._seats()
        if not seats or now - self._beaten < HEARTBEAT_S:
            return None
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._note_pulse)
        if now - self._pulse > _STALLED_LOOP_S:
            return None
        return Job(lambda transaction: self._beat(transaction, seats), None, durable=False)

    def _note_pulse(self) -> None:
        self._pulse = self._clock.monotonic()

    def _beat(self, transaction: Transaction, seats: Sequence[Seat]) -> None:
        self._beaten = self._clock.monotonic()
        self._groups.beat(transaction, seats)

    def _tell(self, transaction: Transaction, topics: frozenset[str], heads: Mapping[int, int]) -> None:
        """In the writer's thread: once this is committed, wake readers here and in other processes."""
        transaction.on_loop.append(lambda: self._wake_readers(topics, heads))
        transaction.after_commit(lambda: self._wake.wake_others(topics))

    def _wake_readers(self, topics: frozenset[str], heads: Mapping[int, int]) -> None:
        for reader, wanted in self._readers.items():
            if not topics or not topics.isdisjoint(wanted):
                reader.wake(heads)

    async def _poll_version(self) -> None:
        while True:
            await asyncio.sleep(_POLL_S)
            version = self.version()
            if version != self._seen:
                self._seen = version
                self._wake_readers(_EVERYTHING, _UNKNOWN)
