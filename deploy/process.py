"""A running process: channels, workers, timers and pages on one event loop, started and drained in order."""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable, Sequence

import structlog

from bus.delivery.dead_letters import DeskCase
from bus.delivery.reconciler import Reconciler
from bus.delivery.runner import WorkerRunner
from bus.delivery.sending_settings import SendingSettings
from bus.delivery.timers import TimerService
from bus.delivery.worker import Worker
from bus.errors import TransientError
from bus.http import HttpServer
from bus.tracing import configured
from deploy.channels import HostedChannel
from deploy.core import Core
from deploy.presence import Presence

__all__ = ["DRAIN_S", "Process"]

log = structlog.get_logger()

_WATCH_S = 1.0
_LAG_EVERY = 5
"""Lag is read every fifth look: it costs a query per topic."""
_SETTLED_AFTER = 5
"""Looks after which what was loaded for good is loaded."""
_RETAIN_S = 3600.0

DRAIN_S = 25.0
"""All of stopping fits under the 30 s that orchestrators grant."""
_LEAVE_S = 4.0
"""Of these, kept for leaving the groups and closing the engine: without it others wait for a lease to run out."""
_PRESENCE_S, _SPOOL_S = 1.5, 1.0
_DOORS_S = 8.0
"""Of these, kept for closing doors: sockets, mail sessions, a page that is being sent."""


