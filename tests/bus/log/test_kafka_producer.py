"""Appends that fail at any place: whoever sends again leaves copies at most, never a gap and never another order."""

import asyncio
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from bus.errors import PermanentError, TransientError
from bus.log import kafka_producer
from bus.log.kafka_producer import Publisher
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import Record

SETTINGS = KafkaSettings(replication_floor=1, min_insync_replicas=1, publish_timeout_s=1.0, request_timeout_s=1.0)


class Brokers:
    """Partitions in memory, and producers that fail: before or after a batch was stored, or without any answer."""

    def __init__(self, seed: int, faults: Sequence[str]) -> None:
        self.stored: dict[tuple[str, int], list[bytes]] = {}
        self.producers: list[Producer] = []
        self._chance = random.Random(seed)
        self._faults = faults

    def fault(self) -> str:
        return self._chance.choice(self._faults) if self._chance.random() < 0.15 else ""

    def producer(self, **_options: Any) -> "Producer":
        self.producers.append(Producer(self))
        return self.producers[-1]


class Batch:
    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, timestamp: None, key: bytes, value: bytes, headers: Any) -> object:
        if len(self.values) == 4:
            return None
        self.values.append(value)
        return object()


class Producer:
    """What `Publisher` uses of the client. A stopped one stores nothing more, but what was under way may arrive."""

    def __init__(self, brokers: Brokers) -> None:
        self._brokers = brokers
        self.failed = False
        self.client = SimpleNamespace(close=self.stop)
        self._sender = SimpleNamespace(sender_task=None)

    async def start(self) -> None:
        await asyncio.sleep(0)

    async def stop(self) -> None:
        await asyncio.sleep(0)

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        assert not self.failed, "a producer that failed must not be used again"
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        place = self._brokers.stored.setdefault((topic, partition), [])
        fault = self._brokers.fault()

        def arrive() -> None:
            if fault != "lost":
                place.extend(batch.values)
            if fault == "silent" or future.done():
                return
            if fault:
                self.failed = True
                future.set_exception(ConnectionError(fault))
            else:
                future.set_result(SimpleNamespace(offset=len(place) - len(batch.values)))

        asyncio.get_running_loop().call_later(0.001, arrive)
        return future


@pytest.mark.parametrize("seed", range(6))
async def test_order_holds_whatever_fails(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = Brokers(seed, ("lost", "stored, and the answer lost"))
    monkeypatch.setattr(kafka_producer, "Producer", brokers.producer)
    publisher = Publisher(SETTINGS)

    async def send(key: str) -> None:
        for start in range(0, 30, 10):
            given = [
                Record(topic="t", key=key, value=f"{key}/{number}".encode(), id=f"{key}/{number}")
                for number in range(start, start + 10)
            ]
            while True:
                try:
                    offsets = await publisher.publish(given)
                except TransientError:
                    continue
                assert offsets == sorted(offsets)
                break

    async with asyncio.timeout(60):
        await asyncio.gather(*(send(f"k{number}") for number in range(12)))
        await publisher.close()
    assert len(brokers.producers) > 1
    for number in range(12):
        (values,) = [values for values in brokers.stored.values() if f"k{number}/0".encode() in values]
        mine = [value for value in dict.fromkeys(values) if value.startswith(b"k%d/" % number)]
        assert mine == [b"k%d/%d" % (number, each) for each in range(30)]


async def test_a_producer_without_an_answer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = Brokers(1, ("silent",))
    monkeypatch.setattr(brokers, "fault", lambda: "silent" if len(brokers.producers) == 1 else "")
    monkeypatch.setattr(kafka_producer, "Producer", brokers.producer)
    publisher = Publisher(SETTINGS)
    record = Record(topic="t", key="k", value=b"1", id="1")
    with pytest.raises(TransientError):
        await publisher.publish([record])
    assert await publisher.publish([record]) == [1]
    assert len(brokers.producers) == 2
    await publisher.close()
    with pytest.raises(TransientError):
        await publisher.publish([record])


async def test_one_record_that_cannot_be_sent_lets_none_of_its_call_out(monkeypatch: pytest.MonkeyPatch) -> None:
    brokers = Brokers(1, ())
    monkeypatch.setattr(brokers, "fault", lambda: "")
    monkeypatch.setattr(kafka_producer, "Producer", brokers.producer)
    publisher = Publisher(SETTINGS)
    fine = Record(topic="t", key="k", value=b"1", id="1")
    with pytest.raises(PermanentError):
        await publisher.publish([fine, Record(topic="t", key="\ud800", value=b"2", id="2")])
    assert brokers.stored == {}
    assert await publisher.publish([]) == []
    await publisher.close()
