"""Appending to Kafka: one batch under way per partition, the next collects meanwhile, order kept even when one fails.

    publish -> lane of each partition -> batch -> idempotent producer, acks=all -> offsets

The client's own queue is not used: of two of its batches the first may fail and the second arrive, and what is sent
again then stands behind what came later. Here a failed batch takes with it whatever waits behind it in its lane.

A producer that failed is never used again: its sequence numbers have holes, and it never gives up by itself. A new one
takes its place; what the old one still had under way may arrive after all, as a copy that the inbox sorts out.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiokafka.errors import ProducerClosed  # pyright: ignore[reportMissingTypeStubs]

from bus.errors import TransientError
from bus.log.kafka_client import KafkaError, Producer, client_options
from bus.log.kafka_records import Wire, wire
from bus.log.kafka_settings import KafkaSettings
from bus.log.partition import partition_of
from bus.log.port import Record, TopicPartition
from bus.log.topics import topic as declared

__all__ = ["Publisher"]

log = structlog.get_logger()

_BATCH_BYTES = 262_144
"""Larger batches did not get cheaper per record; a record larger than this travels alone."""

_WAITING = 20_000
"""Records waiting in all lanes together before callers wait: some tens of megabytes at most."""

_NO_OFFSET = 0
"""The broker knows the batch already and does not tell where: durable, place unknown."""


class _Call:
    """One `publish`: done when every record of it is."""

    __slots__ = ("done", "left", "offsets")

    def __init__(self, count: int, done: asyncio.Future[None]) -> None:
        self.offsets = [_NO_OFFSET] * count
        self.left = count
        self.done = done


class _Lane:
    """Records of one partition that wait to be sent, in order."""

    __slots__ = ("place", "pump", "waiting")

    def __init__(self, place: TopicPartition) -> None:
        self.place = place
        self.waiting: deque[tuple[_Call, int, Wire]] = deque()
        self.pump: asyncio.Task[None] | None = None


class Publisher:
    """Appends records. Belongs to the event loop it is used on."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._producer: Any = None
        self._starting = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False
        self._heads: dict[TopicPartition, int] = {}

    @property
    def heads(self) -> Mapping[TopicPartition, int]:
        """The last offset that was acknowledged here, per partition."""
        return self._heads

    async def publish(self, records: Sequence[Record]) -> list[int]:
        """Append; the offsets, when every record is acknowledged by all copies in sync.

        Raises TransientError when it is in doubt whether they are: then send all of them again, in the same order.
        Raises PermanentError, with nothing sent, for records that no log could carry.
        """
        if not records:
            return []
        wires = [wire(record) for record in records]
        await self._room.wait()
        if self._closed:
            raise TransientError("the log is closed")
        call = _Call(len(records), asyncio.get_running_loop().create_future())
        self._waiting += len(records)
        if self._waiting >= _WAITING:
            self._room.clear()
        for index, (record, made) in enumerate(zip(records, wires, strict=True)):
            place = TopicPartition(record.topic, partition_of(record.key, declared(record.topic).partitions))
            lane = self._lanes.get(place)
            if lane is None:
                lane = self._lanes[place] = _Lane(place)
            lane.waiting.append((call, index, made))
            if lane.pump is None:
                lane.pump = asyncio.create_task(self._pump(lane))
        try:
            await call.done
        finally:
            self._waiting -= len(records)
            if self._waiting < _WAITING:
                self._room.set()
        return call.offsets

    async def close(self) -> None:
        """Finish what is waiting, within the deadline of an append, and leave the brokers."""
        self._closed = True
        self._room.set()
        pumps = [lane.pump for lane in self._lanes.values() if lane.pump is not None]
        if pumps:
            await asyncio.wait(pumps, timeout=self._settings.publish_timeout_s)
        if self._producer is not None:
            self._throw_away(self._producer)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _pump(self, lane: _Lane) -> None:
        try:
            while lane.waiting:
                await self._send_batch(lane)
        finally:
            lane.pump = None

    async def _send_batch(self, lane: _Lane) -> None:
        taken: list[tuple[_Call, int, Wire]] = []
        producer: Any = None
        try:
            async with asyncio.timeout(self._settings.publish_timeout_s):
                producer = await self._running()
                batch: Any = producer.create_batch()
                while lane.waiting:
                    key, value, headers = lane.waiting[0][2]
                    if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                        break
                    taken.append(lane.waiting.popleft())
                name = self._settings.topic_prefix + lane.place.topic
                acknowledged: Any = await producer.send_batch(batch, name, partition=lane.place.partition)
                base: int = (await acknowledged).offset
        except ProducerClosed:
            # Another lane threw it away a moment ago. Nothing of ours was sent: again, with the next one.
            lane.waiting.extendleft(reversed(taken))
            return
        except (Exception, asyncio.CancelledError) as error:
            # A topic or partition that is missing ends in an AssertionError of the client, a bug of its sender in
            # whatever it is: none of them may leave a caller waiting.
            if producer is not None:
                self._throw_away(producer)
            self._fail(lane, taken, error)
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        if base >= 0:
            self._heads[lane.place] = base + len(taken) - 1
        for position, (call, index, _) in enumerate(taken):
            if base >= 0:
                call.offsets[index] = base + position
            call.left -= 1
            if not call.left and not call.done.done():
                call.done.set_result(None)

    def _fail(self, lane: _Lane, taken: Sequence[tuple[_Call, int, Wire]], error: BaseException) -> None:
        log.warning(
            "append in doubt",
            topic=lane.place.topic,
            partition=lane.place.partition,
            error=type(error).__name__,
            count=len(taken) + len(lane.waiting),
        )
        failed = [call for call, _, _ in (*taken, *lane.waiting)]
        lane.waiting.clear()
        for call in failed:
            if not call.done.done():
                call.done.set_exception(TransientError(f"an append is in doubt: {type(error).__name__}"))

    async def _running(self) -> Any:
        async with self._starting:
            if self._producer is None:
                producer = Producer(
                    **client_options(self._settings),
                    client_id="contactbus",
                    acks=self._settings.acks,
                    enable_idempotence=True,
                    max_batch_size=_BATCH_BYTES,
                )
                try:
                    await producer.start()
                except BaseException:
                    self._throw_away(producer)
                    raise
                self._producer = producer
            return self._producer

    def _throw_away(self, producer: Any) -> None:
        if self._producer is producer:
            self._producer = None
        # Twice is harmless: the second finds it closed.
        task = asyncio.create_task(self._stop(producer))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _stop(self, producer: Any) -> None:
        """Let other partitions' batches end as they may, then end the producer, which would never end by itself."""
        with contextlib.suppress(TimeoutError, KafkaError, OSError, asyncio.CancelledError):
            async with asyncio.timeout(self._settings.request_timeout_s):
                await producer.stop()
                return
        task: asyncio.Task[None] | None = producer._sender.sender_task
        if task is not None:
            task.cancel()
        with contextlib.suppress(TimeoutError, KafkaError, OSError):
            async with asyncio.timeout(1.0):
                await producer.client.close()
