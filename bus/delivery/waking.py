"""Waking parked keys: what of them comes back into its lane, and when a key is free again.

Reads are asked as often as it takes: a key whose next record is not known stays parked, and nothing overtakes it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from bus.clock import Clock
from bus.delivery.limits import RunnerLimits
from bus.delivery.parking import Line, ParkedKeys, ParkedRecord
from bus.log.port import StoredRecord

__all__ = ["Waking"]

log = structlog.get_logger()

T = TypeVar("T")


class Waking:
    """For one flow. `holds` says whether a key has records in a lane."""

    def __init__(
        self, group: str, parking: ParkedKeys, *, clock: Clock, limits: RunnerLimits, holds: Callable[[str], bool]
    ) -> None:
        self._group = group
        self._parking = parking
        self._clock = clock
        self._limits = limits
        self._holds = holds

    async def wake(self, line: Line) -> ParkedRecord | None:
        """The first record of a key whose time has come; None when there is nothing to hand out now."""
        followed = line.followed
        first = await self._surely(lambda: self._parking.first(line))
        if not self._parking.knows(line):
            return None
        if first is None:
            if line.followed == followed and not self._holds(line.key):
                self._parking.free(line)
            else:
                # A member before us released them all, while something was, or is being, parked behind: look again.
                line.awake = False
        return first

    async def behind(self, record: ParkedRecord) -> ParkedRecord | None:
        """What is the first of this record's key now; None, and the key is free or another member's, for nothing."""
        line = self._parking.line(record)
        if line is None or line.generation != record.generation:
            return None
        first = await self._surely(lambda: self._parking.first(line))
        if first is None:
            self._parking.free(line)
        return first if self._parking.knows(line) else None

    async def found_done(self, record: StoredRecord) -> None:
        """The record was finished by a member before us: perhaps by parking it, after we had looked."""
        if self._parking.line(record) is None:
            line = self._parking.rest(record, self._clock.now())
            if await self._surely(lambda: self._parking.first(line)) is None:
                self._parking.free(line)

    async def _surely(self, read: Callable[[], Awaitable[T]]) -> T:
        failures = 0
        while True:
            try:
                return await read()
            except Exception as error:
                failures += 1
                log.warning("parked records could not be read", group=self._group, attempt=failures, exc_info=error)
                await asyncio.sleep(self._limits.pause_s(failures))
