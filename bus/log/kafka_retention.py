"""Forgetting records on Kafka: what is past its time and finished by every group, never more.

The brokers' own retention looks at the clock alone: what nobody had handled yet would go as well, and with it a
customer. So the time of a topic on the brokers is only the last net, and this is what ordinarily forgets.
"""

from collections.abc import Mapping, Sequence

import structlog

from bus.log.kafka_groups import GroupsClient
from bus.log.kafka_reader import KafkaReader
from bus.log.port import TopicPartition
from bus.log.topics import topic as declared

__all__ = ["retain"]

log = structlog.get_logger()

_DAY_MICROS = 86_400_000_000


async def retain(
    now: int, topics: Sequence[str], groups: GroupsClient, reader: KafkaReader, *, deadline_s: float
) -> int:
    """Delete all that may go of these topics at `now` (microseconds); the number of records. Raises TransientError."""
    gone = 0
    names = await groups.groups(deadline_s=deadline_s)
    for topic in topics:
        places = [TopicPartition(topic, number) for number in range(declared(topic).partitions)]
        young = await reader.since(places, now - declared(topic).keep_days * _DAY_MICROS)
        begins, _ = await reader.bounds(places, deadline_s=deadline_s)
        below = {place: offset for place, offset in young.items() if offset > begins[place]}
        if not below:
            continue
        for name in names:
            standings = await groups.standings(name, list(below), deadline_s=deadline_s)
            held: Mapping[TopicPartition, int] = {
                place: standing.next_offset
                for place, standing in standings.items()
                if standing.next_offset < below[place]
            }
            if held:
                # A group that was renamed or given up would keep its records for ever and fill the disks unseen.
                log.warning("a group holds back records past their time", group=name, topic=topic)
                below.update(held)
        below = {place: offset for place, offset in below.items() if offset > begins[place]}
        await groups.delete_below(below, deadline_s=deadline_s)
        gone += sum(offset - begins[place] for place, offset in below.items())
    return gone
