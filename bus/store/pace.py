"""How fast replies may leave: to one address, and through one channel of a tenant. Over it a reply waits for its turn.

One row per limit says when it would be unused again (`free_at`), as in a leaky bucket: each reply moves that moment on
by the time it takes up (`every`), and may leave at once while the moment lies no further ahead than the bucket is deep
(`room`). Otherwise it books its turn: it moves the moment on all the same, and leaves when its own share has drained.
So a limit is kept by one write in the transaction that starts a sending, however many processes send, and a thousand
replies that have to wait come one after another, each looked at once.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Table,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.sql.elements import ColumnElement

from bus.clock import to_micros
from bus.delivery.outcome import Write
from bus.store.schema import metadata
from bus.store.sql import upsert_with

__all__ = ["Pace", "book_write", "forget_write", "pace", "take_write", "turn_of"]

pace = Table(
    "pace",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("channel", Text, primary_key=True),
    Column("recipient", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("every", BigInteger, nullable=False),
    Column("room", BigInteger, nullable=False),
    Column("free_at", BigInteger, nullable=False),
    Index("ix_pace_free_at", "free_at"),
)
"""`recipient` is the digest of an address, empty for the channel as a whole."""

_SKEW = literal_column("60000000", BigInteger)
"""Microseconds by which clocks of hosts may differ. A row that was used later than that has seen a clock that went
back since; nobody waits for it. Written into the statement, which may have no parameters of its own."""


def _advance(given: Any) -> tuple[Mapping[str, Any], ColumnElement[bool]]:
    """The row after one more reply, and whether that one may leave at once."""
    trusted = pace.c.at <= given.at + _SKEW
    used = case((and_(trusted, pace.c.free_at > given.at), pace.c.free_at), else_=given.at)
    values = {"at": given.at, "every": given.every, "room": given.room, "free_at": used + given.every}
    return values, used <= given.at + given.room


_take = upsert_with(pace, ["tenant", "channel", "recipient"], _advance)
_book = upsert_with(pace, ["tenant", "channel", "recipient"], lambda given: (_advance(given)[0], None))
_forget = delete(pace).where(pace.c.free_at < bindparam("b_before"))


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """A limit: `burst` replies at once, after that one every `every_s` seconds."""

    burst: int
    every_s: float

    @property
    def every(self) -> int:
        """Microseconds that one reply takes up."""
        return max(1, round(self.every_s * 1e6))

    @property
    def room(self) -> int:
        """How far ahead of now, in microseconds, the limit may be used up before one more reply is too many."""
        return (self.burst - 1) * self.every


def take_write(limit: Pace, now: datetime, *, tenant: str, channel: str, recipient: str = "") -> Write:
    """Take one reply's share of a limit to leave at once; guarded: no row changes when there is no room."""
    return Write(statement=_take, params=_row(limit, now, tenant, channel, recipient), expect=1)


def book_write(limit: Pace, now: datetime, *, tenant: str, channel: str, recipient: str = "") -> Write:
    """Take one reply's share of a limit to leave when it is drained (`turn_of`, in the same transaction)."""
    return Write(statement=_book, params=_row(limit, now, tenant, channel, recipient))


def _row(limit: Pace, now: datetime, tenant: str, channel: str, recipient: str) -> Mapping[str, Any]:
    at = to_micros(now)
    row = {"tenant": tenant, "channel": channel, "recipient": recipient, "at": at, "every": limit.every}
    return {**row, "room": limit.room, "free_at": at + limit.every}


def turn_of(
    tenant: ColumnElement[str], channel: ColumnElement[str], recipient: ColumnElement[str]
) -> ColumnElement[int]:
    """When the share that was booked last may leave, by the limits of an address and of its channel; for a statement
    that follows the booking in its transaction."""
    limits = or_(pace.c.recipient == recipient, pace.c.recipient == "")
    return (
        select(func.max(pace.c.free_at - pace.c.every - pace.c.room))
        .where(pace.c.tenant == tenant, pace.c.channel == channel, limits)
        .correlate_except(pace)
        .scalar_subquery()
    )


def forget_write(now: datetime, *, unused_s: float) -> Write:
    """Drop the rows of limits that have been free for so long."""
    return Write(statement=_forget, params={"b_before": to_micros(now) - round(unused_s * 1e6)})
