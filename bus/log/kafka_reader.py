"""Reading Kafka without a group: bounds of partitions, stored records, followers of pages.

One client is shared by all short questions, one at a time; each follower has a client of its own.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog

from bus.clock import Clock, to_micros
from bus.errors import TransientError
from bus.log.kafka_client import Consumer, Partition, answered, client_options
from bus.log.kafka_records import stored
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import StoredRecord, TopicPartition
from bus.log.topics import topic as declared

__all__ = ["KafkaReader"]

log = structlog.get_logger()

_TAIL_WAIT_S = 5.0
_TAIL_BATCH = 500
"""Records per turn of a follower: bounds its memory."""

_LONGEST_POLL_MS = 20
"""A broker answers the questions of one connection in order: what asks next waits for the poll before it."""

_AGAIN_S = 0.5
"""Before a follower whose client failed begins another."""

_SKEW = timedelta(seconds=2)
"""Clocks of hosts differ by so much at most: a follower "from now" begins so much earlier rather than miss something
that was appended elsewhere while it asked where the end is."""

Bounds = tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]


class KafkaReader:
    """Every method raises TransientError when the brokers do not answer in time."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._consumer: Any = None
        self._busy = asyncio.Lock()
        self._followers: set[Any] = set()
        self._closed = False

    async def bounds(self, places: Sequence[TopicPartition], *, deadline_s: float) -> Bounds:
        """The first offset that is still stored and the next that will be given, of each partition."""
        if not places:
            return {}, {}
        partitions = [self._kafka(place) for place in places]
        async with self._shared(deadline_s) as consumer:
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
        return self._ours(begins), self._ours(ends)

    async def since(self, places: Sequence[TopicPartition], at: int) -> Mapping[TopicPartition, int]:
        """The first offset appended at `at` (microseconds) or later; the next that will be given where none was."""
        if not places:
            return {}
        partitions = [self._kafka(place) for place in places]
        async with self._shared(self._settings.request_timeout_s) as consumer:
            # The ends first: what is appended between the two questions is found by the second.
            ends = await consumer.end_offsets(partitions)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, max(0, at // 1000)))
        return self._ours(
            {partition: found[partition].offset if found[partition] else ends[partition] for partition in partitions}
        )

    async def read(self, place: TopicPartition, start: int, limit: int) -> list[StoredRecord]:
        """Stored records of a partition from an offset on."""
        partition = self._kafka(place)
        async with self._shared(self._settings.request_timeout_s) as consumer:
            begin = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
            position = max(start, begin)
            messages: list[Any] = []
            if position < end and limit > 0:
                consumer.assign([partition])
                consumer.seek(partition, position)
            while position < end and len(messages) < limit:
                found = await consumer.getmany(partition, timeout_ms=1000, max_records=limit - len(messages))
                messages += found.get(partition, [])
                position = await consumer.position(partition)
            consumer.unsubscribe()
        return [stored(message, place.topic, 0) for message in messages if message.offset < end]

    async def firsts(self, starts: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, StoredRecord]:
        """The first record from each offset on; there must be one."""
        found: dict[TopicPartition, StoredRecord] = {}
        if not starts:
            return found
        partitions = {self._kafka(place): place for place in starts}
        async with self._shared(self._settings.request_timeout_s) as consumer:
            consumer.assign(list(partitions))
            for partition, place in partitions.items():
                consumer.seek(partition, starts[place])
            while len(found) < len(starts):
                left = [partition for partition, place in partitions.items() if place not in found]
                batch: Mapping[Any, list[Any]] = await consumer.getmany(*left, timeout_ms=1000, max_records=1)
                for partition, messages in batch.items():
                    place = partitions[partition]
                    found[place] = stored(messages[0], place.topic, 0)
            consumer.unsubscribe()
        return found

    def tail(
        self, topics: Sequence[str], after: Mapping[TopicPartition, int], known: Mapping[TopicPartition, int]
    ) -> AsyncIterator[StoredRecord]:
        """As `Log.tail`. `known` are last offsets that were acknowledged here, before this moment."""
        places = [TopicPartition(topic, number) for topic in topics for number in range(declared(topic).partitions)]
        starts = {place: known[place] + 1 for place in places if place in known}
        asked = asyncio.create_task(self._starts([place for place in places if place not in after], starts))
        return self._follow(places, {place: offset + 1 for place, offset in after.items() if place in places}, asked)

    async def close(self) -> None:
        """End every client."""
        self._closed = True
        consumers = [*self._followers, *([self._consumer] if self._consumer is not None else [])]
        self._consumer = None
        await asyncio.gather(*(_stop(consumer) for consumer in consumers))

    async def _starts(
        self, places: Sequence[TopicPartition], at_least: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int]:
        since = to_micros(self._clock.now() - _SKEW)
        while not self._closed:
            try:
                found = await self.since(places, since)
                return {place: max(offset, at_least.get(place, 0)) for place, offset in found.items()}
            except TransientError as error:
                log.warning("a follower cannot begin yet", error=type(error).__name__)
                await asyncio.sleep(_AGAIN_S)
        return {}

    async def _follow(
        self,
        places: Sequence[TopicPartition],
        positions: dict[TopicPartition, int],
        asked: "asyncio.Task[Mapping[TopicPartition, int]]",
    ) -> AsyncIterator[StoredRecord]:
        positions.update(await asked)
        while not self._closed:
            consumer = self._new(fetch_max_bytes=1_048_576)
            self._followers.add(consumer)
            try:
                await self._begin(consumer, places, positions)
                while not self._closed:
                    batch: Mapping[Any, list[Any]] = await consumer.getmany(
                        timeout_ms=int(_TAIL_WAIT_S * 1000), max_records=_TAIL_BATCH
                    )
                    found = [
                        stored(each, self._topic(each.topic), 0) for messages in batch.values() for each in messages
                    ]
                    # By time over all partitions; within one the order is that of appending anyway.
                    for record in sorted(found, key=lambda record: record.at):
                        positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
                        yield record
            except Exception as error:
                log.warning("a follower begins anew", error=type(error).__name__)
                await asyncio.sleep(_AGAIN_S)
            finally:
                self._followers.discard(consumer)
                await _stop(consumer)

    async def _begin(
        self, consumer: Any, places: Sequence[TopicPartition], positions: Mapping[TopicPartition, int]
    ) -> None:
        async with answered(self._settings.request_timeout_s):
            await consumer.start()
            consumer.assign([self._kafka(place) for place in places])
            for place in places:
                consumer.seek(self._kafka(place), positions.get(place, 0))

    @contextlib.asynccontextmanager
    async def _shared(self, deadline_s: float) -> AsyncGenerator[Any]:
        async with answered(deadline_s), self._busy:
            try:
                if self._consumer is None:
                    consumer = self._new(fetch_max_wait_ms=_LONGEST_POLL_MS)
                    try:
                        await consumer.start()
                    except BaseException:
                        await _stop(consumer)
                        raise
                    self._consumer = consumer
                yield self._consumer
            except BaseException:
                # Whatever it was in the middle of: the next question begins with a client that knows of nothing.
                consumer, self._consumer = self._consumer, None
                if consumer is not None:
                    await _stop(consumer)
                raise

    def _new(self, **options: Any) -> Any:
        return Consumer(
            **client_options(self._settings),
            client_id="contactbus-reader",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level="read_committed",
            **options,
        )

    def _kafka(self, place: TopicPartition) -> Partition:
        return Partition(self._settings.topic_prefix + place.topic, place.partition)

    def _topic(self, name: str) -> str:
        return name[len(self._settings.topic_prefix) :]

    def _ours(self, offsets: Mapping[Any, int]) -> dict[TopicPartition, int]:
        return {
            TopicPartition(self._topic(partition.topic), partition.partition): offset
            for partition, offset in offsets.items()
        }


async def _stop(consumer: Any) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1.0):
            await consumer.stop()
