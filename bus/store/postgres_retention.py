"""Forgetting in PostgreSQL: whole days of the inbox by emptying a slot, the rest in slices."""

from typing import Any

import structlog

from bus.store.postgres_errors import Kind, ServerError, raise_if_failed
from bus.store.postgres_sql import command
from bus.store.postgres_tables import INBOX_KEEP_DAYS, SLOTS, UNDATED
from bus.store.postgres_wire import Wire

__all__ = ["ONCE_KEEP_DAYS", "Retention", "slots_to_empty"]

log = structlog.get_logger()

ONCE_KEEP_DAYS = 35
"""How long an id appended once is remembered: longer than mail hosts retry (5 days), than a provider's late webhooks,
and than a mailbox that is fetched again after a holiday."""

_SLICE = 5_000
"""Rows per statement: some 50 ms of their locks."""

_DAY_MICROS = 86_400_000_000

_UNDATED = (
    "DELETE FROM inbox WHERE slot = $1::INTEGER AND digest = ANY (ARRAY("
    "SELECT digest FROM inbox WHERE slot = $1::INTEGER AND day < $2::INTEGER LIMIT $3::INTEGER))"
)
_ONCE = (
    "DELETE FROM appended_once WHERE tenant = $1::VARCHAR AND digest = ANY (ARRAY("
    "SELECT digest FROM appended_once WHERE tenant = $1::VARCHAR AND day < $2::INTEGER LIMIT $3::INTEGER))"
)


def slots_to_empty(today: int) -> list[int]:
    """The slots whose days are past keeping. What lies ahead of today is left alone: clocks may be wrong."""
    ahead = (SLOTS - INBOX_KEEP_DAYS) // 2
    kept = {day % SLOTS for day in range(today - INBOX_KEEP_DAYS, today + ahead + 1)}
    return [slot for slot in range(SLOTS) if slot not in kept]


class Retention:
    """Deletes what is past its time."""

    def __init__(self, tenant: str, wire: Wire) -> None:
        self._tenant = tenant
        self._wire = wire

    async def run(self, now: int) -> int:
        """Forget all that may go at `now` (microseconds); slots emptied and rows deleted. Raises TransientError."""
        today = now // _DAY_MICROS
        gone = 0
        try:
            for slot in slots_to_empty(today):
                gone += await self._empty(f"inbox_{slot:02d}")
            gone += await self._slices(_UNDATED, UNDATED, today - INBOX_KEEP_DAYS)
            gone += await self._slices(_ONCE, self._tenant, today - ONCE_KEEP_DAYS)
        except ServerError as error:
            raise error.translated() from error
        return gone

    async def _empty(self, table: str) -> int:
        # Emptying needs the table for itself: what is empty already is left alone.
        (found,) = await self._run(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608
        if not found.ntuples:
            return 0
        try:
            await self._run(f"TRUNCATE {table}")
        except ServerError as error:
            if error.kind is not Kind.COLLISION:
                raise
            log.warning("a day of the inbox is in use and is emptied later", name=table)
            return 0
        return 1

    async def _slices(self, sql: str, first: Any, before: int) -> int:
        gone = 0
        while True:
            (result,) = await self._run(sql, first, before, _SLICE)
            changed = result.command_tuples or 0
            gone += changed
            if changed < _SLICE:
                return gone

    async def _run(self, sql: str, *values: Any) -> list[Any]:
        results = await self._wire.run([command(sql, values)])
        for result in results:
            raise_if_failed(result)
        return results
