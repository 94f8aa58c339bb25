"""The house that is left: a data folder of the embedded engine, read while nobody else may write to it."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Table

from bus.clock import Clock, to_micros
from bus.errors import ConfigurationError
from bus.log.embedded_groups import LEASE_S
from bus.log.port import StoredRecord, TopicPartition
from bus.log.progress import Standing
from bus.store.sqlite_file import DATABASE_NAME, write_lock
from deploy import migrations

__all__ = ["CARRIED_OVER", "Open", "Source", "opened_source", "refuse_carried_over"]

CARRIED_OVER = "carried-over"
"""A file in a data folder whose work goes on elsewhere: the embedded engine does not start on it any more."""

_SEEN_LATELY_S = 20
_ROWS = 500


class Open(msgspec.Struct, frozen=True, kw_only=True):
    """A record that at least one group has not finished, and the groups that have."""

    record: StoredRecord
    finished_by: tuple[str, ...]


@contextmanager
def opened_source(folder: Path, clock: Clock) -> Iterator["Source"]:
    """Hold a data folder for ourselves alone. Raises ConfigurationError when it is none, or somebody works on it."""
    database = folder / DATABASE_NAME
    if not database.is_file():
        raise ConfigurationError(f"{folder} is no data folder of the embedded engine: it has no {DATABASE_NAME}")
    migrations.upgrade(folder)
    with write_lock(folder):
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            source = Source(folder, connection)
            source.refuse_when_used(clock)
            yield source
        finally:
            connection.close()


def refuse_carried_over(folder: Path) -> None:
    """Raises ConfigurationError for a folder whose work goes on elsewhere: its customers would be answered twice."""
    if (folder / CARRIED_OVER).exists():
        raise ConfigurationError(
            f"the work of {folder} was carried over to Kafka and goes on there;"
            f' set [bus] engine = "kafka", or choose another data folder'
        )


class Source:
    """What lies in the folder. Read only."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection

    def refuse_when_used(self, clock: Clock) -> None:
        """Raises ConfigurationError naming who still works here."""
        boot = _boot()
        since = int((clock.monotonic() - LEASE_S) * 1e6)
        alive = self._all("SELECT DISTINCT member FROM log_member WHERE boot = ? AND heartbeat > ?", boot, since)
        seen = to_micros(clock.now()) - _SEEN_LATELY_S * 1_000_000
        alive += self._all("SELECT member FROM process_member WHERE seen > ?", seen)
        if alive:
            names = ", ".join(sorted({row[0] for row in alive}))
            raise ConfigurationError(f"{self.folder} is in use by {names}: stop these processes first")

    def count(self, table: Table) -> int:
        """Rows of a table."""
        return self._all(f'SELECT count(*) FROM "{table.name}"')[0][0]  # noqa: S608  a table of our own

    def rows(self, table: Table) -> Iterator[list[dict[str, Any]]]:
        """All rows of a table, in slices."""
        names = [column.name for column in table.columns]
        quoted = ", ".join(f'"{name}"' for name in names)
        cursor = self._connection.execute(f'SELECT {quoted} FROM "{table.name}"')  # noqa: S608
        while rows := cursor.fetchmany(_ROWS):
            yield [dict(zip(names, row, strict=True)) for row in rows]

    def partitions(self) -> dict[TopicPartition, int]:
        """The id of every partition that exists."""
        return {
            TopicPartition(topic, number): partition_id
            for partition_id, topic, number in self._all("SELECT id, topic, number FROM log_partition")
        }

    def open_records(self, place: TopicPartition, partition_id: int, groups: Sequence[str]) -> Iterator[list[Open]]:
        """What at least one of the groups that read a partition has not finished, in the order of appending."""
        standings = {group: self._standing(group, partition_id) for group in groups}
        if not standings:
            return
        start = min(standing.next_offset for standing in standings.values())
        cursor = self._connection.execute(
            "SELECT seq, at, key, id, headers, value FROM log WHERE partition_id = ? AND seq >= ? ORDER BY seq",
            (partition_id, start),
        )
        while rows := cursor.fetchmany(_ROWS):
            found: list[Open] = []
            for row in rows:
                finished = tuple(group for group, standing in standings.items() if _is_finished(row[0], standing))
                if len(finished) < len(standings):
                    found.append(Open(record=_record(place, row), finished_by=finished))
            if found:
                yield found

    def groups(self) -> Mapping[str, frozenset[str]]:
        """The groups that ever read each topic."""
        found: dict[str, set[str]] = {}
        for group, topic in self._all(
            "SELECT DISTINCT g.group_name, p.topic FROM log_progress AS g JOIN log_partition AS p"
            " ON p.id = g.partition_id"
        ):
            found.setdefault(topic, set()).add(group)
        return {topic: frozenset(groups) for topic, groups in found.items()}

    def last_offset(self) -> int:
        """The highest offset ever given."""
        rows = self._all("SELECT seq FROM sqlite_sequence WHERE name = 'log'")
        return rows[0][0] if rows else 0

    def _standing(self, group: str, partition_id: int) -> Standing:
        rows = self._all(
            "SELECT next_offset, finished_above FROM log_progress WHERE group_name = ? AND partition_id = ?",
            group,
            partition_id,
        )
        return Standing.of(*rows[0]) if rows else Standing(0)

    def _all(self, sql: str, *params: Any) -> list[Any]:
        return self._connection.execute(sql, params).fetchall()


def _is_finished(offset: int, standing: Standing) -> bool:
    return offset < standing.high and offset not in standing.unfinished


def _record(place: TopicPartition, row: tuple[Any, ...]) -> StoredRecord:
    offset, at, key, record_id, headers, value = row
    return StoredRecord(
        topic=place.topic,
        partition=place.partition,
        offset=offset,
        at=at,
        key=key,
        value=bytes(value),
        id=record_id,
        headers=json.loads(headers),
    )


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""
