"""One record at a time per key, in order, many keys at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.delivery.lanes import Lanes
from bus.log.port import StoredRecord, TopicPartition


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
