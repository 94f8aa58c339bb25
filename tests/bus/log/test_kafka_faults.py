"""The log on a cluster of three brokers that loses one: nothing is lost, nothing is done twice, order holds."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from bus.errors import TransientError
from bus.log.kafka import KafkaLog
from bus.log.kafka_client import Admin, client_options
from bus.log.kafka_settings import KafkaSettings
from bus.log.partition import partition_of
from bus.log.port import Delivery, Fenced, Record, StoredRecord, Subscription
from bus.log.topics import topic as declared
from bus.testing.log_records import PATIENCE_S, TOPIC, in_order_per_key, records, records_of, take, without_copies
from deploy.kafka.brokers import AT_ONCE_S, Brokers
from deploy.kafka.topics import apply_plan


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """Three brokers of our own: these tests kill them."""
    cluster = Brokers(tmp_path_factory.mktemp("brokers"), count=3)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop(within_s=AT_ONCE_S)


@pytest_asyncio.fixture
async def settings(brokers: Brokers) -> KafkaSettings:
    """Settings with short deadlines, so that a broker that is away is given up soon."""
    settings = KafkaSettings(
        bootstrap=tuple(brokers.bootstrap.split(",")),
        topic_prefix=f"t{uuid.uuid4().hex[:10]}.",
        # Longer than a group is without its coordinator: no member dies here, and none may be taken for dead.
        session_timeout_s=20.0,
        heartbeat_s=1.0,
        request_timeout_s=3.0,
        publish_timeout_s=5.0,
    )
    await apply_plan(settings, [TOPIC])
    async with asyncio.timeout(PATIENCE_S):
        # What an earlier test killed is back, and everybody agrees who leads.
        while not all(len(each["isr"]) == 3 for each in await _partitions(settings)):
            await asyncio.sleep(0.1)
    return settings


@pytest_asyncio.fixture
async def log(settings: KafkaSettings) -> AsyncIterator[KafkaLog]:
    opened = KafkaLog(settings)
    yield opened
    await opened.close()


async def _append_at_last(log: KafkaLog, given: Sequence[Record]) -> None:
    """As every relay does: until it is acknowledged, the same records in the same order."""
    while True:
        try:
            await log.append(given)
            return
        except TransientError:
            await asyncio.sleep(0.1)


async def _commit_at_last(subscription: Subscription, finished: Sequence[StoredRecord]) -> None:
    """As every worker does: until the group's progress is durable."""
    while True:
        try:
            await subscription.commit([Delivery.of("g", record) for record in finished])
            return
        except Fenced:
            raise
        except TransientError:
            await asyncio.sleep(0.1)


async def _all_finished(log: KafkaLog) -> bool:
    try:
        return set((await log.lag("g", [TOPIC])).values()) == {(0, 0.0)}
    except TransientError:
        return False


async def _broker_of(settings: KafkaSettings, *, group: str = "", partition: int = -1) -> int:
    """Index of the broker that coordinates a group or leads a partition."""
    admin = Admin(**client_options(settings))
    await admin.start()
    try:
        if group:
            return await admin.find_coordinator(settings.topic_prefix + group) - 1
    finally:
        await admin.close()
    return next(each["leader"] for each in await _partitions(settings) if each["partition"] == partition) - 1


async def _partitions(settings: KafkaSettings) -> Sequence[Mapping[str, Any]]:
    admin = Admin(**client_options(settings))
    await admin.start()
    try:
        (described,) = await admin.describe_topics([settings.topic_prefix + TOPIC])
        return described["partitions"]
    finally:
        await admin.close()


async def test_a_broker_that_is_killed_loses_nothing_and_doubles_nothing(
    log: KafkaLog, settings: KafkaSettings, brokers: Brokers
) -> None:
    given = records(600, keys=20)
    subscription = await log.subscribe("g", [TOPIC], member="m")
    handled: list[StoredRecord] = []

    async def work() -> None:
        while len({record.id for record in handled}) < len(given):
            batch = await subscription.fetch(50, 0.2)
            handled.extend(batch)
            await _commit_at_last(subscription, batch)

    working = asyncio.create_task(work())
    victim = await _broker_of(settings, partition=0)
    try:
        for start in range(0, len(given), 20):
            if start == 200:
                brokers.kill(victim)
            await _append_at_last(log, given[start : start + 20])
    finally:
        brokers.restart(victim)
    async with asyncio.timeout(PATIENCE_S):
        await working
    stored = await records_of(log, TOPIC)
    assert {record.id for record in stored} == {record.id for record in given}
    # An append that was in doubt may have left copies; nobody was overtaken and nobody is missing.
    assert in_order_per_key(without_copies(stored))
    assert in_order_per_key(without_copies(handled))
    places = [(record.partition, record.offset) for record in handled]
    assert len(places) == len(set(places))


async def test_a_group_goes_on_when_its_coordinator_dies(
    log: KafkaLog, settings: KafkaSettings, brokers: Brokers
) -> None:
    await _append_at_last(log, records(100))
    subscription = await log.subscribe("g", [TOPIC], member="m")
    first = await take(subscription, 100)
    await subscription.commit([Delivery.of("g", record) for record in first[:60]])
    victim = await _broker_of(settings, group="g")
    brokers.kill(victim)
    try:
        await _append_at_last(log, records(50, prefix="later"))
        async with asyncio.timeout(PATIENCE_S):
            # What was in hand is finished with the new coordinator.
            await _commit_at_last(subscription, first[60:])
            later: list[StoredRecord] = []
            # An append that was in doubt left copies, which are finished too.
            while not await _all_finished(log):
                batch = await subscription.fetch(100, 0.5)
                await _commit_at_last(subscription, batch)
                later += batch
    finally:
        brokers.restart(victim)
    assert {record.id for record in later} == {record.id for record in records(50, prefix="later")}
    assert in_order_per_key(without_copies(later))


async def test_a_send_that_hangs_is_given_up_and_another_producer_sends(
    settings: KafkaSettings, brokers: Brokers
) -> None:
    # Shorter than it takes the others to miss the leader: they would have taken the record meanwhile.
    settings = msgspec.structs.replace(settings, publish_timeout_s=2.0)
    log = KafkaLog(settings)
    partition = partition_of("key", declared(TOPIC).partitions)
    await _append_at_last(log, [Record(topic=TOPIC, key="key", value=b"0", id="0")])
    victim = await _broker_of(settings, partition=partition)
    brokers.pause(victim)
    loop = asyncio.get_running_loop()
    try:
        began = loop.time()
        with pytest.raises(TransientError):
            await log.append([Record(topic=TOPIC, key="key", value=b"1", id="1")])
        assert loop.time() - began < settings.publish_timeout_s + 2
        # The broker still keeps its connections and answers nothing; another one leads by now.
        async with asyncio.timeout(PATIENCE_S):
            await _append_at_last(log, [Record(topic=TOPIC, key="key", value=b"1", id="1")])
            await _append_at_last(log, [Record(topic=TOPIC, key="key", value=b"2", id="2")])
    finally:
        brokers.resume(victim)
    stored = without_copies(await records_of(log, TOPIC))
    assert [record.id for record in stored] == ["0", "1", "2"]
    await log.close()
