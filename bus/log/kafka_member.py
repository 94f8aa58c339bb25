"""One life of a member of a group on Kafka, from joining to leaving or being thrown out.

    revoked:   drain (bounded) -> commit -> give up           [called by the client before every rebalance]
    assigned:  read how far the group is -> new generations -> hand out

A partition that this member kept, with nobody in between, keeps its generation unless its work was drained; any other
gets a new one, and what was fetched under the old one is void. The broker refuses commits of a member that it threw
out, so a zombie cannot move the group's progress.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener  # pyright: ignore[reportMissingTypeStubs]
from aiokafka.coordinator.assignors.sticky.sticky_assignor import (  # pyright: ignore[reportMissingTypeStubs]
    StickyPartitionAssignor,
)

from bus.errors import TransientError
from bus.log.kafka_client import Consumer, Partition, client_options, within
from bus.log.kafka_commits import Commits
from bus.log.kafka_fetching import Fetching
from bus.log.kafka_groups import GroupsClient
from bus.log.kafka_reader import KafkaReader
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import Delivery, Drain, Fenced, TopicPartition
from bus.log.progress import PartitionProgress, Standing

__all__ = ["KafkaMember", "Membership"]

log = structlog.get_logger()

_FETCH_BYTES = 8_388_608
"""Of one answer of a broker: what a member holds beyond its records in hand is some twice of it."""

_LONGEST_POLL_MS = 250
"""A broker answers the questions of one connection in order: after a rebalance the first records wait so long at
most. Records that come wake a poll at once."""


class Membership:
    """What a member needs to know of its subscription; the same for all its lives."""

    def __init__(
        self,
        *,
        settings: KafkaSettings,
        group: str,
        topics: Sequence[str],
        name: str,
        drain: Drain | None,
        groups: GroupsClient,
        reader: KafkaReader,
        generations: Iterator[int],
    ) -> None:
        self.settings = settings
        self.group = group
        self.topics = tuple(topics)
        self.name = name
        self.drain = drain
        self.groups = groups
        self.reader = reader
        self.generations = generations


class KafkaMember(ConsumerRebalanceListener):
    """A consumer that has joined. Belongs to one event loop; no lock is held while it fetches."""

    def __init__(self, membership: Membership, incarnation: str, on_trouble: Callable[[], None]) -> None:
        self._of = membership
        self._settings = settings = membership.settings
        self._incarnation = incarnation
        self._on_trouble = on_trouble
        self.fenced = False
        """Another process joined under the same name: for good."""
        self.broken = False
        """To be replaced by another life."""
        self.progress: dict[TopicPartition, PartitionProgress] = {}
        """What is ours, in the generation of each."""
        self._settled = asyncio.Event()
        self._epoch = 0
        self._settling: asyncio.Task[None] | None = None
        self._seat: tuple[str, int] = ("", -1)
        self._committing: asyncio.Task[None] | None = None
        # The assignor remembers in its class what was assigned: two groups in one process would mix theirs up.
        self._assignor: Any = type("Sticky", (StickyPartitionAssignor,), {})
        self._consumer: Any = Consumer(
            **client_options(settings),
            client_id=f"{membership.name}@{incarnation}",
            group_id=settings.topic_prefix + membership.group,
            group_instance_id=settings.static_member or None,
            auto_offset_reset=settings.auto_offset_reset,
            enable_auto_commit=settings.enable_auto_commit,
            isolation_level="read_committed",
            partition_assignment_strategy=(self._assignor,),
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.heartbeat_s * 1000),
            rebalance_timeout_ms=int(settings.rebalance_timeout_s * 1000),
            max_poll_interval_ms=int(settings.max_poll_interval_s * 1000),
            fetch_max_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_LONGEST_POLL_MS,
        )
        self.fetching = Fetching(
            self._consumer,
            prefix=settings.topic_prefix,
            progress=self.progress,
            settled=self._settled,
            on_failure=self._give_up,
        )
        self.commits = Commits(
            self._consumer,
            prefix=settings.topic_prefix,
            group=membership.group,
            progress=self.progress,
            seated=lambda: self._seat_now() == self._seat,
            deadline_s=settings.request_timeout_s,
        )

    # Joining and leaving.

    async def join(self) -> None:
        """Join the group and learn what is ours. Raises TransientError; the caller ends this life then."""
        try:
            async with asyncio.timeout(self._settings.rebalance_timeout_s + self._settings.session_timeout_s):
                if not self._settings.static_member:
                    await self._remove_namesakes()
                self._consumer.subscribe(
                    [self._settings.topic_prefix + topic for topic in self._of.topics], listener=self
                )
                await self._consumer.start()
                self._committing = asyncio.create_task(self.commits.run())
                await self._settled.wait()
        except Exception as error:
            raise TransientError(f"could not join group {self._of.group}: {type(error).__name__}") from error

    async def leave(self) -> None:
        """Commit what is finished and leave the group at once (a static member stays in it until it comes back)."""
        with contextlib.suppress(TransientError, TimeoutError):
            async with asyncio.timeout(self._settings.request_timeout_s):
                await self.commits.flush()
        await self.end()

    async def end(self) -> None:
        """Stop everything, whatever state the client is in."""
        self.progress.clear()
        self.broken = True
        for task in (self._committing, self._settling):
            if task is not None:
                task.cancel()
        try:
            await within(self._settings.request_timeout_s, self._consumer.stop())
        except Exception as error:
            log.warning("a consumer had to be cut off", group=self._of.group, error=type(error).__name__)
            await self._cut_off()
        self._settled.set()
        await self.fetching.end()

    async def _cut_off(self) -> None:
        """A client that hangs goes on beating as if it were alive: its tasks are ended, then its connections."""
        coordinator: Any = getattr(self._consumer, "_coordinator", None)
        fetcher: Any = getattr(self._consumer, "_fetcher", None)
        for owner, names in (
            (coordinator, ("_coordination_task", "_heartbeat_task", "_commit_refresh_task")),
            (fetcher, ("_fetch_task",)),
        ):
            for name in names:
                task: asyncio.Task[Any] | None = getattr(owner, name, None)
                if task is not None:
                    task.cancel()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(1.0):
                await self._consumer._client.close()

    async def _remove_namesakes(self) -> None:
        """A namesake is an earlier life under this name: nobody need wait for its session to run out."""
        try:
            for member_id in await self._namesakes():
                await self._of.groups.remove(self._of.group, member_id, deadline_s=self._settings.request_timeout_s)
        except TransientError as error:
            log.info("an earlier life may still hold its partitions", group=self._of.group, error=type(error).__name__)

    async def _namesakes(self) -> Sequence[str]:
        members = await self._of.groups.members(self._of.group, deadline_s=self._settings.request_timeout_s)
        return [
            member_id
            for member_id, client in members.items()
            if client.rpartition("@")[0] == self._of.name and client.rpartition("@")[2] != self._incarnation
        ]

    # Called by the client.

    async def on_partitions_revoked(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, revoked: Any
    ) -> None:
        """Every rebalance begins here: the client awaits it before it joins again."""
        self._settled.clear()
        self.fetching.clear()
        if self._settling is not None:
            self._settling.cancel()
        if not self.progress:
            return
        if self._seat_now()[1] <= 0:
            # Thrown out: whatever is in hand belongs to others, and nothing may be committed.
            self.progress.clear()
            if await self._was_replaced():
                self.fenced = True
                self._arrive()
                log.error("another process joined under the same name", group=self._of.group, member=self._of.name)
                # Nothing else keeps the client from joining again and robbing the other one.
                raise asyncio.CancelledError
            log.warning("thrown out of the group", group=self._of.group, member=self._of.name)
            return
        if self._of.drain is not None:
            await self._drained(self._of.drain)
        with contextlib.suppress(TransientError):
            await self.commits.flush()
        if self._of.drain is not None:
            # What waited was dropped, so everything is handed out anew, in a new generation.
            self.progress.clear()

    async def on_partitions_assigned(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, assigned: Any
    ) -> None:
        """Every rebalance ends here."""
        before, self._seat = self._seat, self._seat_now()
        kept = dict(self.progress) if self._seat == (before[0], before[1] + 1) else {}
        prefix = len(self._settings.topic_prefix)
        places = [TopicPartition(each.topic[prefix:], each.partition) for each in assigned]
        self._assignor.on_generation_assignment(self._seat[1])
        self._settling = asyncio.create_task(self._settle(places, kept))

    def _seat_now(self) -> tuple[str, int]:
        """Member id and the group's generation, as the client knows them; no public name tells them."""
        coordinator: Any = self._consumer._coordinator
        return coordinator.member_id, coordinator.generation

    async def _was_replaced(self) -> bool:
        while True:
            try:
                return bool(await self._namesakes())
            except TransientError as error:
                log.warning("cannot see who is in the group", group=self._of.group, error=type(error).__name__)

    async def _drained(self, drain: Drain) -> None:
        try:
            async with asyncio.timeout(self._settings.drain_s):
                await drain(frozenset(self.progress))
        except TimeoutError:
            log.warning("work in hand is left to the next owner", group=self._of.group, seconds=self._settings.drain_s)
        except Exception as error:
            log.error("draining failed", group=self._of.group, exc_info=error)

    async def _settle(self, places: Sequence[TopicPartition], kept: Mapping[TopicPartition, PartitionProgress]) -> None:
        """Learn how far the group is with what we were given."""
        try:
            fresh = [place for place in places if place not in kept]
            standings = await self._standings(fresh)
            progress = {place: kept[place] for place in places if place in kept}
            for place in places:
                partition = self._kafka(place)
                # The client begins at the commit; where it is in doubt (a coordinator that still loads) at the start.
                position = await within(self._settings.request_timeout_s, self._consumer.position(partition))
                if place not in progress:
                    standing = standings.get(place)
                    if standing is None:
                        # Committed as it is: from now on the group's share of the log is known to retention.
                        standing = Standing(position)
                        self.commits.note(place)
                    progress[place] = PartitionProgress(generation=next(self._of.generations), standing=standing)
                if position != progress[place].position:
                    self._consumer.seek(partition, progress[place].position)
            self.progress.clear()
            self.progress.update(progress)
            self._arrive()
        except Exception as error:
            log.warning("an assignment could not be taken up", group=self._of.group, exc_info=error)
            self._give_up()

    async def _standings(self, places: Sequence[TopicPartition]) -> Mapping[TopicPartition, Standing]:
        deadline_s = self._settings.request_timeout_s
        while True:
            try:
                standings = await self._of.groups.standings(self._of.group, places, deadline_s=deadline_s)
                _, ends = await self._of.reader.bounds(places, deadline_s=deadline_s)
            except TransientError as error:
                log.warning("cannot see how far the group is", group=self._of.group, error=type(error).__name__)
                continue
            for place, standing in standings.items():
                if standing.next_offset > ends[place]:
                    log.error("the log is shorter than what was finished", topic=place.topic, partition=place.partition)
            return {place: each for place, each in standings.items() if each.next_offset <= ends[place]}

    def _arrive(self) -> None:
        self._epoch += 1
        self._settled.set()

    def _give_up(self) -> None:
        self.broken = True
        self.progress.clear()
        self._arrive()
        self._on_trouble()

    def _kafka(self, place: TopicPartition) -> Partition:
        return Partition(self._settings.topic_prefix + place.topic, place.partition)

    # What is ours.

    @property
    def settled(self) -> bool:
        """Whether this member knows what is its own."""
        return self._settled.is_set()

    async def wait_settled(self, timeout_s: float) -> None:
        """Return when no rebalance is under way, or after `timeout_s`."""
        if not self._settled.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._settled.wait(), timeout_s)

    async def wait_owned(self, timeout_s: float) -> None:
        """Return when `progress` says what is ours: with a drain always, else not in the middle of a rebalance."""
        if self._of.drain is None:
            await self.wait_settled(timeout_s)

    def progress_of(self, delivery: Delivery) -> PartitionProgress | None:
        """The progress to count a delivery on, if the partition is owned in the generation of its fetch."""
        progress = self.progress.get(TopicPartition(delivery.topic, delivery.partition))
        return progress if progress is not None and progress.generation == delivery.generation else None

    async def commit(self, finished: Sequence[Delivery]) -> None:
        """As `Subscription.commit`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.rebalance_timeout_s
        while True:
            await self.wait_owned(deadline - loop.time())
            epoch = self._epoch
            owned = [(each, progress) for each in finished if (progress := self.progress_of(each)) is not None]
            for delivery, progress in owned:
                progress.finish(delivery.offset)
                self.commits.note(TopicPartition(delivery.topic, delivery.partition))
            try:
                await self.commits.flush()
            except Fenced:
                if self._of.drain is not None:
                    raise
                # A rebalance is under way: what we keep is committed after it, what we lose is not ours to commit.
                while self._epoch == epoch and not self.broken:
                    if loop.time() > deadline:
                        raise TransientError("a rebalance did not end") from None
                    await self._unsettled(deadline - loop.time())
                continue
            if len(owned) < len(finished):
                raise Fenced(f"a partition of group {self._of.group} belongs to another member now")
            return

    async def _unsettled(self, timeout_s: float) -> None:
        """Let a rebalance that the broker told us of begin and end."""
        if self._settled.is_set():
            await asyncio.sleep(0.01)
        else:
            await self.wait_settled(timeout_s)
