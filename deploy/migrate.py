"""From the embedded engine to Kafka and PostgreSQL, with all open work: `contactbus migrate`.

    tables            row by row, as they are
    open records      appended to Kafka in the order of the old log; for a group that had finished one, an inbox row
    keys and files    signing key, provider tokens, blobs and letters, where the data folder is another one

Every step may be repeated: rows are inserted or left alone, a record that is appended twice is handled once. So a move
that broke off is simply started again. What every group had finished stays behind; the old log is a way, no archive.
"""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Table, func, select

from bus.clock import Clock
from bus.config import Layered
from bus.delivery.outcome import NOTHING, Outcome, Write
from bus.errors import ConfigurationError
from bus.log.kafka import KafkaLog
from bus.log.kafka_settings import KafkaSettings
from bus.log.partition import partition_of
from bus.log.port import Delivery, Record, TopicPartition
from bus.log.topics import topic as declared
from bus.store.port import Effect, Store
from bus.store.postgres import PostgresStore
from bus.store.postgres_settings import PostgresSettings
from bus.store.schema import tables_of
from bus.store.sql import insert_ignore
from deploy import migrations
from deploy.departments import topics_by_group
from deploy.installation import CARRIED_AT, CARRYING_FROM, agree, note, noted
from deploy.kafka.topics import declared_topics, refuse_unsafe
from deploy.migrate_source import CARRIED_OVER, Open, Source, opened_source, refuse_carried_over
from deploy.migrations.postgres import upgrade
from deploy.presence import present
from deploy.settings import BusSettings, ProductSettings

__all__ = ["Carried", "migrate"]

_OWN = ("process_member", "installation")
"""Tables about the running house itself: the new one has its own."""

