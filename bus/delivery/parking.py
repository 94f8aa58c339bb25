"""Parked records: what could not be handled now rests in a table, in order, and the log goes on without it.

A record whose lane has waited long enough for a fault to pass is written to `parked` in the transaction that finishes
its delivery. Later records of its key follow it there, so that none overtakes it; records of other keys are not
touched. The member that owns the partition tries the first record of each parked key again and again, at growing
distances; when it succeeds, the others follow in order, and the key is free again.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Integer,
    LargeBinary,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    select,
    update,
)

from bus.clock import from_micros, to_micros
from bus.delivery.outcome import Write
from bus.log.port import StoredRecord, TopicPartition
from bus.message import decode, encode
from bus.store.port import Store
from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = ["Line", "ParkedKeys", "ParkedRecord", "park", "parked", "postpone", "release"]

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


class ParkedRecord(StoredRecord, frozen=True, kw_only=True):
    """A record out of the table, in the hands of the partition's owner. `first_failed_at` is None when it never did."""

    attempts: int
    first_failed_at: datetime | None


_PRIMARY = ("group_name", "topic", "partition", "record_key", "log_offset")
_this = and_(*(parked.c[name] == bindparam(f"b_{name}") for name in _PRIMARY))

_insert = insert_ignore(parked, _PRIMARY)
_release = delete(parked).where(_this)
_postpone = (
    update(parked)
    .where(_this, parked.c.attempts == bindparam("b_was"))
    .values(
        attempts=bindparam("b_attempts"),
        not_before=bindparam("b_not_before"),
        first_failed_at=bindparam("b_first_failed_at"),
        reason=bindparam("b_reason"),
    )
)

_firsts = (
    select(parked.c.topic, parked.c.partition, parked.c.record_key, func.min(parked.c.log_offset).label("first"))
    .where(parked.c.group_name == bindparam("group"))
    .group_by(parked.c.topic, parked.c.partition, parked.c.record_key)
    .subquery()
)
_heads = (
    select(parked.c.topic, parked.c.partition, parked.c.record_key, parked.c.not_before, parked.c.at)
    .join(
        _firsts,
        and_(
            parked.c.topic == _firsts.c.topic,
            parked.c.partition == _firsts.c.partition,
            parked.c.record_key == _firsts.c.record_key,
            parked.c.log_offset == _firsts.c.first,
        ),
    )
    .where(parked.c.group_name == bindparam("group"))
)
_head = (
    select(parked)
    .where(
        parked.c.group_name == bindparam("group"),
        parked.c.topic == bindparam("topic"),
        parked.c.partition == bindparam("partition"),
        parked.c.record_key == bindparam("key"),
    )
    .order_by(parked.c.log_offset)
    .limit(1)
)


def park(
    group: str, record: StoredRecord, *, attempts: int, until: datetime, failed_at: datetime | None, reason: str
) -> Write:
    """Lay a record aside that was fetched. To be written with its delivery as source."""
    return Write(
        statement=_insert,
        params={
            "group_name": group,
            "topic": record.topic,
            "partition": record.partition,
            "record_key": record.key,
            "log_offset": record.offset,
            "tenant": record.headers.get("tenant", ""),
            "record_id": record.id,
            "at": record.at,
            "headers": encode(dict(record.headers)).decode(),
            "value": record.value,
            "attempts": attempts,
            "not_before": to_micros(until),
            "first_failed_at": 0 if failed_at is None else to_micros(failed_at),
            "reason": reason,
        },
    )


def release(group: str, record: ParkedRecord) -> Write:
    """Take a record out of the table, in the transaction of its effects: only one member can."""
    return Write(statement=_release, params=_named(group, record), expect=1)


def postpone(
    group: str, record: ParkedRecord, *, attempts: int, until: datetime, failed_at: datetime, reason: str
) -> Write:
    """Leave a record where it is and try it again at `until`, unless another member touched it meanwhile."""
    params = {
        **_named(group, record),
        "b_was": record.attempts,
        "b_attempts": attempts,
        "b_not_before": to_micros(until),
        "b_first_failed_at": to_micros(failed_at),
        "b_reason": reason,
    }
    return Write(statement=_postpone, params=params, expect=1)


