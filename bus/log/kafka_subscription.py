"""One member of a group on Kafka, over as many lives of its client as it takes.

The client is known to stand still without a word (a coordinator that vanished, a broker that was removed). So nobody
relies on it: what it does is looked at from outside, and one that stands still is replaced.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Mapping, Sequence

import structlog

from bus.errors import TransientError
from bus.log.kafka_member import KafkaMember, Membership
from bus.log.port import Delivery, Fenced, StoredRecord, TopicPartition
from bus.log.progress import PartitionProgress

__all__ = ["KafkaSubscription"]

log = structlog.get_logger()

_LOOK_S = 1.0
"""How often the client is looked at."""

_AGAIN_S = 0.5
"""Between two tries to join."""


class KafkaSubscription:
    """See `bus.log.port.Subscription`."""

    def __init__(self, membership: Membership) -> None:
        self.group = membership.group
        self._of = membership
        self._member: KafkaMember | None = None
        self._generations: dict[TopicPartition, int] = {}
        self._trouble = asyncio.Event()
        self._ending: set[asyncio.Task[None]] = set()
        self._keeping: asyncio.Task[None] | None = None
        self._joined = asyncio.Event()
        self._closed = False
        self._leaving: asyncio.Task[None] | None = None
        self._asked = False
        self._quiet_since = 0.0
        self._settled_at = 0.0

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def generations(self) -> Mapping[TopicPartition, int]:
        return self._generations

    async def start(self) -> None:
        """Join for the first time. Raises TransientError."""
        await self._join()
        self._keeping = asyncio.create_task(self._keep())

    async def fetch(
        self, max_records: int, timeout_s: float, *, paused: frozenset[TopicPartition] = frozenset()
    ) -> Sequence[StoredRecord]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while True:
            member = self._member
            if member is not None and member.fenced:
                raise Fenced(f"another process joined group {self.group} as {self._of.name}")
            left = deadline - loop.time()
            if member is None or member.broken:
                self._generations = {}
                if left <= 0 or self._closed:
                    return []
                await _first_of(self._joined, left)
                continue
            if not member.settled:
                if left <= 0:
                    return []
                await member.fetching.say_alive()
                await member.wait_settled(left)
                continue
            self._generations = {place: progress.generation for place, progress in member.progress.items()}
            if max_records < 1:
                await member.fetching.say_alive()
                return []
            self._asked = self._asked or any(place not in paused for place in member.progress)
            records = await member.fetching.take(max_records, paused)
            if records:
                self._quiet_since = loop.time()
                return records
            left = deadline - loop.time()
            if left <= 0:
                return []
            await member.fetching.wait(left, max_records, paused)

    async def commit(self, finished: Sequence[Delivery]) -> None:
        member = self._member
        if member is None:
            raise Fenced(f"nothing of group {self.group} is ours at this moment")
        await member.commit(finished)

    async def close(self) -> None:
        if self._leaving is None:
            self._closed = True
            self._leaving = asyncio.create_task(self._leave())
        # Whoever gives up waiting does not stop it: a client left half closed would beat on and hold its partitions.
        await asyncio.shield(self._leaving)

    # For the engine.

    async def settled(self) -> None:
        """Wait while a rebalance is under way that may leave us what we have."""
        member = self._member
        if member is not None:
            await member.wait_owned(self._of.settings.rebalance_timeout_s)

    def progress_of(self, delivery: Delivery) -> PartitionProgress | None:
        """The progress to count a delivery on, if we own the partition in the generation of its fetch."""
        return self._member.progress_of(delivery) if self._member is not None else None

    def note(self, place: TopicPartition) -> None:
        """Records of a partition were finished on its progress: commit that soon."""
        if self._member is not None:
            self._member.commits.note(place)

    async def flush(self) -> None:
        """Commit now what is finished. Raises TransientError."""
        if self._member is not None:
            await self._member.commits.flush()

    # The client's lives.

    async def _join(self) -> None:
        # The incarnation tells this life from a later one under the same name, in another process or in this.
        member = KafkaMember(self._of, uuid.uuid4().hex[:12], self._trouble.set)
        try:
            await member.join()
        except BaseException:
            self._end(member)
            raise
        self._member = member
        self._quiet_since = self._settled_at = asyncio.get_running_loop().time()
        self._asked = False
        self._joined.set()

    async def _leave(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        member, self._member = self._member, None
        self._generations = {}
        if member is not None:
            await member.leave()
        if self._ending:
            await asyncio.wait(self._ending)

    def _end(self, member: KafkaMember) -> None:
        task = asyncio.create_task(member.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _keep(self) -> None:
        while True:
            await _first_of(self._trouble, _LOOK_S)
            self._trouble.clear()
            member = self._member
            if member is not None and member.fenced:
                self._end(member)
                return
            if member is not None and not member.broken and await self._moves(member):
                continue
            if member is not None:
                log.warning("a consumer is replaced", group=self.group)
                self._joined.clear()
                self._member = None
                self._end(member)
            try:
                await self._join()
            except TransientError as error:
                log.warning("could not join", group=self.group, error=type(error).__name__)
                await asyncio.sleep(_AGAIN_S)
                self._trouble.set()

    async def _moves(self, member: KafkaMember) -> bool:
        """Whether the client does its work, or has none. Asked of the brokers when it has been quiet for long."""
        loop = asyncio.get_running_loop()
        settings = self._of.settings
        if member.settled:
            self._settled_at = loop.time()
        elif loop.time() - self._settled_at > settings.rebalance_timeout_s + settings.stuck_after_s:
            log.error("a rebalance does not end", group=self.group)
            return False
        else:
            return True
        if not self._asked or loop.time() - self._quiet_since < settings.stuck_after_s:
            return True
        positions = {place: progress.position for place, progress in member.progress.items()}
        try:
            begins, ends = await self._of.reader.bounds(list(positions), deadline_s=settings.request_timeout_s)
        except TransientError:
            return True
        waiting = [place for place, end in ends.items() if max(positions[place], begins[place]) < end]
        if not waiting or loop.time() - self._quiet_since < settings.stuck_after_s:
            self._quiet_since = max(self._quiet_since, loop.time() - settings.stuck_after_s / 2)
            return True
        log.error("records wait and the consumer stands still", group=self.group, count=len(waiting))
        return False


async def _first_of(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
