"""The log port: how records travel, whatever engine carries them.

Contract held by every engine (`bus.testing.log_conformance` proves it):

- `append` returns only when the records are durable, in the order given; offsets of a partition rise, with gaps.
- Records of one key lie in one partition (murmur2, as Kafka's own clients do) and are read in the order appended.
- A group reads each partition through one member at a time; members that die lose their partitions after the lease.
- What was not committed is read again. A commit by a member that lost the partition is refused (`Fenced`).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Protocol

import msgspec

from bus.errors import TransientError

__all__ = ["Delivery", "Drain", "Fenced", "Log", "Record", "StoredRecord", "Subscription", "TopicPartition"]


class Fenced(TransientError):
    """The partition belongs to another member now; what was decided for it here is void."""


class TopicPartition(msgspec.Struct, frozen=True, order=True):
    """One partition of one topic."""

    topic: str
    partition: int


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A record to append. `id` is the derived id of what it carries; `key` decides partition and order."""

    topic: str
    key: str
    value: bytes
    id: str
    headers: Mapping[str, str] = {}


class StoredRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record as read. `at` is the time of appending in microseconds since 1970.

    `generation` is that of the ownership under which a group's member fetched it; 0 when read without a group.
    """

    topic: str
    partition: int
    offset: int
    at: int
    key: str
    value: bytes
    id: str
    headers: Mapping[str, str]
    generation: int = 0


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One record in the hands of one group: what is named when it is finished.

    The engine keeps the group's progress from it: the offset below which everything is finished, and the finished
    offsets above that (work of other keys), so that a crash repeats nothing that was finished. `generation` fences
    members that lost the partition since they fetched the record.

    `day` is the record's own (days since 1970 of its header `ce_time`; 0 without one). A copy of the record has the
    same, so a store can keep what it finished by days and forget whole days.
    """

    group: str
    topic: str
    partition: int
    offset: int
    generation: int
    id: str = ""
    day: int = 0

    @classmethod
    def of(cls, group: str, record: StoredRecord) -> "Delivery":
        """The delivery of a record that `fetch` of a subscription of `group` returned."""
        return cls(
            group=group,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            generation=record.generation,
            id=record.id,
            day=_day_of(record.headers.get("ce_time", "")[:10]),
        )


@lru_cache(maxsize=128)
def _day_of(text: str) -> int:
    try:
        return max((date.fromisoformat(text) - date(1970, 1, 1)).days, 0)
    except ValueError:
        return 0


Drain = Callable[[frozenset[TopicPartition]], Awaitable[None]]
"""(partitions about to be taken away) -> returns when nothing of them is in hand any more."""


class Subscription(Protocol):
    """One member of a group. Used by one task at a time."""

    group: str

    @property
    def generations(self) -> Mapping[TopicPartition, int]:
        """The partitions owned now and the generation of each; changes only inside `fetch`."""
        ...

    async def fetch(
        self, max_records: int, timeout_s: float, *, paused: frozenset[TopicPartition] = frozenset()
    ) -> Sequence[StoredRecord]:
        """Up to `max_records` records not yet handed out, without waiting longer than `timeout_s`.

        Finished records above the committed offset are left out. Partitions in `paused` are not read. What was
        fetched of a partition that left `generations`, or came back with another generation, is to be thrown away.
        Raises Fenced for good when another process joined under the same member name.
        """
        ...

    async def commit(self, finished: Sequence[Delivery]) -> None:
        """These records are finished and have no effects: make that durable.

        Raises Fenced when a partition of them is no longer owned; the others are committed all the same.
        """
        ...

    async def close(self) -> None:
        """Leave the group at once, so that others take over without waiting for the lease."""
        ...


class Log(Protocol):
    """An engine."""

    async def append(self, records: Sequence[Record], *, once: bool = False) -> Sequence[int | None]:
        """Append durably; the offset of each record.

        With `once`, a record whose (topic, id) was appended before is left out and its offset is None: the idempotent
        receiver at the door. Where the place of a record is known only later (it is durable in an outbox or a spool)
        its offset is 0. Raises StorageFull, TransientError.
        """
        ...

    async def subscribe(
        self, group: str, topics: Sequence[str], *, member: str, drain: Drain | None = None
    ) -> Subscription:
        """Join a group, reading from the earliest record when the group is new.

        An engine that is told beforehand that partitions move (Kafka's eager rebalance) awaits `drain` with them under
        a deadline of its own, so that work in hand is finished and committed rather than done twice. It may be called
        at any time, also while `fetch` waits. An engine without such a warning never calls it.
        """
        ...

    def tail(
        self, topics: Sequence[str], *, after: Mapping[TopicPartition, int] | None = None
    ) -> AsyncIterator[StoredRecord]:
        """Follow topics without a group, for pages that watch. Never ends.

        Each partition is followed after the offset that `after` names for it, or from the moment of this call on.
        """
        ...

    async def read(self, topic: str, partition: int, *, start: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        """Stored records of a partition from an offset on; for replay and operators."""
        ...

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, tuple[int, float]]:
        """Records not yet finished and the age in seconds of the oldest of them, per partition."""
        ...

    async def close(self) -> None:
        """Flush and release everything."""
        ...
