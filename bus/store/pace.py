"""How fast replies may leave: to one address, and through one channel of a tenant. Over it a reply waits.

One row per limit says when it would be unused again (`free_at`), as in a leaky bucket: each reply moves that moment on
by the time it takes up (`every`), and may do so while the moment lies no further ahead than the bucket is deep
(`room`). So a limit is kept by one guarded write in the transaction that starts the sending, however many processes
send, and the row also says when to come back.
"""

from datetime import datetime

import msgspec
from sqlalchemy import BigInteger, Column, Index, Table, Text, and_, bindparam, case, delete, or_, select

from bus.clock import to_micros
from bus.delivery.outcome import Write
from bus.store.schema import metadata
from bus.store.sql import upsert_with

__all__ = ["Pace", "forget_write", "pace", "pace_of", "pace_write", "wait_s"]

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

_take = upsert_with(
    pace,
    ["tenant", "channel", "recipient"],
    lambda given: (
        {
            "at": given.at,
            "every": given.every,
            "room": given.room,
            "free_at": case(
                (and_(pace.c.free_at > given.at, pace.c.free_at <= given.at + given.room), pace.c.free_at),
                else_=given.at,
            )
            + given.every,
        },
        # Further ahead than a full bucket is where no reply can have put it: a clock went back, nobody waits for it.
        or_(pace.c.free_at <= given.at + given.room, pace.c.free_at > given.at + given.room + given.every),
    ),
)
_forget = delete(pace).where(pace.c.free_at < bindparam("b_before"))

pace_of = select(pace.c.recipient, pace.c.free_at).where(
    pace.c.tenant == bindparam("tenant"),
    pace.c.channel == bindparam("channel"),
    pace.c.recipient.in_(bindparam("recipients", expanding=True)),
)
"""When limits are free again."""


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


def pace_write(limit: Pace, now: datetime, *, tenant: str, channel: str, recipient: str = "") -> Write:
    """Take one reply's share of a limit; guarded: no row changes when there is no room."""
    at = to_micros(now)
    row = {"tenant": tenant, "channel": channel, "recipient": recipient, "at": at, "every": limit.every}
    return Write(statement=_take, params={**row, "room": limit.room, "free_at": at + limit.every}, expect=1)


def wait_s(limit: Pace, free_at: int, now: datetime) -> float:
    """Seconds until one more reply fits; 0 when it fits now."""
    over = free_at - limit.room - to_micros(now)
    return over / 1e6 if 0 < over <= limit.every else 0.0


def forget_write(now: datetime, *, unused_s: float) -> Write:
    """Drop the rows of limits that have been free for so long."""
    return Write(statement=_forget, params={"b_before": to_micros(now) - round(unused_s * 1e6)})
