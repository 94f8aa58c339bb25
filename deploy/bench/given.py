"""A worker's runtime around a measurement: a store that only counts, and a runner with nothing of the house in it."""

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bus.clock import Clock, SystemClock
from bus.delivery.outcome import Outcome
from bus.delivery.runner import RunnerLimits, WorkerRunner
from bus.delivery.worker import Worker
from bus.log.port import Log, StoredRecord
from bus.store.port import Effect, Result, Row, Store
from bus.telemetry import Metrics

__all__ = ["Finishing", "runner_of"]

_APPLIED = Result(applied=True)


class Finishing(Store):
    """A store without state: applying is `finish`, which tells the log what is done."""

    def __init__(self, finish: Callable[[Sequence[Effect]], Awaitable[None]]) -> None:
        self._finish = finish

    async def all(self, statement: Any, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        return []

    async def one(self, statement: Any, params: Mapping[str, Any] | None = None) -> Row | None:
        return None

    async def by_keys(
        self, statement: Any, column: Any, keys: Sequence[str], params: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        return []

    async def close(self) -> None:
        """There is nothing to close."""

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        await self._finish(effects)
        return [_APPLIED] * len(effects)


def _no_dead_letters(record: StoredRecord, *_: Any, **__: Any) -> Outcome:
    raise AssertionError(f"record {record.id} of a measurement was given up")


def runner_of(
    worker: Worker, log: Log, store: Store, *, clock: Clock | None = None, limits: RunnerLimits | None = None
) -> WorkerRunner:
    """The product's own runner."""
    return WorkerRunner(
        worker,
        log_port=log,
        store=store,
        clock=clock or SystemClock(),
        metrics=Metrics(),
        member="bench",
        desk_case=_no_dead_letters,
        jitter=random.Random(0),  # noqa: S311  jitter is no secret
        limits=limits,
    )
