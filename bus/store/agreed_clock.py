"""One time for all hosts of a house: the database's, carried on by each host's own steady clock.

A timer is set by one host and fired by another, and what a person was promised is judged by a third. Host clocks
differ, and jump when somebody mends them. So no wall clock of a host counts: each asks the database what the time is
and goes on from there by its monotonic clock, which nobody sets.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import BigInteger, cast, func, select

from bus.clock import Clock, from_micros
from bus.store.port import Store

__all__ = ["AgreedClock", "time_of"]

log = structlog.get_logger()

_ASK_EVERY_S = 10.0
"""Two quartz clocks part by a millisecond in this time; a machine that was suspended finds back within it."""

_SLOW_S = 1.0
"""An answer that took longer says too little about when it was true."""

_WORTH_TELLING = timedelta(seconds=2)
"""A host that was so wrong should have its clock looked after."""

_time = select(cast(func.extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger).label("now"))


async def time_of(store: Store) -> datetime:
    """What the time is for the PostgreSQL behind a store. Raises TransientError when it does not answer."""
    row = await store.one(_time)
    assert row is not None
    return from_micros(row["now"])


class AgreedClock:
    """A `Clock`. Before the first agreement it is the host's own."""

    def __init__(self, host: Clock) -> None:
        self._host = host
        self._since: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        if self._since is None:
            return self._host.now()
        moment, at = self._since
        return moment + timedelta(seconds=self._host.monotonic() - at)

    def monotonic(self) -> float:
        return self._host.monotonic()

    def agree(self, said: datetime, asked: float, answered: float) -> timedelta:
        """Correct this clock by what the database `said` between two moments of `monotonic`; by how much it was.

        When it said so, between `said` and `said` plus the way there and back had passed: inside that span a
        correction would be noise, and outside it the nearest edge is the least that is certain.
        """
        earliest, latest = said, said + timedelta(seconds=answered - asked)
        ours = self.now() - timedelta(seconds=self.monotonic() - answered)
        wrong = ours - min(max(ours, earliest), latest)
        if self._since is None or wrong:
            self._since = (ours - wrong, answered)
        return wrong

    async def ask(self, database: Callable[[], Awaitable[datetime]]) -> None:
        """Agree once. Raises what `database` raises."""
        asked = self.monotonic()
        said = await database()
        answered = self.monotonic()
        if answered - asked > _SLOW_S and self._since is not None:
            return
        wrong = self.agree(said, asked, answered)
        if abs(wrong) >= _WORTH_TELLING:
            log.warning(
                "this host's clock is wrong; the house goes by the database's", seconds=round(wrong.total_seconds())
            )

    async def keep_asking(self, database: Callable[[], Awaitable[datetime]]) -> None:
        """Agree until cancelled. While the database is away, time goes on by the steady clock."""
        while True:
            try:
                await self.ask(database)
            except Exception as error:
                log.debug("the database does not say what the time is", error=type(error).__name__)
            await asyncio.sleep(_ASK_EVERY_S)
