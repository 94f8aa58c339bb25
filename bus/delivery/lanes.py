"""Key lanes: one record at a time per key, many keys at once. Pure bookkeeping, no I/O."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from bus.log.port import StoredRecord, TopicPartition
from bus.log.topics import topic as declared

__all__ = ["Lanes", "Place", "place_of"]

Place = tuple[str, int, int]
"""Topic, partition and offset: what tells one delivery of a member from all others."""


def place_of(record: StoredRecord) -> Place:
    """Where a record lies."""
    return record.topic, record.partition, record.offset


class Lanes:
    """Records waiting by key, and which of them may be handled now.

    A lane per key, rather than keys hashed onto a fixed number of lanes: one slow customer then delays nobody else.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, deque[StoredRecord]] = {}
        self._ready: deque[StoredRecord] = deque()
        self._counts: dict[tuple[str, int], int] = {}
        self._pulled: set[int] = set()
        self.size = 0
        """Records taken in and not yet finished."""

    def add(self, records: Iterable[StoredRecord]) -> None:
        """Take records in, in the order of the log."""
        lanes, ready, counts = self._lanes, self._ready, self._counts
        for record in records:
            lane = lanes.get(record.key)
            if lane is None:
                lanes[record.key] = deque((record,))
                ready.append(record)
            else:
                lane.append(record)
            partition = (record.topic, record.partition)
            counts[partition] = counts.get(partition, 0) + 1
            self.size += 1

    def take(self, most: int) -> list[StoredRecord]:
        """Up to `most` records that may be handled now, oldest first."""
        ready = self._ready
        if len(ready) <= most:
            taken = list(ready)
            ready.clear()
            return taken
        return [ready.popleft() for _ in range(most)]

    @property
    def ready(self) -> int:
        """How many records could be taken."""
        return len(self._ready)

    @property
    def keys(self) -> int:
        """How many keys have records."""
        return len(self._lanes)

    def holds(self, key: str) -> bool:
        """Whether a key has records."""
        return key in self._lanes

    @property
    def counts(self) -> Mapping[tuple[str, int], int]:
        """Records not yet finished by topic and partition, where there are any."""
        return self._counts

    def crowded(self, limit: int) -> frozenset[TopicPartition]:
        """Partitions that have at least `limit` records here: they are not to be read, so that the others have room."""
        return frozenset(TopicPartition(*partition) for partition, count in self._counts.items() if count >= limit)

    def alike(self, record: StoredRecord) -> list[StoredRecord]:
        """What waits behind the record at the head of a lane and says no more than it does (`Topic.alike`)."""
        lane = self._lanes[record.key]
        if len(lane) == 1 or not declared(record.topic).alike:
            return []
        return [other for other in lane if other is not record and other.topic == record.topic]

    def pull(self, record: StoredRecord, others: Iterable[StoredRecord]) -> list[StoredRecord]:
        """Take those of `others` that still wait behind a record out of its lane, to be finished beside it."""
        wanted = {id(other) for other in others}
        lane = self._lanes[record.key]
        pulled = [other for other in lane if id(other) in wanted]
        self._lanes[record.key] = deque(other for other in lane if id(other) not in wanted)
        self._pulled.update(map(id, pulled))
        return pulled

    def finish(self, record: StoredRecord, then: StoredRecord | None = None) -> None:
        """The record at the head of its lane is done; the next one of its key becomes ready: `then`, if given."""
        if self._pulled and id(record) in self._pulled:
            self._pulled.discard(id(record))
            self._forget((record.topic, record.partition), 1)
            return
        lane = self._lanes[record.key]
        if lane[0] is not record:
            raise ValueError("a record was finished that is not at the head of its lane")
        if then is not None:
            lane[0] = then
            self._ready.append(then)
            return
        lane.popleft()
        self._forget((record.topic, record.partition), 1)
        if lane:
            self._ready.append(lane[0])
        else:
            del self._lanes[record.key]

    def drop_waiting(self, gone: Callable[[StoredRecord], bool]) -> None:
        """Forget records that somebody else handles now, except those that were taken."""
        ready = {id(record) for record in self._ready}
        self._ready.clear()
        for key, lane in list(self._lanes.items()):
            head = lane[0]
            taken = id(head) not in ready
            kept: deque[StoredRecord] = deque()
            for index, record in enumerate(lane):
                if (index == 0 and taken) or not gone(record):
                    kept.append(record)
                else:
                    self._forget((record.topic, record.partition), 1)
            if not kept:
                del self._lanes[key]
                continue
            self._lanes[key] = kept
            if not taken:
                self._ready.append(kept[0])

    def _forget(self, partition: tuple[str, int], count: int) -> None:
        self.size -= count
        left = self._counts[partition] - count
        if left:
            self._counts[partition] = left
        else:
            del self._counts[partition]
