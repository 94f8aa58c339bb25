"""Appending to the embedded log: offsets, counters and rows, inside the writer's transaction.

Rows are collected while the jobs of a transaction run and written at its end, many rows per statement: the driver
gives up the interpreter at every statement, and a busy event loop takes its time to give it back.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from bus.errors import PermanentError
from bus.log.partition import partition_of
from bus.log.port import Record, TopicPartition
from bus.log.topics import topic as declared
from bus.store.sqlite_writer import Transaction

__all__ = ["Appender", "Entry", "entry_of"]

MAX_RECORD_BYTES = 1_048_576
"""Kafka's default limit: what is taken here can travel there too. Larger parts are blobs."""

_DAY_MICROS = 86_400_000_000

_COLUMNS = "(seq, partition_id, ordinal, at, key, id, headers, value)"
_ROW = "(?,?,?,?,?,?,?,?)"
_CHUNKS = (256, 32, 4, 1)
"""Rows per statement: few texts for the driver to cache, few statements for any number of rows."""

_INSERT = {count: f"INSERT INTO log {_COLUMNS} VALUES {','.join([_ROW] * count)}" for count in _CHUNKS}  # noqa: S608

_headers = msgspec.json.Encoder()


class Entry(msgspec.Struct, frozen=True):
    """A record made ready for its row, on the event loop, so that nothing can fail on its text in the transaction."""

    topic: str
    key: str
    id: str
    at: int
    headers: str
    value: bytes


def entry_of(record: Record, at: int) -> Entry:
    """The row of a record. Raises PermanentError for one that no log could carry."""
    if type(record.value) is not bytes or len(record.value) > MAX_RECORD_BYTES:
        raise PermanentError(f"the value of record {record.id!r} must be bytes, at most {MAX_RECORD_BYTES}")
    try:
        headers = _headers.encode(record.headers).decode() if record.headers else "{}"
        for text in (record.topic, record.key, record.id):
            if not text.isascii():
                text.encode()
    except (UnicodeEncodeError, msgspec.MsgspecError, TypeError) as error:
        raise PermanentError(f"record {record.id!r} cannot be written: {error}") from error
    return Entry(record.topic, record.key, record.id, at, headers, record.value)


class _Head:
    """A partition's counters, as the open transaction will leave them."""

    __slots__ = ("appended", "head", "partition_id", "topic")

    def __init__(self, topic: str, partition_id: int, head: int, appended: int) -> None:
        self.topic = topic
        self.partition_id = partition_id
        self.head = head
        self.appended = appended


class Appender:
    """Gives offsets and writes rows. Lives in the writer's thread.

    `tell` is called before a commit with the transaction, the topics that it appends to and the new last offset of each
    partition.
    """

    def __init__(self, tell: Callable[[Transaction, frozenset[str], Mapping[int, int]], None]) -> None:
        self._tell = tell
        self._transaction: Transaction | None = None
        self._epoch = -1
        self._next = -1
        self._topics: dict[str, list[_Head]] = {}
        self._rows: list[tuple[Any, ...]] = []
        self._before: list[tuple[_Head, int]] = []

    def append(self, transaction: Transaction, entries: Sequence[Entry]) -> list[int]:
        """Append entries at the end of this transaction; their offsets."""
        self._enter(transaction)
        if self._next < 0:
            row = transaction.execute("SELECT seq FROM sqlite_sequence WHERE name='log'").fetchone()
            self._next = row[0] + 1 if row else 1
        mark = len(self._rows)
        transaction.on_undo(lambda: self._undo_to(mark))
        offsets: list[int] = []
        for entry in entries:
            heads = self._topics.get(entry.topic) or self._load(transaction, entry.topic)
            head = heads[partition_of(entry.key, len(heads))]
            self._before.append((head, head.head))
            offset = head.head = self._next
            self._next += 1
            head.appended += 1
            offsets.append(offset)
            self._rows.append(
                (
                    offset, head.partition_id, head.appended, entry.at, entry.key, entry.id, entry.headers, entry.value,
                )
            )  # fmt: skip
        return offsets

    def append_once(self, transaction: Transaction, entries: Sequence[Entry]) -> list[int | None]:
        """As `append`, but entries whose (topic, id) was appended so before are left out: their offset is None."""
        fresh: list[Entry] = []
        places: list[int] = []
        for place, entry in enumerate(entries):
            # One look-up and one row in one statement: asking first cost as much again, and doors bring one at a time.
            row = (entry.topic, entry.id, entry.at // _DAY_MICROS)
            if transaction.execute("INSERT OR IGNORE INTO log_once (topic, id, day) VALUES (?,?,?)", row).rowcount:
                fresh.append(entry)
                places.append(place)
        offsets: list[int | None] = [None] * len(entries)
        for place, offset in zip(places, self.append(transaction, fresh), strict=True):
            offsets[place] = offset
        return offsets

    def partitions(self, transaction: Transaction, topic: str) -> list[tuple[int, TopicPartition]]:
        """Id and name of a topic's partitions, which exist from now on."""
        self._enter(transaction)
        heads = self._topics.get(topic) or self._load(transaction, topic)
        return [(head.partition_id, TopicPartition(topic, number)) for number, head in enumerate(heads)]

    def _enter(self, transaction: Transaction) -> None:
        if self._transaction is transaction:
            return
        self._transaction = transaction
        self._rows, self._before = [], []
        if transaction.epoch != self._epoch:
            self._epoch = transaction.epoch
            self._forget()
        transaction.before_commit(lambda: self._write(transaction))

    def _forget(self) -> None:
        self._next = -1
        self._topics = {}

    def _load(self, transaction: Transaction, topic: str) -> list[_Head]:
        select = "SELECT id, head, appended FROM log_partition WHERE topic = ? ORDER BY number"
        found = transaction.execute(select, (topic,)).fetchall()
        if not found:
            transaction.executemany(
                "INSERT INTO log_partition (topic, number, head, appended) VALUES (?,?,0,0)",
                [(topic, number) for number in range(declared(topic).partitions)],
            )
            # When this attempt is undone the rows are gone: what is remembered of them must go as well.
            transaction.on_undo(lambda: self._unload(topic))
            found = transaction.execute(select, (topic,)).fetchall()
        heads = self._topics[topic] = [_Head(topic, *row) for row in found]
        return heads

    def _unload(self, topic: str) -> None:
        self._topics.pop(topic, None)

    def _undo_to(self, mark: int) -> None:
        while len(self._rows) > mark:
            self._rows.pop()
            head, before = self._before.pop()
            head.head = before
            head.appended -= 1
            self._next -= 1

    def _write(self, transaction: Transaction) -> None:
        rows = self._rows
        if not rows:
            return
        start = 0
        for count in _CHUNKS:
            while len(rows) - start >= count:
                values = [value for row in rows[start : start + count] for value in row]
                transaction.execute(_INSERT[count], values)
                start += count
        touched = list({id(head): head for head, _ in self._before}.values())
        transaction.executemany(
            "UPDATE log_partition SET head = ?, appended = ? WHERE id = ?",
            [(head.head, head.appended, head.partition_id) for head in touched],
        )
        topics = frozenset(head.topic for head in touched)
        heads = {head.partition_id: head.head for head in touched}
        self._tell(transaction, topics, heads)
