"""Runs one worker as a member of its group: joins, fetches, hands over to the flow, and leaves in order."""

import asyncio
import contextlib
import random
from collections.abc import Sequence

import structlog

from bus import faultpoints
from bus.clock import Clock
from bus.delivery.dead_letters import DeskCase
from bus.delivery.deciding import Decider
from bus.delivery.flow import Flow
from bus.delivery.limits import FAULTS, RunnerLimits
from bus.delivery.parking import ParkedKeys
from bus.delivery.retry import RetryPolicy
from bus.delivery.worker import Worker
from bus.errors import TransientError
from bus.log.port import Fenced, Log, StoredRecord, Subscription
from bus.store.port import Store
from bus.telemetry import Metrics
from bus.tracing import Tracing

__all__ = ["RunnerLimits", "WorkerRunner"]

log = structlog.get_logger()

_SIGN_OF_LIFE_S = 5.0
"""With full lanes the log is still asked so often, for nothing: a member that never asks is taken for dead."""

_GATHER_S = 0.002
"""With little room left it is let gather so long: asking the log for every single record costs more than it gives."""

_CROWDED_WAIT_S = 0.05
"""How long a fetch may wait while it leaves partitions out; they may have room again the next moment."""

_LEAVE_S = 1.0
"""Of the time to drain, kept for leaving the group: without it the others wait until a lease has run out."""


class WorkerRunner:
    """One member of a worker's group."""

    def __init__(
        self,
        worker: Worker,
        *,
        log_port: Log,
        store: Store,
        clock: Clock,
        metrics: Metrics,
        member: str,
        desk_case: DeskCase,
        jitter: random.Random,
        retry: RetryPolicy | None = None,
        limits: RunnerLimits | None = None,
        tracing: Tracing | None = None,
        tenant: str = "",
    ) -> None:
        """`tenant` is whose log it is: a record that names none is laid aside and shown under it."""
        self._worker = worker
        self._log = log_port
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._member = member
        self._desk_case = desk_case
        self._jitter = jitter
        self._retry = retry or RetryPolicy()
        self._limits = limits or RunnerLimits()
        self._tracing = tracing
        self._tenant = tenant
        self._drain_s = self._limits.drain_s
        self._stopping = asyncio.Event()

    @property
    def group(self) -> str:
        """The worker's consumer group."""
        return self._worker.group

    @property
    def topics(self) -> Sequence[str]:
        """The topics its worker consumes."""
        return self._worker.topics

    def stop(self, within_s: float | None = None) -> None:
        """Take nothing new; `run` returns when what is in hand is finished, or at the latest after `within_s`."""
        if within_s is not None:
            self._drain_s = within_s
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`. Raises only what makes going on pointless; the caller runs it again or ends the process.

        Each call begins with nothing in hand: what an earlier one did not finish comes back from the log.
        """
        flow = self._new_flow()
        subscription = await self._log.subscribe(self.group, self._worker.topics, member=self._member, drain=flow.drain)
        background = flow.start()
        try:
            await self._fetch_loop(subscription, flow, background)
            leave_by = asyncio.get_running_loop().time() + self._drain_s - _LEAVE_S
            await flow.finish(leave_by - self._limits.commit_s, leave_by)
        finally:
            for task in background:
                task.cancel()
            await flow.close()
            await asyncio.gather(*background, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.commit_s):
                    await subscription.close()

    def _new_flow(self) -> Flow:
        parking = ParkedKeys(self.group, self._store)
        decider = Decider(
            self._worker,
            clock=self._clock,
            metrics=self._metrics,
            desk_case=self._desk_case,
            jitter=self._jitter,
            retry=self._retry,
            parking=parking,
            tracing=self._tracing,
            tenant=self._tenant,
        )
        return Flow(
            self._worker,
            store=self._store,
            clock=self._clock,
            metrics=self._metrics,
            limits=self._limits,
            decider=decider,
            parking=parking,
        )

    async def _fetch_loop(
        self, subscription: Subscription, flow: Flow, background: Sequence[asyncio.Task[None]]
    ) -> None:
        failures = 0
        while not self._stopping.is_set():
            flow.raise_failure()
            for task in background:
                if task.done():
                    task.result()
            if flow.room <= 0 and await flow.moved(_SIGN_OF_LIFE_S):
                continue
            if 0 < flow.room < self._limits.batch:
                await asyncio.sleep(_GATHER_S)
            try:
                records = await self._fetch(subscription, flow)
                failures = 0
            except Fenced:
                raise
            except Exception as error:
                # A log that is away for a while must not end the worker; what is not known to pass has a limit.
                failures += 1
                log.warning("fetch failed", group=self.group, attempt=failures, exc_info=error)
                if failures >= FAULTS and not isinstance(error, TransientError):
                    raise
                await asyncio.sleep(self._limits.pause_s(failures))
                continue
            if records:
                faultpoints.reached("consume.fetched", self.group)
                flow.add(records)

    async def _fetch(self, subscription: Subscription, flow: Flow) -> Sequence[StoredRecord]:
        crowded = flow.crowded
        if flow.room > 0:
            wait_s = _CROWDED_WAIT_S if crowded else self._limits.fetch_wait_s
            records = await subscription.fetch(flow.room, wait_s, paused=crowded)
        else:
            records = await subscription.fetch(1, 0, paused=frozenset(subscription.generations))
        failures = 0
        while subscription.generations != flow.generations:
            try:
                await flow.take_over(subscription.generations)
            except Exception as error:
                # What was just fetched is not fetched again: it waits here until it is known what is parked.
                failures += 1
                log.warning("parked records could not be read", group=self.group, attempt=failures, exc_info=error)
                if self._stopping.is_set():
                    return ()
                await asyncio.sleep(self._limits.pause_s(failures))
        return records