Say = Callable[[str], None]


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What was carried over: rows by table, open records by topic, inbox rows of groups that had finished them."""

    rows: Mapping[str, int]
    records: Mapping[str, int]
    inbox: int


async def migrate(layers: Layered, settings: ProductSettings, folder: Path, clock: Clock, say: Say) -> Carried:
    """Carry everything from a data folder to the Kafka and PostgreSQL of the settings.

    Raises ConfigurationError when the folder is in use, the target is not empty or something cannot be carried;
    TransientError when a server went away. Nothing is lost then: the folder is left only when all of it is there.
    """
    bus: BusSettings = layers.section("bus", BusSettings)
    if bus.engine != "kafka":
        raise ConfigurationError('[bus] engine must be "kafka": that is where the work is carried to')
    kafka: KafkaSettings = layers.section("kafka", KafkaSettings)
    postgres: PostgresSettings = layers.section("postgres", PostgresSettings)
    refuse_carried_over(folder)
    topics = declared_topics(settings.channels)
    await refuse_unsafe(kafka, topics)
    await asyncio.to_thread(upgrade, postgres)
    with opened_source(folder, clock) as source:
        log = KafkaLog(kafka, clock=clock)
        store = await PostgresStore.open(postgres, tenant=settings.tenant, clock=clock)
        try:
            carrier = _Carrier(source, log, store, settings.tenant, say)
            await carrier.refuse_foreign_target(clock, topics)
            _carry_files(folder, settings, say)
            await agree(store, settings)
            carried = await carrier.carry(topics_by_group(settings.channels), topics)
            await note(store, settings.tenant, CARRIED_AT, datetime.now(UTC).isoformat(timespec="seconds"))
        finally:
            await log.close()
            await store.close()
        _leave(folder)
    return carried


class _Carrier:
    """Rows and records from one house to the other."""

    def __init__(self, source: Source, log: KafkaLog, store: Store, tenant: str, say: Say) -> None:
        self._source, self._log, self._store, self._tenant, self._say = source, log, store, tenant, say

    async def refuse_foreign_target(self, clock: Clock, topics: Sequence[str]) -> None:
        """Raises ConfigurationError unless the target is empty, or what an earlier try from this folder left."""
        running = await present(self._store, clock, self._tenant)
        if running:
            names = ", ".join(each.member for each in running)
            raise ConfigurationError(f"{names} run on the target: stop them first")
        mark = f"{os.uname().nodename}:{self._source.folder.resolve()}"
        before = await noted(self._store, self._tenant, CARRYING_FROM)
        if before and before != mark:
            raise ConfigurationError("another data folder was carried over to this target before")
        if before:
            self._say("an earlier try is taken up where it broke off")
            return
        for table in _tables():
            if await self._store.one(select(table).limit(1)) is not None:
                raise ConfigurationError(f"the target is not empty: the table {table.name} has rows")
        for place, (count, _) in (await self._log.lag("carry-over", topics)).items():
            if count:
                raise ConfigurationError(f"the target is not empty: the topic {place.topic} has records")
        await note(self._store, self._tenant, CARRYING_FROM, mark)

    async def carry(self, groups: Mapping[str, Sequence[str]], topics: Sequence[str]) -> Carried:
        """Tables, then open records. `groups`: what each group of the new house reads; `topics`: what it has."""
        rows: dict[str, int] = {}
        for table in _tables():
            if count := await self._table(table):
                rows[table.name] = count
                self._say(f"{table.name}: {count} rows")
        records: dict[str, int] = {}
        inbox = 0
        readers = _readers(self._source, groups)
        for place, partition_id in sorted(self._source.partitions().items()):
            appended, finished = await self._partition(place, partition_id, readers.get(place.topic, ()), topics)
            inbox += finished
            if appended:
                records[place.topic] = records.get(place.topic, 0) + appended
        for name, count in records.items():
            self._say(f"{name}: {count} open records")
        return Carried(rows=rows, records=records, inbox=inbox)

    async def _table(self, table: Table) -> int:
        insert = insert_ignore(table, [column.name for column in table.primary_key])
        shift = self._source.last_offset() + 1
        for rows in self._source.rows(table):
            adapted = [_adapted(table, row, self._tenant, shift) for row in rows]
            writes = tuple(Write(statement=insert, params=row) for row in adapted)
            (result,) = await self._store.apply([Effect(outcome=Outcome(writes=writes))])
            if not result.applied:
                raise ConfigurationError(f"rows of the table {table.name} cannot be carried over ({result.reason})")
        found = await self._store.one(select(func.count().label("rows")).select_from(table))
        there, here = found["rows"] if found is not None else 0, self._source.count(table)
        if there != here:
            raise ConfigurationError(f"the table {table.name} has {there} rows on the target instead of {here}")
        return here

    async def _partition(
        self, place: TopicPartition, partition_id: int, groups: Sequence[str], topics: Sequence[str]
    ) -> tuple[int, int]:
        appended = finished = 0
        partitions = declared(place.topic).partitions
        for batch in self._source.open_records(place, partition_id, groups):
            if place.topic not in topics:
                raise ConfigurationError(f"there is open work on {place.topic}; name its channel in product.channels")
            for each in batch:
                if partition_of(each.record.key, partitions) != place.partition:
                    raise ConfigurationError(
                        f"a key of {place.topic} would leave its partition {place.partition}, and its order with it"
                    )
            finished += await self._note_finished(batch)
            await self._log.append([_as_new(each) for each in batch])
            appended += len(batch)
        return appended, finished

    async def _note_finished(self, batch: Sequence[Open]) -> int:
        """Before the records travel: a group that had finished one finds it finished."""
        effects = [
            Effect(outcome=NOTHING, source=Delivery.of(group, each.record))
            for each in batch
            for group in each.finished_by
        ]
        for result in await self._store.apply(effects):
            if not result.applied and result.reason != "duplicate":
                raise ConfigurationError(f"what a group had finished cannot be noted ({result.reason})")
        return len(effects)


def _carry_files(folder: Path, settings: ProductSettings, say: Say) -> None:
    """Keys, blobs and letters into the folders of the new house. Raises ConfigurationError for a key that differs."""
    data = settings.data_dir
    for name, target in (
        ("signing.key", settings.signing_key_file),
        ("twilio_auth_token", data / "twilio_auth_token"),
        ("blobs", settings.blobs_dir),
        ("post", data / "post"),
    ):
        origin = folder / name
        if not origin.exists() or origin.resolve() == target.resolve():
            continue
        if origin.is_dir():
            say(f"{name}: {_copy_tree(origin, target)} files copied to {target}")
        elif not target.exists():
            _copy(origin, target)
            say(f"{name}: copied to {target}")
        elif target.read_bytes() != origin.read_bytes():
            raise ConfigurationError(
                f"{target} is another key than {origin}: links and tokens in customers' hands would be worthless"
            )


def _leave(folder: Path) -> None:
    """Mark the folder, so that nobody goes on working there as well."""
    mark = folder / CARRIED_OVER
    mark.write_text(f"carried over to Kafka and PostgreSQL at {datetime.now(UTC).isoformat(timespec='seconds')}\n")
    _sync(mark)
    _sync(folder)


def _tables() -> list[Table]:
    """What both databases have, rows that stand alone before rows that belong to another's."""
    migrations.all_metadata()
    both = set(tables_of("sqlite")) & set(tables_of("postgresql"))
    chosen = [table for table in tables_of("sqlite") if table in both and table.name not in _OWN]
    return sorted(chosen, key=lambda table: "tenant" not in table.columns)


def _adapted(table: Table, row: dict[str, Any], tenant: str, shift: int) -> dict[str, Any]:
    """A row for the new house, where offsets begin anew."""
    if table.name == "parked":
        # Below every offset of Kafka, in the old order: what is parked there later comes after them.
        row["log_offset"] -= shift
    if row.get("tenant", tenant) == "":
        row["tenant"] = tenant
    if row.get("tenant", tenant) != tenant:
        raise ConfigurationError(f"the folder has rows of the tenant {row['tenant']!r} in {table.name}, not {tenant!r}")
    return row


def _readers(source: Source, groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The groups of each topic: those of the new house, and any other that read it in the old one."""
    found: dict[str, set[str]] = {topic: set(names) for topic, names in source.groups().items()}
    for group, topics in groups.items():
        for topic in topics:
            found.setdefault(topic, set()).add(group)
    return {topic: tuple(sorted(names)) for topic, names in found.items()}


def _as_new(each: Open) -> Record:
    record = each.record
    return Record(topic=record.topic, key=record.key, value=record.value, id=record.id, headers=record.headers)


def _copy_tree(origin: Path, target: Path) -> int:
    copied = 0
    for path in sorted(origin.rglob("*")):
        to = target / path.relative_to(origin)
        if path.is_file() and not to.exists():
            _copy(path, to)
            copied += 1
        elif path.is_dir():
            to.mkdir(parents=True, exist_ok=True)
    return copied


def _copy(origin: Path, target: Path) -> None:
    """Wholly or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    shutil.copy2(origin, part)
    _sync(part)
    part.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
