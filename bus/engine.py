"""An engine as a process sees it: log and store together, whatever carries them.

Embedded, both are one SQLite file; distributed, records travel on Kafka and state lies in PostgreSQL. Everything above
is written against the two ports alone.
"""

from datetime import datetime
from typing import Protocol

from bus.log.port import Log
from bus.store.port import Store

__all__ = ["Engine"]


class Engine(Log, Store, Protocol):
    """Log and store of one process."""

    async def retain(self, now: datetime) -> int:
        """Forget what has outlived its time at `now`; how many rows or records went. Called every hour."""
        ...
