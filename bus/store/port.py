"""The store port: state beside the log, and the one transaction that carries both.

Statements are SQLAlchemy Core constructs declared once at module level and compiled once. Values are plain: integers,
strings, bytes; times are microseconds (`bus.clock.to_micros`), JSON is text made by `bus.message.encode`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import Executable

from bus.delivery.outcome import Outcome
from bus.log.port import Progress

__all__ = ["Effect", "Result", "Row", "Store"]

Row = Mapping[str, Any]
"""A row as read, by column name."""


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What one handled record changes. `source` names it: topic, record id."""

    outcome: Outcome
    source: str = ""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """`applied`, or the reason why not: conflict (a guard failed: decide again) or fenced."""

    applied: bool
    reason: str = ""


class Store(Protocol):
    """State, read consistently and changed only through `apply`."""

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        """Every row of a select."""
        ...

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        """The first row of a select, or None."""
        ...

    async def by_keys(self, statement: Any, column: Any, keys: Sequence[str]) -> Sequence[Row]:
        """Every row of a select whose `column` is one of `keys`, in a bounded number of statements."""
        ...

    async def apply(self, effects: Sequence[Effect], progress: Sequence[Progress] = ()) -> Sequence[Result]:
        """Apply many outcomes in ONE durable transaction: state, records to emit, timers and progress of the group.

        An effect whose guard fails is rolled back alone and reported as a conflict; progress must then not include its
        record: the engine calls `progress` only with what the caller says. When a partition of `progress` is fenced,
        nothing at all is applied and every result says so.
        """
        ...
