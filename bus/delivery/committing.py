"""Group commit: what was decided about many records is one transaction, and its results say what follows for each.

While one transaction runs, the decisions of the next collect: the batch grows with the load and needs no timer.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum, auto

import structlog

from bus import faultpoints
from bus.delivery.deciding import Decided
from bus.delivery.limits import FAULTS, RunnerLimits
from bus.delivery.outcome import NOTHING
from bus.delivery.parking import ParkedRecord
from bus.delivery.retry import Park
from bus.errors import TransientError
from bus.log.port import Delivery
from bus.store.port import Effect, Result, Store
from bus.telemetry import Metrics

__all__ = ["GroupCommit", "Next", "effect_of", "next_of"]

log = structlog.get_logger()


class Next(Enum):
    """What follows for a record once its transaction has answered."""

    LET_GO = auto()
    """It is settled, or another member's by now, who decides it anew."""
    LAID_ASIDE = auto()
    """It rests in the table of parked records."""
    KEY_GOES_ON = auto()
    """A parked record is settled: what was parked behind it is next."""
    FOUND_DONE = auto()
    """A member before us had finished it."""
    ROW_MOVED = auto()
    """A guard failed, and perhaps that of the parked record's own row."""
    REFUSED = auto()
    """Its outcome cannot be applied as it was decided."""


def next_of(decided: Decided, result: Result) -> Next:
    """What follows from the result of a transaction for what was decided in it."""
    parked = isinstance(decided.record, ParkedRecord)
    if result.applied:
        if isinstance(decided.verdict, Park):
            return Next.LAID_ASIDE
        return Next.KEY_GOES_ON if parked else Next.LET_GO
    if result.reason == "fenced":
        return Next.LET_GO
    if result.reason == "duplicate":
        return Next.FOUND_DONE
    return Next.ROW_MOVED if parked and result.reason == "conflict" else Next.REFUSED


def effect_of(group: str, decided: Decided) -> Effect:
    """What the store is asked to apply."""
    record = decided.record
    if isinstance(record, ParkedRecord):
        # Its delivery was finished when it was parked; what is guarded now is its row.
        return Effect(outcome=decided.outcome)
    return Effect(outcome=decided.outcome, source=Delivery.of(group, record))


class GroupCommit:
    """Applies what is added, one transaction after the other. `settle` is told each result, then `settled` is called
    once; both on the event loop, after the commit.
    """

    def __init__(
        self,
        group: str,
        store: Store,
        *,
        limits: RunnerLimits,
        metrics: Metrics,
        settle: Callable[[Decided, Result], None],
        settled: Callable[[], None],
    ) -> None:
        self._group = group
        self._store = store
        self._limits = limits
        self._metrics = metrics
        self._settle = settle
        self._settled = settled
        self._decided: list[Decided] = []
        self._waiting = asyncio.Event()
        self._applying = False

    @property
    def busy(self) -> bool:
        """Whether anything that was added is not settled yet."""
        return self._applying or bool(self._decided)

    def add(self, decided: Decided) -> None:
        """Apply this with the next transaction."""
        self._decided.append(decided)
        self._waiting.set()

    async def run(self) -> None:
        """For ever. Raises when the store fails for a reason that is not known to pass."""
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            decided, self._decided = self._decided, []
            self._applying = True
            faultpoints.reached("outcome.decided", self._group)
            results = await self._apply([effect_of(self._group, each) for each in decided])
            faultpoints.reached("outcome.applied", self._group)
            words: Counter[str] = Counter()
            for each, result in zip(decided, results, strict=True):
                words[result.reason or ("nothing" if each.outcome is NOTHING else "done")] += 1
                self._settle(each, result)
            self._applying = False
            for word, count in words.items():
                self._metrics.handled.labels(self._group, word).inc(count)
            self._settled()

    async def _apply(self, effects: list[Effect]) -> Sequence[Result]:
        failures = 0
        while True:
            try:
                return await self._store.apply(effects)
            except Exception as error:
                failures += 1
                log.error("transaction failed", group=self._group, attempt=failures, count=len(effects), exc_info=error)
                if failures >= FAULTS and not isinstance(error, TransientError):
                    raise
                await asyncio.sleep(self._limits.pause_s(failures))
