"""Tables of the embedded log, and the timers that lie beside it."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint

from bus.store.schema import SQLITE, metadata

__all__ = ["log", "log_member", "log_once", "log_partition", "log_progress", "timer"]

log = Table(
    "log",
    metadata,
    # The offset. AUTOINCREMENT, because retention may empty the log and an offset must never be given twice.
    Column("seq", Integer, primary_key=True),
    Column("partition_id", Integer, nullable=False),
    # Dense number within the partition: the difference of two of them is a count, so lag needs no counting.
    Column("ordinal", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("headers", Text, nullable=False),
    # Last, so that the short columns are read without walking the overflow pages of the value.
    Column("value", LargeBinary, nullable=False),
    # SQLite appends the row id to every index: this one is (partition_id, seq), read one partition at a time.
    Index("ix_log_partition_id", "partition_id"),
    sqlite_autoincrement=True,
    info=SQLITE,
)
"""Every record of every topic, in the order of appending."""

log_partition = Table(
    "log_partition",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("head", BigInteger, nullable=False),
    Column("appended", BigInteger, nullable=False),
    UniqueConstraint("topic", "number"),
    info=SQLITE,
)
"""Partitions that exist, the last offset of each and how many records it ever took. Their number never changes."""

log_progress = Table(
    "log_progress",
    metadata,
    Column("group_name", Text, primary_key=True),
    Column("partition_id", Integer, primary_key=True),
    Column("member", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    Column("finished_above", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
    info=SQLITE,
)
"""How far a group has finished a partition, who reads it now (empty: nobody), and in which generation.

`finished_above` says what is finished above `next_offset`, by naming what is not (`bus.log.progress`).
"""

log_member = Table(
    "log_member",
    metadata,
    Column("group_name", Text, primary_key=True),
    Column("member", Text, primary_key=True),
    # Tells a restarted process from the one before under the same name.
    Column("incarnation", Text, nullable=False),
    # The heartbeat is the monotonic clock, which starts anew with each boot of the machine.
    Column("boot", Text, nullable=False),
    Column("heartbeat", BigInteger, nullable=False),
    Column("topics", Text, nullable=False),
    sqlite_with_rowid=False,
    info=SQLITE,
)
"""Members of groups, with their last sign of life."""

log_once = Table(
    "log_once",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("day", Integer, nullable=False),
    Index("ix_log_once_day", "day"),
    sqlite_with_rowid=False,
    info=SQLITE,
)
"""Ids appended with `once`, and the day (since 1970) on which they were; kept longer than the records."""

timer = Table(
    "timer",
    metadata,
    Column("id", Text, primary_key=True),
    Column("due", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Index("ix_timer_due", "due"),
)
"""Durable timers that are still to fire."""
