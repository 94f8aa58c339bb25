"""While the brokers are well, a yes waits until they have the record too; when they are not, it waits for nobody.

A spool is on one disk of one host. What the brokers hold is answered although that host dies, and whoever goes on at
another gateway is heard in order. So the fast case is worth the few milliseconds of a publish, and only that case:
the first record of a partition that is not taken within the patience is the last that waited, until the relay gets
something of that partition through again.
"""

import asyncio
from collections.abc import Iterable, Sequence

from bus.log.partition import partition_of
from bus.log.port import Record, TopicPartition
from bus.log.topics import topic as declared

__all__ = ["HandOver"]


_Key = tuple[str, str]
"""Topic and record id."""

Expected = dict[_Key, "asyncio.Future[None]"]
"""What one caller waits for."""


class HandOver:
    """What the spool has taken and the relay has not yet published, for those who wait for it.

    `patience_s`: the longest wait of a yes for the brokers; with 0 nobody waits.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._awaited: dict[_Key, list[asyncio.Future[None]]] = {}
        self._well: set[TopicPartition] = set()

    def expect(self, records: Sequence[Record]) -> Expected:
        """Call before the records are spooled: the relay may be faster than whoever wants to wait for it."""
        expected: Expected = {}
        if self._patience_s:
            loop = asyncio.get_running_loop()
            for record in records:
                if _place(record) in self._well:
                    key = (record.topic, record.id)
                    expected[key] = loop.create_future()
                    self._awaited.setdefault(key, []).append(expected[key])
        return expected

    async def wait(self, records: Sequence[Record], expected: Expected) -> None:
        """Return when the brokers have what is expected of the records, or are not worth waiting for."""
        try:
            if expected:
                _, late = await asyncio.wait(expected.values(), timeout=self._patience_s)
                if late:
                    self._well.difference_update(_place(record) for record in records)
        finally:
            self.forget(expected)

    def forget(self, expected: Expected) -> None:
        """Nobody waits for these any more."""
        for key, future in expected.items():
            waiting = self._awaited.get(key, [])
            if future in waiting:
                waiting.remove(future)
                if not waiting:
                    del self._awaited[key]

    def taken(self, records: Iterable[Record]) -> None:
        """The brokers have these; their partitions are worth waiting for."""
        for record in records:
            self._well.add(_place(record))
            for future in self._awaited.pop((record.topic, record.id), ()):
                future.set_result(None)

    def ours(self, place: TopicPartition) -> None:
        """This process relays the partition from now on; that it is well is believed until it is slow."""
        self._well.add(place)

    def lost(self, place: TopicPartition) -> None:
        """Another process of this host relays this partition from now on; its acknowledgements are not heard here."""
        self._well.discard(place)


def _place(record: Record) -> TopicPartition:
    return TopicPartition(record.topic, partition_of(record.key, declared(record.topic).partitions))
