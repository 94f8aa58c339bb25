"""The conformance suite of log engines: what `bus.log.port` promises, held against any engine.

Subclass `LogConformance` in a test module, give it `opener` (`module:function`, an async function from a location to
an engine) and the fixture `location`. Every opening stands for a process of its own; where a process must really die,
the suite starts one and kills it.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bus.log.partition import partition_of
from bus.log.port import Delivery, Fenced, Record, StoredRecord, TopicPartition
from bus.log.topics import topic as declared
from bus.testing.log_deaths import DeathCases
from bus.testing.log_member import opener_of
from bus.testing.log_records import (
    OTHER,
    PATIENCE_S,
    TOPIC,
    Open,
    drain,
    in_order_per_key,
    records,
    records_of,
    shared,
    take,
)

__all__ = ["LogConformance"]


class LogConformance(DeathCases):
    """Subclass it; give `opener` and `location`; override `expire` if records do not age by a call of `retain`."""

    opener: str

    @pytest.fixture
    def location(self) -> str:
        """Where the engine under test keeps its data: fresh for each test."""
        raise NotImplementedError("a conformance suite needs the fixture `location`")

    async def expire(self, engine: Any, days: float) -> None:
        """Let retention run as if `days` had passed."""
        raise NotImplementedError("a conformance suite needs `expire`")

    @pytest_asyncio.fixture
    async def open_log(self, location: str) -> AsyncIterator[Open]:
        """Opens the same data again, as another process would. Closed after the test."""
        opened: list[Any] = []

        async def open_again() -> Any:
            engine = await opener_of(self.opener)(location)
            opened.append(engine)
            return engine

        yield open_again
        for engine in opened:
            await engine.close()

    @pytest_asyncio.fixture
    async def log(self, open_log: Open) -> Any:
        """The engine under test."""
        return await open_log()

    # Appending and reading.

    async def test_what_is_appended_is_read_back_unchanged(self, log: Any) -> None:
        given = [
            Record(topic=TOPIC, key="Grüße/ø", value=b"\x00\xff" * 700, id="r-ø", headers={"a": "ä", "tenant": "shop"}),
            Record(topic=TOPIC, key="", value=b"", id="r-empty"),
        ]
        offsets = await log.append(given)
        found = {record.id: record for record in await records_of(log, TOPIC)}
        assert len(found) == 2
        for record, offset in zip(given, offsets, strict=True):
            read = found[record.id]
            assert (read.topic, read.key, read.value, dict(read.headers)) == (
                record.topic, record.key, record.value, dict(record.headers)
            )  # fmt: skip
            assert read.offset == offset
            assert read.at > 0

    async def test_a_key_lies_where_kafka_would_put_it(self, log: Any) -> None:
        await log.append(records(100))
        count = declared(TOPIC).partitions
        found = await records_of(log, TOPIC)
        assert len(found) == 100
        assert all(record.partition == partition_of(record.key, count) for record in found)

    async def test_offsets_rise_and_order_per_key_holds_under_many_producers(self, log: Any) -> None:
        async def producer(name: str) -> None:
            for number in range(40):
                record = Record(topic=TOPIC, key=name, value=b"%d" % number, id=f"{name}-{number}")
                (offset,) = await log.append([record])
                assert offset > offsets.get(name, -1)
                offsets[name] = offset

        offsets: dict[str, int] = {}
        await asyncio.gather(*(producer(f"p{index}") for index in range(16)))
        found = await records_of(log, TOPIC)
        assert len(found) == 16 * 40
        assert in_order_per_key(found)

    async def test_reading_starts_where_told_and_stops_at_the_limit(self, log: Any) -> None:
        await log.append([Record(topic=TOPIC, key="one", value=b"%d" % n, id=str(n)) for n in range(10)])
        partition = partition_of("one", declared(TOPIC).partitions)
        first = await log.read(TOPIC, partition, limit=4)
        rest = await log.read(TOPIC, partition, start=first[-1].offset + 1)
        assert [int(record.value) for record in (*first, *rest)] == list(range(10))
        assert await log.read("conformance.unknown", 0) == []

    async def test_once_leaves_out_what_was_appended_before(self, log: Any, open_log: Open) -> None:
        given = records(20)
        first = await log.append(given, once=True)
        assert None not in first
        new = records(3, prefix="new")
        again = await (await open_log()).append([*given[5:], *new, *new], once=True)
        assert list(again[:15]) == [None] * 15
        assert None not in again[15:18]
        assert list(again[18:]) == [None] * 3
        assert len(await records_of(log, TOPIC)) == 23
        # The same id on another topic is another record.
        assert None not in await log.append(records(1, topic=OTHER), once=True)

    async def test_once_holds_between_processes_at_the_same_moment(self, log: Any, open_log: Open) -> None:
        engines = [log, await open_log(), await open_log()]
        given = records(60)
        answers = await asyncio.gather(*(engine.append([record], once=True) for record in given for engine in engines))
        assert sum(offset is not None for (offset,) in answers) == 60
        assert sorted(record.id for record in await records_of(log, TOPIC)) == sorted(record.id for record in given)

    # Groups.

    async def test_a_new_group_reads_from_the_beginning_and_each_group_everything(self, log: Any) -> None:
        await log.append(records(50))
        for group in ("first", "second"):
            subscription = await log.subscribe(group, [TOPIC], member="m")
            found = await drain(subscription)
            assert sorted(record.id for record in found) == sorted(record.id for record in records(50))
            assert in_order_per_key(found)

    async def test_a_batch_is_no_larger_than_asked_and_no_partition_waits_for_ever(self, log: Any) -> None:
        await log.append(records(300))
        subscription = await log.subscribe("g", [TOPIC], member="m")
        first = await subscription.fetch(24, 1.0)
        assert len(first) == 24
        assert len({record.partition for record in first}) > 2
        seen = [*first]
        while len(seen) < 300:
            batch = await subscription.fetch(24, 5.0)
            assert 0 < len(batch) <= 24
            seen += batch
        assert len({(record.partition, record.offset) for record in seen}) == 300
        assert in_order_per_key(seen)

    async def test_fetch_waits_no_longer_than_told(self, log: Any) -> None:
        subscription = await log.subscribe("g", [TOPIC], member="m")
        began = time.monotonic()
        assert list(await subscription.fetch(10, 0.2)) == []
        assert 0.15 <= time.monotonic() - began < 5

    async def test_an_append_wakes_the_group_here_and_in_another_process(self, log: Any, open_log: Open) -> None:
        subscription = await log.subscribe("g", [TOPIC], member="m")
        assert list(await subscription.fetch(10, 0)) == []
        for engine in (log, await open_log()):
            began = time.monotonic()
            fetching = asyncio.create_task(subscription.fetch(10, PATIENCE_S))
            await asyncio.sleep(0)
            await engine.append(records(1))
            assert len(await fetching) == 1
            assert time.monotonic() - began < PATIENCE_S / 2

    async def test_paused_partitions_wait_and_lose_nothing(self, log: Any) -> None:
        await log.append(records(40))
        subscription = await log.subscribe("g", [TOPIC], member="m")
        places = {TopicPartition(TOPIC, partition_of(record.key, declared(TOPIC).partitions)) for record in records(40)}
        paused = frozenset(sorted(places)[:2])
        open_ = [
            record
            for record in records(40)
            if partition_of(record.key, declared(TOPIC).partitions) not in {place.partition for place in paused}
        ]
        now: list[StoredRecord] = []
        while len(now) < len(open_):
            now += await subscription.fetch(1000, 1.0, paused=paused)
        assert list(await subscription.fetch(1000, 0.2, paused=paused)) == []
        assert not paused & {TopicPartition(record.topic, record.partition) for record in now}
        later = await take(subscription, 40 - len(now))
        assert sorted(record.id for record in (*now, *later)) == sorted(record.id for record in records(40))

    async def test_only_what_was_not_committed_is_read_again(self, log: Any, open_log: Open) -> None:
        await log.append(records(60))
        subscription = await log.subscribe("g", [TOPIC], member="m")
        fetched = await take(subscription, 60)
        # Finished out of order: every third, so that finished records lie above unfinished ones.
        finished = [record for index, record in enumerate(fetched) if index % 3 == 0]
        await subscription.commit([Delivery.of("g", record) for record in finished])
        await subscription.close()
        await log.append(records(10, prefix="late"))
        again = await drain(await (await open_log()).subscribe("g", [TOPIC], member="m"))
        expected = {record.id for record in fetched} - {record.id for record in finished}
        expected |= {record.id for record in records(10, prefix="late")}
        assert sorted(record.id for record in again) == sorted(expected)
        assert in_order_per_key([record for record in again if record.id.startswith("r-")])

    async def test_finished_work_above_the_watermark_survives_many_commits(self, log: Any) -> None:
        await log.append(records(200))
        chance = random.Random(7)  # noqa: S311
        left = {record.id for record in records(200)}
        for round_ in range(6):
            subscription = await log.subscribe("g", [TOPIC], member=f"m{round_}")
            fetched = await drain(subscription, commit=False)
            assert {record.id for record in fetched} == left
            chance.shuffle(fetched)
            for record in fetched[: len(fetched) // 2]:
                await subscription.commit([Delivery.of("g", record)])
                left.discard(record.id)
            behind = await log.lag("g", [TOPIC])
            assert sum(count for count, _ in behind.values()) == len(left)
            await subscription.close()

    async def test_a_record_that_is_held_for_long_holds_up_nothing_else(self, log: Any, open_log: Open) -> None:
        given = [Record(topic=TOPIC, key="one", value=b"%d" % n, id=str(n)) for n in range(2_000)]
        await log.append(given)
        subscription = await log.subscribe("g", [TOPIC], member="m")
        fetched: list[StoredRecord] = []
        while len(fetched) < 2_000:
            fetched += await subscription.fetch(500, 1.0)
        held = [fetched[0], fetched[1_234]]
        await subscription.commit([Delivery.of("g", record) for record in fetched if record not in held])
        behind = await log.lag("g", [TOPIC])
        assert sum(count for count, _ in behind.values()) == 2
        await subscription.close()
        successor = await (await open_log()).subscribe("g", [TOPIC], member="m")
        # A thousand finished records lie between the two: they must not make the successor wait.
        began = time.monotonic()
        again = [*await successor.fetch(10, 5.0), *await successor.fetch(10, 5.0)]
        await log.append([Record(topic=TOPIC, key="one", value=b"2000", id="new")])
        again += await successor.fetch(10, 5.0)
        assert [record.id for record in again] == [held[0].id, held[1].id, "new"]
        assert time.monotonic() - began < 4.5

    async def test_lag_counts_what_is_unfinished_and_tells_its_age(self, log: Any) -> None:
        before = await log.lag("g", [TOPIC])
        assert sum(count for count, _ in before.values()) == 0
        await log.append(records(30))
        behind = await log.lag("g", [TOPIC])
        assert sum(count for count, _ in behind.values()) == 30
        assert all(0 <= age < PATIENCE_S for _, age in behind.values())
        await drain(await log.subscribe("g", [TOPIC], member="m"))
        after = await log.lag("g", [TOPIC])
        assert set(after.values()) == {(0, 0.0)}

    # Membership.

    async def test_members_share_the_partitions_and_nobody_reads_for_another(self, log: Any, open_log: Open) -> None:
        one = await log.subscribe("g", [TOPIC], member="one")
        two = await (await open_log()).subscribe("g", [TOPIC], member="two")
        await shared(one, two, partitions=declared(TOPIC).partitions)
        assert not set(one.generations) & set(two.generations)
        assert abs(len(one.generations) - len(two.generations)) <= 1
        await log.append(records(80))
        found = await asyncio.gather(drain(one), drain(two))
        assert sorted(record.id for part in found for record in part) == sorted(record.id for record in records(80))

    async def test_who_lost_a_partition_is_fenced_and_its_work_is_done_by_the_new_owner(
        self, log: Any, open_log: Open
    ) -> None:
        await log.append(records(80))
        one = await log.subscribe("g", [TOPIC], member="one")
        fetched = await take(one, 80)
        assert len(fetched) == 80
        two = await (await open_log()).subscribe("g", [TOPIC], member="two")
        await two.fetch(0, 0)
        lost = set(two.generations)
        with pytest.raises(Fenced):
            await one.commit([Delivery.of("g", record) for record in fetched])
        # What was not lost is committed all the same; the rest belongs to the new owner.
        moved = [record for record in fetched if TopicPartition(record.topic, record.partition) in lost]
        assert moved
        behind = await log.lag("g", [TOPIC])
        assert sum(count for count, _ in behind.values()) == len(moved)
        again = await take(two, len(moved))
        assert sorted(record.id for record in again) == sorted(record.id for record in moved)

    async def test_a_member_that_leaves_is_replaced_at_once(self, log: Any, open_log: Open) -> None:
        one = await log.subscribe("g", [TOPIC], member="one")
        two = await (await open_log()).subscribe("g", [TOPIC], member="two")
        await shared(one, two, partitions=declared(TOPIC).partitions)
        await two.close()
        began = time.monotonic()
        while len(one.generations) < declared(TOPIC).partitions:
            await one.fetch(1, 0.1)
            assert time.monotonic() - began < 2.5, "a member that left must not be waited for"

    async def test_a_second_member_of_the_same_name_replaces_the_first(self, log: Any, open_log: Open) -> None:
        await log.append(records(20))
        first = await log.subscribe("g", [TOPIC], member="same")
        fetched = await take(first, 20)
        second = await (await open_log()).subscribe("g", [TOPIC], member="same")
        assert len(await take(second, 20)) == 20
        with pytest.raises(Fenced):
            await first.commit([Delivery.of("g", record) for record in fetched])
        # Not merely robbed of its partitions: its seat is taken, and coming back would rob the other.
        await asyncio.sleep(0.3)
        with pytest.raises(Fenced):
            await first.fetch(1, 0.1)

    # Following without a group.

    async def test_tail_follows_from_now_or_after_an_offset(self, log: Any, open_log: Open) -> None:
        await log.append([Record(topic=TOPIC, key="k", value=b"0", id="old")])
        from_now = log.tail([TOPIC, OTHER])
        place = TopicPartition(TOPIC, partition_of("k", declared(TOPIC).partitions))
        from_start = log.tail([TOPIC], after={place: -1})
        writer = await open_log()
        await writer.append([Record(topic=TOPIC, key="k", value=b"1", id="new")])
        await writer.append([Record(topic=OTHER, key="k", value=b"2", id="other")])
        async with asyncio.timeout(PATIENCE_S):
            # Of two topics: which of them comes first is no promise.
            assert sorted([(await anext(from_now)).id for _ in range(2)]) == ["new", "other"]
            assert [(await anext(from_start)).id for _ in range(2)] == ["old", "new"]
        await from_now.aclose()
        await from_start.aclose()

    async def test_a_slow_follower_misses_nothing(self, log: Any) -> None:
        following = log.tail([TOPIC])
        await log.append(records(1200))
        seen: list[StoredRecord] = []
        async with asyncio.timeout(PATIENCE_S):
            while len(seen) < 1200:
                seen.append(await anext(following))
        await following.aclose()
        assert len({record.id for record in seen}) == 1200
        assert in_order_per_key(seen)

    # Retention.

    async def test_retention_waits_for_the_slowest_group_and_offsets_never_come_again(self, log: Any) -> None:
        offsets = await log.append(records(30))
        slow = await log.subscribe("slow", [TOPIC], member="m")
        fast = await log.subscribe("fast", [TOPIC], member="m")
        await drain(fast)
        fetched = await take(slow, 30)
        place = fetched[0].partition
        held = [record for record in fetched if record.partition == place]
        await slow.commit([Delivery.of("slow", record) for record in fetched if record.partition != place])
        await self.expire(log, declared(TOPIC).keep_days + 1)
        kept = await records_of(log, TOPIC)
        assert {record.id for record in kept} == {record.id for record in held}
        await slow.commit([Delivery.of("slow", record) for record in held])
        await self.expire(log, declared(TOPIC).keep_days + 1)
        assert await records_of(log, TOPIC) == []
        # The same keys again, so that the same partitions go on.
        later = await log.append(records(30))
        assert all(new > old for new, old in zip(later, offsets, strict=True))
        assert len(await drain(slow)) == 30

    async def test_retention_keeps_what_is_young(self, log: Any) -> None:
        await log.append(records(30))
        await drain(await log.subscribe("g", [TOPIC], member="m"))
        await self.expire(log, declared(TOPIC).keep_days - 1)
        assert len(await records_of(log, TOPIC)) == 30
