"""Sharing partitions among members."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from bus.log.embedded_assignment import assign
from bus.log.port import TopicPartition

TOPICS = ("a", "b", "c")
PARTITIONS = [TopicPartition(topic, number) for topic in TOPICS for number in range(8)]

members_of_all = st.dictionaries(st.sampled_from("pqrstuvwxyz"), st.just(TOPICS), min_size=1, max_size=11)
members_of_some = st.dictionaries(
    st.sampled_from("pqrstu"), st.lists(st.sampled_from(TOPICS), unique=True, min_size=1), max_size=6
)


@given(members_of_some, st.dictionaries(st.sampled_from(PARTITIONS), st.sampled_from("pqrstuvw")))
def test_every_partition_has_the_one_owner_who_wants_it(members, current) -> None:
    owners = assign(members, PARTITIONS, current)
    assert set(owners) == set(PARTITIONS)
    for partition, owner in owners.items():
        wanted = {name for name, topics in members.items() if partition.topic in topics}
        assert (owner in wanted) if wanted else owner == ""


@given(members_of_all, st.dictionaries(st.sampled_from(PARTITIONS), st.sampled_from("pqrstuvwxyz")))
def test_loads_of_equals_differ_by_one_at_most(members, current) -> None:
    loads = Counter(dict.fromkeys(members, 0))
    loads.update(assign(members, PARTITIONS, current).values())
    assert max(loads.values()) - min(loads.values()) <= 1


@given(members_of_all)
def test_a_balanced_assignment_stays(members) -> None:
    owners = assign(members, PARTITIONS, {})
    assert assign(members, list(reversed(PARTITIONS)), owners) == owners


@given(members_of_all, st.sampled_from("pqrstuvwxyz"))
def test_a_newcomer_only_takes_and_a_leaver_only_gives(members, name) -> None:
    without = {member: topics for member, topics in members.items() if member != name}
    with_ = {**without, name: TOPICS}
    before = assign(without, PARTITIONS, {})
    after = assign(with_, PARTITIONS, before)
    assert all(after[p] in (before[p], name) for p in PARTITIONS)
    if without:
        back = assign(without, PARTITIONS, after)
        assert all(back[p] == after[p] for p in PARTITIONS if after[p] != name)


def test_a_second_member_gets_its_part_of_every_topic() -> None:
    """Urgent work and work that can wait are topics of one group: one member must not be left with all of one kind."""
    alone = assign({"p": TOPICS}, PARTITIONS, {})
    both = assign({"p": TOPICS, "q": TOPICS}, PARTITIONS, alone)
    for topic in TOPICS:
        owners = Counter(owner for partition, owner in both.items() if partition.topic == topic)
        assert owners == {"p": 4, "q": 4}
