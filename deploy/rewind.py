"""Groups begin again at a moment: what has to follow when the database was restored from an older copy.

Kafka knows how far every group had come when the database was lost; the restored database knows less. Between the copy
and the loss lie records that nobody would ever handle again. So the groups go back to before the copy: what the
database still knows as finished, its inbox sorts out; the rest is done again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bus.clock import Clock, to_micros
from bus.errors import ConfigurationError
from bus.log.kafka_client import Consumer, Partition, answered, client_options
from bus.log.kafka_groups import GroupsClient
from bus.log.kafka_reader import KafkaReader
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import TopicPartition
from bus.log.topics import topic as declared

__all__ = ["rewind"]


async def rewind(
    kafka: KafkaSettings, groups: Mapping[str, Sequence[str]], moment: datetime, clock: Clock
) -> dict[str, int]:
    """Move groups back to what was appended at `moment` or later; how many records each has before it now.

    A group is never moved forward. Raises ConfigurationError while a group has members, TransientError.
    """
    client, reader = GroupsClient(kafka), KafkaReader(kafka, clock)
    deadline_s = kafka.request_timeout_s
    try:
        for group in groups:
            members = await client.members(group, deadline_s=deadline_s)
            if members:
                raise ConfigurationError(f"the group {group} has {len(members)} members: stop all processes first")
        moved: dict[str, int] = {}
        for group, topics in groups.items():
            places = [TopicPartition(name, number) for name in topics for number in range(declared(name).partitions)]
            standings = await client.standings(group, places, deadline_s=deadline_s)
            starts = await reader.since(places, to_micros(moment))
            back = {
                place: starts[place] for place, standing in standings.items() if starts[place] < standing.next_offset
            }
            if back:
                await _commit(kafka, group, back)
                moved[group] = sum(standings[place].next_offset - start for place, start in back.items())
        return moved
    finally:
        await reader.close()
        await client.close()


async def _commit(kafka: KafkaSettings, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    consumer = Consumer(group_id=kafka.topic_prefix + group, enable_auto_commit=False, **client_options(kafka))
    named = {Partition(kafka.topic_prefix + place.topic, place.partition): offset for place, offset in offsets.items()}
    async with answered(kafka.request_timeout_s):
        await consumer.start()
    try:
        # Assigned by hand: the consumer is no member of the group, which the brokers allow while it is empty.
        consumer.assign(list(named))
        async with answered(kafka.request_timeout_s):
            await consumer.commit(named)
    finally:
        await consumer.stop()
