"""Parked records: what could not be handled now rests in a table, in order, and the log goes on without it.

A record whose lane has waited long enough for a fault to pass is written to `parked` in the transaction that finishes
its delivery. Later records of its key follow it there, so that none overtakes it; records of other keys are not
touched. The member that owns the partition tries the first record of each parked key again and again, at growing
distances; when it succeeds, the others follow in order, and the key is free again.
"""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Table, Text

from bus.store.schema import metadata

__all__ = ["parked"]

parked = Table(
    "parked",
    metadata,
    Column("group_name", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("record_key", Text, primary_key=True),
    Column("log_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", Text, nullable=False),
    Column("record_id", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("headers", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("first_failed_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
)
"""`log_offset` gives the order within a key. `not_before` counts for the first record of a key; the others follow it.

`first_failed_at` is 0 for a record that never failed itself and only waits behind another; `reason` is a class of
error, never the text of an exception. The key of the table begins with what a partition's owner asks for.
"""
