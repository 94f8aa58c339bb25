"""The log on Apache Kafka: everything that the log port says but `once`, which needs a table (`bus.log.distributed`).

append:     lanes of partitions -> batches -> idempotent producer, acks=all
subscribe:  consumer -> progress in memory -> commits of the watermark, the unfinished above it in the metadata
read, tail, lag: clients of no group
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from bus.clock import Clock, SystemClock, to_micros
from bus.log.kafka_groups import GroupsClient
from bus.log.kafka_member import Membership
from bus.log.kafka_producer import Publisher
from bus.log.kafka_reader import KafkaReader
from bus.log.kafka_retention import retain
from bus.log.kafka_settings import KafkaSettings, check_settings
from bus.log.kafka_subscription import KafkaSubscription
from bus.log.port import Delivery, Drain, Record, StoredRecord, TopicPartition
from bus.log.progress import PartitionProgress, Standing
from bus.log.topics import is_declared
from bus.log.topics import topic as declared

__all__ = ["KafkaLog"]


class KafkaLog:
    """A client of the brokers. Belongs to the event loop that it is used on; close it."""

    def __init__(self, settings: KafkaSettings, *, clock: Clock | None = None) -> None:
        """Raises ConfigurationError for settings that would lose customers; connects when it is first used."""
        check_settings(settings)
        self._settings = settings
        self._clock = clock or SystemClock()
        self._publisher = Publisher(settings)
        self._groups = GroupsClient(settings)
        self._reader = KafkaReader(settings, self._clock)
        self._subscriptions: set[KafkaSubscription] = set()
        self._existing: set[str] = set()
        # Of the process, not of the group: no two ownerships of a partition in this process ever share one.
        self._numbers = itertools.count(1)

    async def append(self, records: Sequence[Record]) -> Sequence[int]:
        """Append durably, in the order given; the offset of each. Raises TransientError, PermanentError."""
        return await self._publisher.publish(records)

    async def subscribe(
        self, group: str, topics: Sequence[str], *, member: str, drain: Drain | None = None
    ) -> KafkaSubscription:
        """As `Log.subscribe`. Raises TransientError when the brokers do not let us in in time."""
        subscription = KafkaSubscription(
            Membership(
                settings=self._settings,
                group=group,
                topics=sorted(set(topics)),
                name=member,
                drain=drain,
                groups=self._groups,
                reader=self._reader,
                generations=self._numbers,
            )
        )
        await subscription.start()
        self._subscriptions = {*(each for each in self._subscriptions if not each.closed), subscription}
        return subscription

    def tail(
        self, topics: Sequence[str], *, after: Mapping[TopicPartition, int] | None = None
    ) -> AsyncIterator[StoredRecord]:
        """As `Log.tail`. "From now on" begins some seconds earlier for what other hosts appended, never later."""
        return self._reader.tail(topics, after or {}, dict(self._publisher.heads))

    async def read(self, topic: str, partition: int, *, start: int = 0, limit: int = 1000) -> Sequence[StoredRecord]:
        """As `Log.read`. Raises TransientError."""
        if topic not in self._existing:
            if not await self._groups.topic_exists(topic, deadline_s=self._settings.request_timeout_s):
                return []
            self._existing.add(topic)
        return await self._reader.read(TopicPartition(topic, partition), start, limit)

    async def lag(self, group: str, topics: Sequence[str]) -> Mapping[TopicPartition, tuple[int, float]]:
        """As `Log.lag`. Raises TransientError."""
        places = [TopicPartition(name, number) for name in topics for number in range(declared(name).partitions)]
        for subscription in self._of_group(group):
            await subscription.flush()
        deadline_s = self._settings.request_timeout_s
        standings = await self._groups.standings(group, places, deadline_s=deadline_s)
        begins, ends = await self._reader.bounds(places, deadline_s=deadline_s)
        counts: dict[TopicPartition, int] = {}
        starts: dict[TopicPartition, int] = {}
        for place in places:
            standing = standings.get(place, Standing(0))
            open_ = [offset for offset in standing.unfinished if offset >= begins[place]]
            counts[place] = len(open_) + max(0, ends[place] - max(standing.high, begins[place]))
            if counts[place]:
                starts[place] = open_[0] if open_ else max(standing.high, begins[place])
        oldest = await self._reader.firsts(starts)
        now = to_micros(self._clock.now())
        return {
            place: (counts[place], max(0.0, (now - oldest[place].at) / 1e6) if place in oldest else 0.0)
            for place in places
        }

    async def retain(self, now: datetime) -> int:
        """Delete what is at `now` older than its topic keeps and finished by every group; how many records went.

        Without a prefix only topics that the house declares are touched: others may share the cluster.
        """
        deadline_s = self._settings.request_timeout_s
        topics = await self._groups.topics(deadline_s=deadline_s)
        if not self._settings.topic_prefix:
            topics = [name for name in topics if is_declared(name)]
        return await retain(to_micros(now), topics, self._groups, self._reader, deadline_s=deadline_s)

    async def close_subscriptions(self) -> None:
        """Leave every group with what is finished committed."""
        await asyncio.gather(*(subscription.close() for subscription in self._subscriptions))

    async def close(self) -> None:
        """Leave every group and the brokers."""
        await self.close_subscriptions()
        await self._publisher.close()
        await self._reader.close()
        await self._groups.close()

    # For the engine.

    async def owner_of(self, delivery: Delivery) -> tuple[KafkaSubscription, PartitionProgress] | None:
        """Who owns the delivery's partition in the generation of its fetch, and the progress to count it on."""
        for subscription in self._of_group(delivery.group):
            await subscription.settled()
            progress = subscription.progress_of(delivery)
            if progress is not None:
                return subscription, progress
        return None

    def _of_group(self, group: str) -> list[KafkaSubscription]:
        return [subscription for subscription in self._subscriptions if subscription.group == group]
