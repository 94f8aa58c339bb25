"""Members of groups on a real broker: draining, fencing, static names, what a commit carries, standing still."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from bus.errors import TransientError
from bus.log.kafka import KafkaLog
from bus.log.kafka_settings import KafkaSettings
from bus.log.partition import partition_of
from bus.log.port import Delivery, Fenced, Record, StoredRecord, TopicPartition
from bus.log.topics import topic as declared
from bus.testing.log_records import PATIENCE_S, TOPIC, in_order_per_key, lines_until, records, shared, take

PARTITIONS = declared(TOPIC).partitions


@pytest_asyncio.fixture
async def open_log(kafka_settings: KafkaSettings) -> AsyncIterator[Callable[..., KafkaLog]]:
    """Opens the log again, as another process would; closed after the test."""
    opened: list[KafkaLog] = []

    def open_again(**changes: object) -> KafkaLog:
        opened.append(KafkaLog(msgspec.structs.replace(kafka_settings, **changes)))
        return opened[-1]

    yield open_again
    for log in opened:
        await log.close()


def _deliveries(found: Sequence[StoredRecord]) -> list[Delivery]:
    return [Delivery.of("g", record) for record in found]


async def test_work_in_hand_is_finished_before_partitions_move(open_log: Callable[..., KafkaLog]) -> None:
    log = open_log()
    await log.append(records(80))
    told: list[frozenset[TopicPartition]] = []
    in_hand: list[StoredRecord] = []

    async def finish(places: frozenset[TopicPartition]) -> None:
        told.append(places)
        await one.commit(_deliveries(in_hand))

    one = await log.subscribe("g", [TOPIC], member="one", drain=finish)
    fetched = await take(one, 80)
    before = dict(one.generations)
    in_hand = [record for index, record in enumerate(fetched) if index % 2]
    two = await open_log().subscribe("g", [TOPIC], member="two")
    assert told == [frozenset(before)]
    await shared(one, two, partitions=PARTITIONS)
    # What waited was dropped, so also what stayed here has a new generation and is handed out again.
    assert not set(one.generations.values()) & set(before.values())
    again: list[StoredRecord] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(again) < 40:
            again += [*await one.fetch(100, 0.1), *await two.fetch(100, 0.1)]
    assert sorted(record.id for record in again) == sorted({r.id for r in fetched} - {r.id for r in in_hand})
    with pytest.raises(Fenced):
        await one.commit(_deliveries(fetched))


async def test_work_that_does_not_end_is_left_to_the_next_owner(open_log: Callable[..., KafkaLog]) -> None:
    log = open_log(drain_s=1.0)
    await log.append(records(40))
    hung = asyncio.Event()

    async def hang(_places: frozenset[TopicPartition]) -> None:
        hung.set()
        await asyncio.Event().wait()

    one = await log.subscribe("g", [TOPIC], member="one", drain=hang)
    fetched = await take(one, 40)
    two = await open_log().subscribe("g", [TOPIC], member="two")
    assert hung.is_set()
    await shared(one, two, partitions=PARTITIONS)
    with pytest.raises(Fenced):
        await one.commit(_deliveries(fetched))
    behind = await log.lag("g", [TOPIC])
    assert sum(count for count, _ in behind.values()) == 40


async def test_members_that_come_and_go_under_load_do_everything_once_and_in_order(
    open_log: Callable[..., KafkaLog],
) -> None:
    log = open_log()
    given = records(1_000, keys=40)
    done: list[StoredRecord] = []

    async def work(name: str, stop: asyncio.Event) -> None:
        chance = random.Random(name)
        busy = asyncio.Lock()
        drained = 0

        async def drain(_places: frozenset[TopicPartition]) -> None:
            # The rest of the batch is dropped, what is in hand holds the lock.
            nonlocal drained
            drained += 1
            async with busy:
                pass

        subscription = await open_log().subscribe("g", [TOPIC], member=name, drain=drain)
        while not stop.is_set():
            batch, before = await subscription.fetch(20, 0.1), drained
            for record in batch:
                async with busy:
                    if drained != before or stop.is_set():
                        break
                    await asyncio.sleep(chance.uniform(0, 0.002))
                    await subscription.commit([Delivery.of("g", record)])
                    done.append(record)
        await subscription.close()

    async def feed() -> None:
        for start in range(0, len(given), 30):
            await log.append(given[start : start + 30])
            await asyncio.sleep(0.05)

    feeding = asyncio.create_task(feed())
    stops = [asyncio.Event() for _ in range(4)]
    members = [asyncio.create_task(work("steady", stops[0]))]
    for number in (1, 2, 3):
        members.append(asyncio.create_task(work(f"guest-{number}", stops[number])))
        await asyncio.sleep(0.6)
        stops[number - 1 if number > 1 else 1].set()
    await feeding
    async with asyncio.timeout(PATIENCE_S):
        while len({record.id for record in done}) < len(given):
            await asyncio.sleep(0.05)
    for stop in stops:
        stop.set()
    await asyncio.gather(*members)
    assert len(done) == len(given)
    assert in_order_per_key(done)


@pytest.mark.parametrize("with_drain", [False, True])
async def test_a_member_that_was_stopped_past_its_session_is_fenced_when_it_wakes(
    open_log: Callable[..., KafkaLog], kafka_settings: KafkaSettings, with_drain: bool
) -> None:
    log = open_log()
    await log.append(records(40))
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).parent / "kafka_sleeper.py"), kafka_settings.bootstrap[0],
        kafka_settings.topic_prefix, TOPIC, "drain" if with_drain else "",
        stdout=subprocess.PIPE, stdin=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin is not None
    try:
        assert len(await lines_until(child, "holding")) == 40
        child.send_signal(signal.SIGSTOP)
        survivor = await log.subscribe("g", [TOPIC], member="survivor")
        assert len(await take(survivor, 40)) == 40
        child.send_signal(signal.SIGCONT)
        child.stdin.write(b"commit\n")
        assert await lines_until(child, "fenced") == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGKILL)
        await child.wait()
    # The sleeper moved nothing: what the survivor holds is still all that there is.
    behind = await log.lag("g", [TOPIC])
    assert sum(count for count, _ in behind.values()) == 40


async def test_what_does_not_fit_beside_a_commit_is_handed_out_again(open_log: Callable[..., KafkaLog]) -> None:
    log = open_log()
    given = [Record(topic=TOPIC, key="one", value=b"%d" % n, id=str(n)) for n in range(9_000)]
    await log.append(given)
    subscription = await log.subscribe("g", [TOPIC], member="m")
    fetched = await take(subscription, len(given))
    finished = fetched[1::2]
    await subscription.commit(_deliveries(finished))
    await subscription.close()
    successor = await open_log().subscribe("g", [TOPIC], member="m")
    again: list[StoredRecord] = []
    wanted = {record.id for record in fetched[::2]}
    async with asyncio.timeout(PATIENCE_S):
        while not wanted <= {record.id for record in again}:
            again += await successor.fetch(1000, 1.0)
    # As far as the metadata reaches nothing is repeated; beyond it nobody is left out.
    assert {record.id for record in again[:400]} <= wanted
    assert len(wanted) < len(again) < len(fetched)


async def test_a_static_member_that_restarts_moves_no_partition(open_log: Callable[..., KafkaLog]) -> None:
    log = open_log(static_member="host-1")
    other = await open_log(static_member="host-2").subscribe("g", [TOPIC], member="x")
    one = await log.subscribe("g", [TOPIC], member="y")
    await shared(one, other, partitions=PARTITIONS)
    before, kept = set(one.generations), dict(other.generations)
    await one.close()
    again = await open_log(static_member="host-1").subscribe("g", [TOPIC], member="y")
    await shared(again, other, partitions=PARTITIONS)
    assert set(again.generations) == before
    assert dict(other.generations) == kept


async def test_a_consumer_that_stands_still_is_replaced(open_log: Callable[..., KafkaLog]) -> None:
    log = open_log(stuck_after_s=1.0)
    subscription = await log.subscribe("g", [TOPIC], member="m")
    assert list(await subscription.fetch(10, 0)) == []
    # As its known faults leave it: alive to the group, and fetching nothing.
    subscription._member._consumer._fetcher._fetch_task.cancel()  # type: ignore[union-attr]
    await log.append(records(20))
    found = await take(subscription, 20)
    assert sorted(record.id for record in found) == sorted(record.id for record in records(20))
    await subscription.commit(_deliveries(found))


async def test_closing_goes_on_when_nobody_waits_for_it(open_log: Callable[..., KafkaLog]) -> None:
    one = await open_log().subscribe("g", [TOPIC], member="one")
    two = await open_log().subscribe("g", [TOPIC], member="two")
    await shared(one, two, partitions=PARTITIONS)
    closing = asyncio.create_task(two.close())
    await asyncio.sleep(0)
    closing.cancel()
    # Left half closed, it would beat on for ever and keep its partitions.
    await shared(one, partitions=PARTITIONS)


async def test_a_group_without_brokers_raises_in_time(kafka_settings: KafkaSettings) -> None:
    log = KafkaLog(
        msgspec.structs.replace(
            kafka_settings, bootstrap=("127.0.0.1:9",), publish_timeout_s=1.0, request_timeout_s=1.0
        )
    )
    async with asyncio.timeout(10):
        with pytest.raises(TransientError):
            await log.append(records(1))
        with pytest.raises(TransientError):
            await log.subscribe("g", [TOPIC], member="m")
        with pytest.raises(TransientError):
            await log.read(TOPIC, partition_of("k", PARTITIONS))
        await log.close()
