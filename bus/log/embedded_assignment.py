"""Which member of a group reads which partition: a pure function of members, topics and what was before.

Every process computes the same answer, so nobody has to lead. Partitions stay where they are as far as balance allows:
what moves is decided again by its new owner.
"""

from collections.abc import Mapping, Sequence

from bus.log.port import TopicPartition

__all__ = ["assign"]


def assign(
    members: Mapping[str, Sequence[str]],
    partitions: Sequence[TopicPartition],
    current: Mapping[TopicPartition, str],
) -> dict[TopicPartition, str]:
    """The owner of each partition; empty where no member wants the topic.

    `members` maps a member's name to the topics it reads. Among members that read the same topics, loads differ by one
    at most.
    """
    wanted: dict[str, tuple[str, ...]] = {}
    for partition in partitions:
        if partition.topic not in wanted:
            readers = [name for name, topics in members.items() if partition.topic in topics]
            wanted[partition.topic] = tuple(sorted(readers))
    owners: dict[TopicPartition, str] = {}
    for readers in sorted(set(wanted.values())):
        # Number by number over the topics: were it topic by topic, one member would read all that is urgent and another
        # all that can wait.
        shared = sorted(
            (partition for partition in partitions if wanted[partition.topic] == readers),
            key=lambda partition: (partition.partition, partition.topic),
        )
        owners.update(_share(readers, shared, current))
    return owners


def _share(
    readers: Sequence[str], partitions: Sequence[TopicPartition], current: Mapping[TopicPartition, str]
) -> dict[TopicPartition, str]:
    if not readers:
        return dict.fromkeys(partitions, "")
    least, larger = divmod(len(partitions), len(readers))
    load = dict.fromkeys(readers, 0)
    owners: dict[TopicPartition, str] = {}
    for partition in partitions:
        owner = current.get(partition, "")
        if owner not in load:
            continue
        if load[owner] < least:
            load[owner] += 1
            owners[partition] = owner
        elif load[owner] == least and larger > 0:
            # One of those that carry one more than the others.
            larger -= 1
            load[owner] += 1
            owners[partition] = owner
    for partition in partitions:
        if partition not in owners:
            owner = min(readers, key=lambda name: (load[name], name))
            load[owner] += 1
            owners[partition] = owner
    return owners
