"""Tables that only the distributed engine has: what was finished, and what still has to travel.

None of them has a tenant: like the topics that they stand beside they belong to the transport, which carries the
records of all tenants of an installation. Inbox and `log_once` hold digests and ids, no texts. A record rests in the
outbox for some milliseconds, in the clear, as on the topic that it goes to; whoever relays must see all of them.
"""

from sqlalchemy import BigInteger, Column, Identity, Integer, LargeBinary, Table, Text

from bus.store.schema import POSTGRESQL, metadata

__all__ = ["DAYS", "UNDATED", "inbox", "outbox"]

DAYS = 64
"""Slots of the inbox, one per day, used round and round; more than `INBOX_KEEP_DAYS` and days of clocks that are wrong."""

UNDATED = DAYS
"""The slot of records that do not say when they came into being."""

inbox = Table(
    "inbox",
    metadata,
    Column("slot", Integer, primary_key=True, autoincrement=False),
    # Of group, topic and record id: 16 bytes, whatever the ids are like.
    Column("digest", LargeBinary, primary_key=True),
    # Days since 1970 on which it was finished.
    Column("day", Integer, nullable=False),
    postgresql_partition_by="LIST (slot)",
    info=POSTGRESQL,
)
"""Every delivery that was finished. Its row is written in the transaction of its effects, so they happen once.

The slot is the record's own day modulo `DAYS`: a copy of the record has the same, and a day is forgotten by emptying
one partition, `inbox_00` to `inbox_64`.
"""

outbox = Table(
    "outbox",
    metadata,
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
