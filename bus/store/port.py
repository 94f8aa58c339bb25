"""The store port: state beside the log, and the one transaction that carries both.

Statements are SQLAlchemy Core constructs declared once at module level and compiled once. Values are plain: integers,
strings, bytes; times are microseconds (`bus.clock.to_micros`), JSON is text made by `bus.message.encode`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import Executable

from bus.delivery.outcome import Outcome
from bus.log.port import Delivery

__all__ = ["Delivery", "Effect", "Result", "Row", "Store"]

Row = Mapping[str, Any]
"""A row as read, by column name."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What one handled record changes, and which delivery that finishes.

    Without a `source` (an adapter or the desk writes on its own account) no group makes progress.
    """

    outcome: Outcome
    source: Delivery | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`applied`, or the reason why nothing of this effect was done, and its record is not finished.

    - conflict: a guard failed or a unique row exists already; read again and decide again.
    - fenced: the partition belongs to another member now; throw the work away.
    - duplicate: this delivery was finished before; nothing is left to do.
    - invalid: a statement cannot work (missing parameter, NULL where none may be): permanent. `detail` is for logs.
    """

    applied: bool
    reason: str = ""
    detail: str = ""


class Store(Protocol):
    """State, read consistently and changed only through `apply`."""

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """Every row of a select."""
        ...

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        """The first row of a select, or None."""
        ...

    async def by_keys(
        self, statement: Any, column: Any, keys: Sequence[str], params: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        """Every row of a select whose `column` is one of `keys`, in a bounded number of statements.

        Give the columns that stand before `column` in its index as conditions with `params`: without the tenant a
        look-up of ten rows reads the whole table.
        """
        ...

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        """Apply many effects in ONE durable transaction: state, records to emit, timers, and the groups' progress.

        One result per effect, in order. An effect that cannot be applied is rolled back alone, its record does not
        count as finished, and the others are applied. Effects are applied in the order given, the writes of one
        effect in their order. Raises StorageFull and TransientError when nothing at all could be applied.
        """
        ...
