"""Tables that only the distributed engine has: what was finished, and what still has to travel.

The tenant of a row is that of the process that wrote it: tenants that share a database have topics of their own, and
nobody's relay may carry another's records. The inbox alone has no tenant. It holds digests (the tenant is part of what
they are made of) and numbers, and is emptied for all at once.
"""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, LargeBinary, Table, Text

from bus.store.schema import POSTGRESQL, metadata

__all__ = ["INBOX_KEEP_DAYS", "SLOTS", "UNDATED", "appended_once", "inbox", "outbox"]

SLOTS = 64
"""Slots of the inbox, one per day, used round and round."""

UNDATED = SLOTS
"""The slot of records that do not say on which day they came into being."""

INBOX_KEEP_DAYS = 45
"""Longer than a topic keeps records (28 days, and up to 7 more for the segment that they lie in). What is left of
`SLOTS` are days for clocks that are wrong."""

inbox = Table(
    "inbox",
    metadata,
    Column("slot", Integer, primary_key=True, autoincrement=False),
    # Of tenant, group, topic and record id: 16 bytes, whatever the ids are like.
    Column("digest", LargeBinary, primary_key=True),
    # Days since 1970 on which it was finished.
    Column("day", Integer, nullable=False),
    postgresql_partition_by="LIST (slot)",
    info=POSTGRESQL,
)
"""Every delivery that was finished. Its row is written in the transaction of its effects, so they happen once.

The slot is the record's own day modulo `SLOTS`: a copy of the record has the same, and a day is forgotten by emptying
one partition, `inbox_00` to `inbox_64`.
"""

outbox = Table(
    "outbox",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("shard", Integer, primary_key=True, autoincrement=False),
    # Without a cache per session: numbers follow the order in which transactions asked for them.
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    info=POSTGRESQL,
)
"""Records that were decided and still have to be appended (`bus.store.outbox`)."""

appended_once = Table(
    "appended_once",
    metadata,
    Column("tenant", Text, primary_key=True),
    # Of topic and record id.
    Column("digest", LargeBinary, primary_key=True),
    Column("day", Integer, nullable=False),
    Index("ix_appended_once_day", "tenant", "day"),
    info=POSTGRESQL,
)
"""Records appended with `once`, and the day (since 1970) on which they were; kept longer than the records."""
