"""One record at a time per key, in order, many keys at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bus.delivery.lanes import Lanes
from bus.log.port import StoredRecord, TopicPartition
from bus.log.topics import CASE_OFFERS


def record(offset: int, key: str, partition: int = 0) -> StoredRecord:
    return StoredRecord(
        topic="t", partition=partition, offset=offset, at=0, key=key, value=b"", id=str(offset), headers={}
    )


def test_the_second_record_of_a_key_waits_for_the_first() -> None:
    lanes = Lanes()
    first, second, other = record(1, "a"), record(2, "a"), record(3, "b")
    lanes.add([first, second, other])
    assert lanes.take(10) == [first, other]
    assert lanes.take(10) == []
    lanes.finish(first)
    assert lanes.take(10) == [second]


def test_finishing_out_of_turn_is_a_fault() -> None:
    lanes = Lanes()
    lanes.add([record(1, "a"), record(2, "a")])
    with pytest.raises(ValueError, match="head"):
        lanes.finish(record(2, "a"))


def test_a_lost_partition_is_forgotten_but_work_in_hand_is_not() -> None:
    lanes = Lanes()
    taken, behind, kept = record(1, "a"), record(2, "a"), record(3, "b", partition=1)
    lanes.add([taken, behind])
    assert lanes.take(1) == [taken]
    lanes.add([kept, record(4, "b")])
    lanes.drop_waiting(lambda r: r.partition == 0)
    assert lanes.take(10) == [kept]
    lanes.finish(taken)
    lanes.finish(kept)
    assert (lanes.size, lanes.keys, lanes.ready, dict(lanes.counts)) == (0, 0, 0, {})


def test_what_follows_a_parked_record_comes_before_what_was_fetched_meanwhile() -> None:
    lanes = Lanes()
    first, fetched, second = record(1, "a"), record(9, "a"), record(2, "a")
    lanes.add([first, fetched])
    assert lanes.take(10) == [first]
    lanes.finish(first, second)
    assert lanes.take(10) == [second]
    lanes.finish(second)
    assert lanes.take(10) == [fetched]


def test_a_partition_with_many_records_is_known_as_crowded() -> None:
    lanes = Lanes()
    lanes.add([record(n, f"k{n}") for n in range(3)] + [record(9, "z", partition=1)])
    assert lanes.crowded(3) == {TopicPartition("t", 0)}
    (head,) = lanes.take(1)
    lanes.finish(head)
    assert lanes.crowded(3) == frozenset()
    assert lanes.counts == {("t", 0): 2, ("t", 1): 1}


@given(st.lists(st.sampled_from("abcde"), max_size=60), st.randoms(use_true_random=False))
def test_every_order_of_finishing_keeps_the_order_of_each_key(keys: list[str], choose: object) -> None:
    lanes = Lanes()
    lanes.add([record(offset, key) for offset, key in enumerate(keys)])
    in_hand: list[StoredRecord] = []
    seen: dict[str, list[int]] = {}
    while lanes.size:
        in_hand += lanes.take(3)
        assert len({r.key for r in in_hand}) == len(in_hand)
        done = in_hand.pop(choose.randrange(len(in_hand)))  # type: ignore[attr-defined]
        seen.setdefault(done.key, []).append(done.offset)
        lanes.finish(done)
    assert sum(map(len, seen.values())) == len(keys)
    assert all(offsets == sorted(offsets) for offsets in seen.values())


def look(offset: int) -> StoredRecord:
    return replace(record(offset, "shop"), topic=CASE_OFFERS)


def test_records_that_say_the_same_are_finished_beside_the_first() -> None:
    lanes = Lanes()
    first, second, third = look(1), look(2), look(3)
    lanes.add([first, second, third])
    assert lanes.take(10) == [first]
    waiting = lanes.alike(first)
    later = look(4)
    lanes.add([later])
    assert lanes.pull(first, waiting) == [second, third]
    lanes.finish(third)
    lanes.finish(first)
    assert lanes.take(10) == [later]
    lanes.finish(second)
    lanes.finish(later)
    assert (lanes.size, lanes.keys, dict(lanes.counts)) == (0, 0, {})


def test_what_was_given_back_meanwhile_is_not_finished_with_it() -> None:
    lanes = Lanes()
    first, second = look(1), look(2)
    lanes.add([first, second])
    lanes.take(10)
    waiting = lanes.alike(first)
    lanes.drop_waiting(lambda _: True)
    lanes.add([again := look(2)])
    assert lanes.pull(first, waiting) == []
    lanes.finish(first)
    assert lanes.take(10) == [again]


def test_other_records_of_a_key_are_decided_one_by_one() -> None:
    lanes = Lanes()
    first = record(1, "a")
    lanes.add([first, record(2, "a")])
    lanes.take(10)
    assert lanes.alike(first) == []
