"""Records on their way from the client to the hands of a member: fair to all partitions, each handed out once.

The client is asked for the partitions that have room. What it gives lies in a buffer until it is handed out. A
rebalance empties the buffer, because what is unfinished will be read again from the group's commit on.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from bus.log.kafka_client import Partition
from bus.log.kafka_records import stored
from bus.log.port import StoredRecord, TopicPartition
from bus.log.progress import PartitionProgress

__all__ = ["Fetching"]

log = structlog.get_logger()

_NOWHERE = Partition("", 0)
"""Asked for its records, the client has none, and knows that somebody still asks."""

_LEAST_TAKEN = 50
"""Records taken from the client at a time at least: fewer calls, and small beside what it holds anyway."""


class Fetching:
    """Reads what `progress` says is ours. `settled` is not set in the middle of a rebalance."""

    def __init__(
        self,
        consumer: Any,
        *,
        prefix: str,
        progress: Mapping[TopicPartition, PartitionProgress],
        settled: asyncio.Event,
        on_failure: Callable[[], None],
    ) -> None:
        self._consumer = consumer
        self._prefix = prefix
        self._progress = progress
        self._settled = settled
        self._on_failure = on_failure
        self._buffer: dict[TopicPartition, deque[Any]] = {}
        self._polling: asyncio.Task[None] | None = None
        self._turn = 0

    def clear(self) -> None:
        """Forget what was not handed out."""
        self._buffer.clear()

    async def end(self) -> None:
        """The client has ended: so does a poll that waits for it."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    async def say_alive(self) -> None:
        """Tell the client that somebody asks it. Unasked for `max_poll_interval_s` it leaves, and never comes back."""
        if self._polling is None:
            if self._settled.is_set():
                await self._poll([_NOWHERE], 0, 1)
            else:
                # It answers when the rebalance is over.
                self._polling = asyncio.create_task(self._poll([_NOWHERE], 0, 1))

    async def take(self, max_records: int, paused: frozenset[TopicPartition]) -> list[StoredRecord]:
        """What is here already, without waiting."""
        self._collect()
        if self._polling is None:
            ready = [place for place in self._progress if place not in paused and not self._buffer.get(place)]
            share = max(_LEAST_TAKEN, -(-max_records // len(ready))) if ready else 0
            for place in ready:
                if not self._settled.is_set():
                    return []
                await self._poll([self._kafka(place)], 0, share)
        while any(buffered and place not in paused for place, buffered in self._buffer.items()):
            if found := self._hand_out(max_records, paused):
                return found
        return []

    async def wait(self, timeout_s: float, max_records: int, paused: frozenset[TopicPartition]) -> None:
        """Return when something came, a rebalance began, or after `timeout_s`."""
        if self._polling is None:
            ready = [place for place in self._progress if place not in paused]
            if not ready:
                await self.say_alive()
                await asyncio.sleep(timeout_s)
                return
            # Never cancelled: the client would lose count of its callers, and with them its own liveness.
            self._polling = asyncio.create_task(self._poll([*map(self._kafka, ready)], timeout_s, max_records))
        await asyncio.wait({self._polling}, timeout=timeout_s)
        self._collect()

    def _collect(self) -> None:
        """A poll that has ended makes room for the next; what it found lies in the buffer."""
        if self._polling is not None and self._polling.done():
            self._polling = None

    async def _poll(self, partitions: Sequence[Partition], timeout_s: float, max_records: int) -> None:
        try:
            found: Mapping[Partition, list[Any]] = await self._consumer.getmany(
                *partitions, timeout_ms=int(timeout_s * 1000), max_records=max_records
            )
        except Exception as error:
            log.warning("the client failed", error=type(error).__name__)
            self._on_failure()
            return
        # Still in the same step of the loop: no rebalance lies between the client's answer and our buffer.
        prefix = len(self._prefix)
        for partition, messages in found.items():
            place = TopicPartition(partition.topic[prefix:], partition.partition)
            self._buffer.setdefault(place, deque()).extend(messages)

    def _hand_out(self, max_records: int, paused: frozenset[TopicPartition]) -> list[StoredRecord]:
        ready = [place for place, waiting in self._buffer.items() if waiting and place not in paused]
        # Another partition begins each time, and none may take the whole batch while others wait.
        self._turn += 1
        turn = self._turn % len(ready)
        ready = ready[turn:] + ready[:turn]
        found: list[StoredRecord] = []
        for share in (-(-max_records // len(ready)), max_records):
            for place in ready:
                room = min(share, max_records - len(found))
                if room > 0:
                    found += self._from_buffer(place, room)
        return found

    def _from_buffer(self, place: TopicPartition, count: int) -> list[StoredRecord]:
        waiting = self._buffer[place]
        progress = self._progress.get(place)
        if progress is None:
            waiting.clear()
            return []
        messages = [waiting.popleft() for _ in range(min(count, len(waiting)))]
        if messages and messages[0].offset < progress.position:
            messages = [message for message in messages if message.offset >= progress.position]
        known = progress.hand_out([message.offset for message in messages])
        if known:
            messages = [message for message in messages if message.offset not in known]
        topic, generation = place.topic, progress.generation
        return [stored(message, topic, generation) for message in messages]

    def _kafka(self, place: TopicPartition) -> Partition:
        return Partition(self._prefix + place.topic, place.partition)
