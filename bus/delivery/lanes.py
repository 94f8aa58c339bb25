"""Key lanes: one record at a time per key, many keys at once. Pure bookkeeping, no I/O."""

from collections import deque
from collections.abc import Iterable

from bus.log.port import StoredRecord

__all__ = ["Lanes"]


class Lanes:
    """Records waiting by key, and which of them may be handled now.

    A lane per key, rather than keys hashed onto a fixed number of lanes: one slow customer then delays nobody else.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, deque[StoredRecord]] = {}
        self._ready: deque[StoredRecord] = deque()
        self.size = 0
        """Records taken in and not yet finished."""

    def add(self, records: Iterable[StoredRecord]) -> None:
        """Take records in, in the order of the log."""
        for record in records:
            lane = self._lanes.get(record.key)
            self.size += 1
            if lane is None:
                self._lanes[record.key] = deque((record,))
                self._ready.append(record)
            else:
                lane.append(record)

    def take(self, most: int) -> list[StoredRecord]:
        """Up to `most` records that may be handled now, oldest first."""
        return [self._ready.popleft() for _ in range(min(most, len(self._ready)))]

    @property
    def ready(self) -> int:
        """How many records could be taken."""
        return len(self._ready)

    @property
    def keys(self) -> int:
        """How many keys have records."""
        return len(self._lanes)

    def finish(self, record: StoredRecord) -> None:
        """The record at the head of its lane is done; the next one of its key becomes ready."""
        lane = self._lanes[record.key]
        if lane[0] is not record:
            raise ValueError("a record was finished that is not at the head of its lane")
        lane.popleft()
        self.size -= 1
        if lane:
            self._ready.append(lane[0])
        else:
            del self._lanes[record.key]

    def drop_waiting(self, topic: str, partition: int) -> None:
        """Forget records of a partition that belongs to another member now, except those being handled."""
        ready = {id(record) for record in self._ready}
        self._ready.clear()
        for key, lane in list(self._lanes.items()):
            head = lane[0]
            keep_head = id(head) not in ready
            kept = deque(
                record
                for index, record in enumerate(lane)
                if (index == 0 and keep_head) or (record.topic, record.partition) != (topic, partition)
            )
            self.size -= len(lane) - len(kept)
            if not kept:
                del self._lanes[key]
                continue
            self._lanes[key] = kept
            if not keep_head or kept[0] is not head:
                self._ready.append(kept[0])
