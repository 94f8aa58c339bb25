"""One member of a group on the embedded log."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bus.log.embedded_groups import Seat
from bus.log.embedded_reads import Owned
from bus.log.embedded_wake import Signal
from bus.log.port import Delivery, Fenced, StoredRecord, TopicPartition
from bus.log.progress import PartitionProgress

if TYPE_CHECKING:
    from bus.log.embedded import EmbeddedEngine

__all__ = ["EmbeddedSubscription"]


class EmbeddedSubscription:
    """See `bus.log.port.Subscription`."""

    def __init__(self, engine: "EmbeddedEngine", seat: Seat) -> None:
        self.group = seat.group
        self.seat = seat
        self._engine = engine
        self._signal = Signal()
        self._heads: dict[int, int] = {}
        self._owned: list[Owned] = []
        self._progress: dict[TopicPartition, PartitionProgress] = {}
        self._generations: dict[TopicPartition, int] = {}
        self._version = -1
        self._stale = True
        self._turn = 0
        self._closed = False

    @property
    def generations(self) -> Mapping[TopicPartition, int]:
        return self._generations

    async def fetch(
        self, max_records: int, timeout_s: float, *, paused: frozenset[TopicPartition] = frozenset()
    ) -> Sequence[StoredRecord]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            self._signal.clear()
            await self._engine.beat_if_due()
            # Heads that our own process told us of are read at once; owners are looked at when nothing is known to
            # wait, and at every wake-up without heads. A read by an owner of yesterday is fenced later, never wrong.
            if self._stale or not (records := self._read(max_records, paused)):
                await self._look()
                records = self._read(max_records, paused)
            left = deadline - loop.time()
            if records or left <= 0:
                return records
            await self._signal.wait(left)

    async def commit(self, finished: Sequence[Delivery]) -> None:
        results = await self._engine.finish(finished) if finished else ()
        if any(result.reason == "fenced" for result in results):
            raise Fenced(f"a partition of group {self.group} belongs to another member now")

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._engine.leave(self)

    def wake(self, heads: Mapping[int, int]) -> None:
        """Something was appended: the last offsets of partitions, or nothing when they, or owners, are to be read."""
        if heads:
            self._heads.update((partition, head) for partition, head in heads.items() if partition in self._heads)
        else:
            self._stale = True
        self._signal.wake(heads)

    def progress_of(self, place: TopicPartition, generation: int) -> PartitionProgress | None:
        """The progress of a partition that is owned in this very generation."""
        progress = self._progress.get(place)
        return progress if progress is not None and progress.generation == generation else None

    async def _look(self) -> None:
        """See what was written since the last look: last offsets, owners."""
        self._stale = False
        version = self._engine.version()
        if version == self._version:
            return
        incarnation = self._engine.log_reads.incarnation(self.group, self.seat.member)
        if incarnation is None:
            # Our lease ran out (a machine that slept, a process that was stopped): come back as a new member.
            await self._engine.sit_down(self)
        elif incarnation != self.seat.incarnation:
            raise Fenced(f"another process joined group {self.group} as {self.seat.member}")
        self._version = self._engine.version()
        self._owned = self._engine.log_reads.owned(self.group, self.seat.member)
        kept: dict[TopicPartition, PartitionProgress] = {}
        for owned in self._owned:
            progress = self.progress_of(owned.place, owned.generation)
            kept[owned.place] = progress or PartitionProgress(
                partition_id=owned.partition_id, generation=owned.generation, standing=owned.standing
            )
        self._progress = kept
        self._heads = {owned.partition_id: owned.head for owned in self._owned}
        self._generations = {place: progress.generation for place, progress in kept.items()}

    def _read(self, max_records: int, paused: frozenset[TopicPartition]) -> list[StoredRecord]:
        ready = [
            owned
            for owned in self._owned
            if owned.place not in paused and self._heads[owned.partition_id] >= self._progress[owned.place].position
        ]
        if not ready:
            return []
        # Another partition begins each time, and none may take the whole batch while others wait.
        self._turn += 1
        turn = self._turn % len(ready)
        ready = (ready[turn:] + ready[:turn])[:max_records]
        share = -(-max_records // len(ready)) if ready else 0
        wanted = [(owned, self._progress[owned.place].position) for owned in ready]
        found: list[StoredRecord] = []
        room = max_records
        for owned, records in zip(ready, self._engine.log_reads.records_of(wanted, share), strict=True):
            records = records[:room]
            room -= len(records)
            known = self._progress[owned.place].hand_out([record.offset for record in records])
            found.extend(record for record in records if record.offset not in known)
        return found