def _named(group: str, record: ParkedRecord) -> dict[str, Any]:
    return {
        "b_group_name": group,
        "b_topic": record.topic,
        "b_partition": record.partition,
        "b_record_key": record.key,
        "b_log_offset": record.offset,
    }


class Line(msgspec.Struct, eq=False):
    """The parked records of one key of one topic, as their owner sees them: none of their bytes, only when to look.

    `at` is when the first of them was appended; `awake` means that the first of them, or the next, is in its lane;
    `followed` counts those that were parked behind it since.
    """

    topic: str
    partition: int
    key: str
    generation: int
    not_before: int
    at: int
    awake: bool = False
    followed: int = 0

    @property
    def until(self) -> datetime:
        """When its first record is tried again; in the past while that is being done."""
        return from_micros(self.not_before)


class ParkedKeys:
    """Which keys of a group's partitions are parked, for the member that owns these partitions."""

    def __init__(self, group: str, store: Store) -> None:
        self._group = group
        self._store = store
        self._lines: dict[tuple[str, str], Line] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def line(self, record: StoredRecord) -> Line | None:
        """What the record has to wait behind, or None."""
        return self._lines.get((record.topic, record.key))

    def standing(self) -> dict[tuple[str, int], tuple[int, int]]:
        """By topic and partition: how many keys are parked, and when the oldest of their records was appended."""
        standing: dict[tuple[str, int], tuple[int, int]] = {}
        for line in self._lines.values():
            keys, oldest = standing.get((line.topic, line.partition), (0, line.at))
            standing[line.topic, line.partition] = keys + 1, min(oldest, line.at)
        return standing

    def knows(self, line: Line) -> bool:
        """Whether a key that was parked is still, and still ours."""
        return self._lines.get((line.topic, line.key)) is line

    def rest(self, record: StoredRecord, until: datetime) -> Line:
        """The key's first record is in the table and waits until `until`."""
        line = self._lines[record.topic, record.key] = Line(
            record.topic, record.partition, record.key, record.generation, to_micros(until), record.at
        )
        return line

    def follow(self, record: StoredRecord, until: datetime) -> None:
        """A fetched record is in the table: the first of its key, or behind the first."""
        line = self.line(record)
        if line is None:
            self.rest(record, until)
        else:
            line.followed += 1

    def free(self, line: Line) -> None:
        """Nothing of this key is parked any more."""
        if self.knows(line):
            del self._lines[line.topic, line.key]

    def forget(self, gone: Callable[[str, int], bool]) -> None:
        """Leave the keys of these partitions to their new owner."""
        self._lines = {place: line for place, line in self._lines.items() if not gone(line.topic, line.partition)}

    def due(self, now: datetime, most: int) -> list[Line]:
        """Up to `most` keys whose time has come; they are awake from now on."""
        micros = to_micros(now)
        found = [line for line in self._lines.values() if not line.awake and line.not_before <= micros]
        found = sorted(found, key=lambda line: line.not_before)[:most]
        for line in found:
            line.awake = True
        return found

    async def load(self, generations: Mapping[TopicPartition, int]) -> None:
        """Learn the parked keys of partitions that are owned anew: before any record of theirs is handled."""
        for row in await self._store.all(_heads, {"group": self._group}):
            generation = generations.get(TopicPartition(row["topic"], row["partition"]))
            if generation is not None:
                self._lines[row["topic"], row["record_key"]] = Line(
                    row["topic"], row["partition"], row["record_key"], generation, row["not_before"], row["at"]
                )

    async def first(self, line: Line) -> ParkedRecord | None:
        """The first parked record of a key, or None when there is none left."""
        row = await self._store.one(
            _head, {"group": self._group, "topic": line.topic, "partition": line.partition, "key": line.key}
        )
        if row is None:
            return None
        return ParkedRecord(
            topic=row["topic"],
            partition=row["partition"],
            offset=row["log_offset"],
            at=row["at"],
            key=row["record_key"],
            value=bytes(row["value"]),
            id=row["record_id"],
            headers=decode(row["headers"].encode(), dict[str, str]),
            generation=line.generation,
            attempts=row["attempts"],
            first_failed_at=from_micros(row["first_failed_at"]) if row["first_failed_at"] else None,
        )
