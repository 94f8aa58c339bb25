"""Spool before yes: the durable front of a gateway whose records travel on Kafka.

    adapter -> Spool.append   SQLite, fsync: only now may the channel say yes      (brokers away: without them)
                 run          in order per key, for ever -> publish -> brokers     (deleted `keep_hours` after the ack)

A record leaves the spool when the brokers have it, so it may be published twice and is never lost: readers recognise a
copy by the record's id. What an outage may take of the disk is bounded by the engine's floor of free space alone.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import msgspec
import structlog
from sqlalchemy import select

from bus.adapter.handover import HandOver
from bus.adapter.relay import GROUP, Publish, Relay, RelayLimits
from bus.clock import Clock
from bus.delivery.dead_letters import DeskCase
from bus.errors import TransientError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record
from bus.log.tables import log_partition
from bus.telemetry import Metrics

__all__ = ["Spool", "SpoolSettings"]

log = structlog.get_logger()

_WATCH_S = 1.0
"""How often waiting records are counted, and looked for on topics that another process of this host has begun."""

_RETAIN_EVERY_S = 600.0
"""Rows that may go are deleted so often: a slice of the write lock for every thousand of them."""

_AWAY_AFTER_S = 10.0
"""A broker that dies is replaced within a few seconds; a record that has waited longer waits for a repair."""

_RESTART_S = 1.0
"""A relay that failed as a whole (a lease lost to a stopped machine) begins again after this."""

_topics = select(log_partition.c.topic).distinct()


class SpoolSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[spool]`."""

    publish_timeout_s: Annotated[float, msgspec.Meta(ge=1, le=300)] = 20.0
    """One try to publish. Above the log's own `publish_timeout_s`, so that this is only the net below it."""
    longest_pause_s: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 5.0
    """Between two tries at most: how long after the brokers' return the first record may still wait."""
    hand_over_s: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.25
    """A yes waits so long for brokers that are well: a hundred times what they need, below what a person notices.
    Once in vain, then not again until they take something (see `handover`)."""
    keep_hours: Annotated[float, msgspec.Meta(ge=0, le=168)] = 6.0
    """Published records lie here so long, for whoever asks what this host took and when; then they are deleted."""


class Spool:
    """The writing half of `Log`, for adapters, and the relay behind it. One per process; processes of one host share
    the folder, and whoever lives relays what another left behind.

    `engine` is an embedded engine on a folder of its own with the tables of the house; the caller closes it. `publish`
    appends to the brokers and returns after their acknowledgement; it may be given a record twice.
    It raises PermanentError only for what no broker will ever take. `desk_case` puts such a record before a person.
    """

    def __init__(
        self,
        engine: EmbeddedEngine,
        publish: Publish,
        *,
        member: str,
        clock: Clock,
        metrics: Metrics,
        desk_case: DeskCase,
        settings: SpoolSettings | None = None,
        jitter: random.Random | None = None,
    ) -> None:
        self.engine = engine
        self._settings = settings or SpoolSettings()
        self._clock = clock
        self._metrics = metrics
        self._member = member
        self._relay_parts = (publish, desk_case, jitter or random.Random())  # noqa: S311  jitter is no secret
        self._limits = RelayLimits(
            publish_timeout_s=self._settings.publish_timeout_s, longest_pause_s=self._settings.longest_pause_s
        )
        self._hand_over = HandOver(self._settings.hand_over_s)
        self._known: set[str] = set()
        self._look = asyncio.Event()
        self._retained_at = -_RETAIN_EVERY_S
        self.waiting = 0
        """Records that the brokers do not have yet, as of the last look."""
        self.oldest_s = 0.0
        """Age of the oldest of them."""

    @property
    def away(self) -> bool:
        """Whether the brokers have taken nothing for so long that nobody should wait for a worker's answer."""
        return self.oldest_s > _AWAY_AFTER_S

    async def append(self, records: Sequence[Record], *, once: bool = False) -> Sequence[int | None]:
        """As `Log.append`: durable here when it returns, whatever the brokers do; with them too while they are well.

        0, or None for a known id.

        Raises StorageFull below the floor of free space, PermanentError for a record that no log could carry.
        """
        expected = self._hand_over.expect(records)
        try:
            offsets = await self.engine.append(records, once=once)
        except BaseException:
            self._hand_over.forget(expected)
            raise
        if not self._known.issuperset(record.topic for record in records):
            self._look.set()
        if None in offsets:
            # Taken before: nobody publishes it for this caller.
            self._hand_over.forget(expected)
        else:
            await self._hand_over.wait(records, expected)
        return [None if offset is None else 0 for offset in offsets]

    async def run(self) -> None:
        """Relay until cancelled. Trouble of the brokers is outlived, not raised; what is raised ends every relay, and
        the next `run` begins them all again.
        """
        self._known.clear()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._look.clear()
                for topic in await self._measure():
                    if topic not in self._known:
                        self._known.add(topic)
                        tasks.create_task(self._keep_relaying(topic))
                if self._clock.monotonic() - self._retained_at >= _RETAIN_EVERY_S:
                    self._retained_at = self._clock.monotonic()
                    tasks.create_task(self._retain())
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_WATCH_S):
                        await self._look.wait()

    async def drain(self, timeout_s: float) -> bool:
        """While `run` goes on: wait until the brokers have everything; False when the time was over before.

        What is left is published by another process of this host, or after the next start.
        """
        deadline = self._clock.monotonic() + timeout_s
        while True:
            await self._measure()
            if self.waiting == 0 or self._clock.monotonic() >= deadline:
                return self.waiting == 0
            await asyncio.sleep(0.05)

    async def _keep_relaying(self, topic: str) -> None:
        publish, desk_case, jitter = self._relay_parts
        while True:
            relay = Relay(
                topic, self.engine, publish, member=f"{self._member}/{topic}", clock=self._clock,
                metrics=self._metrics, desk_case=desk_case, jitter=jitter, limits=self._limits,
                hand_over=self._hand_over,
            )  # fmt: skip
            try:
                await relay.run()
            except Exception as error:
                log.error("a relay failed and begins again", topic=topic, exc_info=error)
            await asyncio.sleep(_RESTART_S)

    async def _measure(self) -> Sequence[str]:
        """Count what waits; the topics that there are."""
        topics = [str(row["topic"]) for row in await self.engine.all(_topics)]
        behind = (await self.engine.lag(GROUP, topics)).values()
        self.waiting = sum(count for count, _ in behind)
        self.oldest_s = max((age for _, age in behind), default=0.0)
        self._metrics.spool_waiting.set(self.waiting)
        self._metrics.spool_oldest.set(self.oldest_s)
        return topics

    async def _retain(self) -> None:
        try:
            await self.engine.retain(self._clock.now(), keep=timedelta(hours=self._settings.keep_hours))
        except TransientError as error:
            log.warning("published records could not be deleted", error=type(error).__name__)