class Process:
    """Starts parts in the order in which they depend on each other and stops them the other way round."""

    def __init__(
        self,
        core: Core,
        *,
        channels: Sequence[HostedChannel],
        workers: Sequence[Worker],
        http: HttpServer,
        desk_case: DeskCase,
        group: str = "up",
        base_url: str = "",
        asked_to_leave: Callable[[], None] = lambda: None,
    ) -> None:
        self.core = core
        self.channels = list(channels)
        self.http = http
        tracing = configured()
        self._runners = [
            WorkerRunner(
                worker,
                log_port=core.engine,
                store=core.engine,
                clock=core.clock,
                metrics=core.metrics,
                member=core.member,
                desk_case=desk_case,
                jitter=random.Random(),  # noqa: S311  jitter is no secret
                tracing=tracing,
                tenant=core.settings.tenant,
            )
            for worker in (*workers, *(channel.sender for channel in channels))
        ]
        self._with_timers = bool(workers)
        self._doors_s = _DOORS_S if channels else 1.0
        self._draining = False
        self.presence = Presence(
            core.engine,
            core.clock,
            tenant=core.settings.tenant,
            member=core.member,
            group=group,
            runs=[runner.group for runner in self._runners],
            http=base_url,
            asked_to_leave=asked_to_leave,
        )

    async def start(self) -> None:
        """Workers first, doors last: whoever is let in is answered."""
        supervisor = self.core.supervisor
        for name, part in self.core.parts.items():
            supervisor.run(name, part)
        for runner in self._runners:
            supervisor.run(f"group {runner.group}", runner.run)
        if self._with_timers:
            supervisor.run("timers", TimerService(self.core.engine, self.core.clock, self.core.metrics).run)
        if self.channels:
            supervisor.run("reconciler", self._reconciler().run)
        supervisor.run("watch", self._watch)
        supervisor.run("retention", self._retain)
        supervisor.run("presence", self.presence.run)
        for channel in self.channels:
            self.http.add_routes(channel.adapter.routes())
        await asyncio.gather(*(channel.intake.warm() for channel in self.channels))
        await self.http.start()
        for channel in self.channels:
            supervisor.run(f"channel {channel.plugin.manifest.name}", channel.adapter.receive)

    async def stop(self) -> None:
        """Take nothing new, finish what is in hand, commit, close the doors, leave; all of it within `DRAIN_S`.

        What a step does not finish in its time is done after the next start: nothing acknowledged depends on it.
        """
        self._draining = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_S
        supervisor = self.core.supervisor
        await supervisor.stop(*(f"channel {channel.plugin.manifest.name}" for channel in self.channels))
        for runner in self._runners:
            runner.stop(deadline - _LEAVE_S - self._doors_s - loop.time())
        for runner in self._runners:
            left = max(0.1, deadline - _LEAVE_S - self._doors_s - loop.time())
            if not await supervisor.wait(f"group {runner.group}", left):
                log.warning("drain is not complete; the rest is done after the next start", group=runner.group)
        # Last, so that whoever is on the line still hears what was just decided.
        await _within(self._doors_s, self._close_doors, "doors")
        await _within(_PRESENCE_S, self._be_gone, "presence")
        drain = self.core.opened.drain
        if drain is not None:
            # What the brokers do not have yet stays in the spool: another process of this host sends it, or the next.
            await _within(_SPOOL_S + 0.5, lambda: drain(_SPOOL_S), "spool")
        await _within(max(1.0, deadline - loop.time()), self.core.close, "engine")

    async def _be_gone(self) -> None:
        await self.core.supervisor.stop("presence")
        await self.presence.leave()

    async def _close_doors(self) -> None:
        await asyncio.gather(
            *(_quietly(channel.close, f"channel {channel.plugin.manifest.name}") for channel in self.channels)
        )
        await self.http.stop()

    def _reconciler(self) -> Reconciler:
        core = self.core
        return Reconciler(
            [channel.plugin.manifest for channel in self.channels],
            store=core.engine,
            clock=core.clock,
            metrics=core.metrics,
            in_doubt_s=core.settings.in_doubt_s,
            settings=core.layers.section("sending", SendingSettings),
        )

    async def readiness(self) -> dict[str, str]:
        """What is not ready, by name; for `/readyz`."""
        if self._draining:
            return {"process": "draining"}
        missing = {
            name: f"failing ({error})"
            for name, error in self.core.supervisor.failing.items()
            if self._matters(name, error)
        }
        for channel in self.channels:
            name = channel.plugin.manifest.name
            try:
                async with asyncio.timeout(5):
                    health = await channel.adapter.probe()
            except Exception:
                missing[name] = "the check did not answer"
                continue
            if not health.ok:
                missing[name] = health.detail
        return missing

    def _matters(self, part: str, error: str) -> bool:
        """Whether nobody should be sent here because of a part that fails. A gateway with a spool goes on hearing
        people while brokers and database are away: turning them to no gateway at all would be worse.
        """
        has_spool = self.core.opened.local is not None
        return not has_spool or part == "spool" or part.startswith("channel ") or error == "ConfigurationError"

    async def _watch(self) -> None:
        """Loop lag every second; how far each group is behind every few."""
        loop = asyncio.get_running_loop()
        looks = 0
        while True:
            before = loop.time()
            await asyncio.sleep(_WATCH_S)
            self.core.metrics.loop_lag.set(max(0.0, loop.time() - before - _WATCH_S))
            looks += 1
            if looks == _SETTLED_AFTER:
                # Packs, models and modules stay as long as the process: the collector need not look at them again.
                gc.freeze()
            if looks % _LAG_EVERY == 0:
                await self._measure_lag()

    async def _measure_lag(self) -> None:
        for runner in self._runners:
            try:
                lag = await self.core.engine.lag(runner.group, runner.topics)
            except TransientError as error:
                # The old figures stay; they are asked for again in a moment.
                log.warning("lag cannot be measured now", group=runner.group, error=type(error).__name__)
                return
            for partition, (behind, age) in lag.items():
                labels = (runner.group, partition.topic, str(partition.partition))
                self.core.metrics.records_behind.labels(*labels).set(behind)
                self.core.metrics.oldest_unprocessed.labels(*labels).set(age)

    async def _retain(self) -> None:
        while True:
            try:
                await self.core.engine.retain(self.core.clock.now())
            except TransientError as error:
                log.warning("nothing can be forgotten now", error=type(error).__name__)
            await asyncio.sleep(_RETAIN_S)


async def _within(seconds: float, step: Callable[[], Awaitable[object]], name: str) -> None:
    """A step of stopping; one that hangs or fails must not keep the others from their turn."""
    try:
        async with asyncio.timeout(max(0.1, seconds)):
            await step()
    except Exception as error:
        log.error("a part did not close cleanly", name=name, exc_info=error)


async def _quietly(step: Callable[[], Awaitable[None]], name: str) -> None:
    try:
        await step()
    except Exception as error:
        log.error("a part did not close cleanly", name=name, exc_info=error)
