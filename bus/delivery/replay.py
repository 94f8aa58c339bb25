"""Deciding again what was decided before, without any effect: what would a worker say to last week's records today?

The records of a time or with certain ids are read from the log and handed to a worker, as a group of its own that
keeps no progress. Of what it decides nothing is applied; it is compared with what lies in the log and in the send
ledger. A decision may read state: it sees the state of today, not that of then, and is reported as what it is.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from bus.clock import from_micros, to_micros
from bus.delivery.ledger import reply_row
from bus.delivery.outcome import Outcome, SetTimer
from bus.delivery.retry import error_class
from bus.delivery.worker import Worker
from bus.log.port import Log, Record, StoredRecord
from bus.log.topics import topic as declared
from bus.message import Reply
from bus.store.port import Store

__all__ = ["Emitted", "Range", "Replayed", "Replied", "replay"]

_PAGE = 200
"""Records read, prepared and decided at a time."""


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Which records: appended from `start` until before `end`, and, when there are `ids`, only those."""

    start: datetime | None = None
    end: datetime | None = None
    ids: frozenset[str] = frozenset()

    def holds(self, record: StoredRecord) -> bool:
        """Whether a record is meant."""
        if self.ids and record.id not in self.ids:
            return False
        if self.start is not None and record.at < to_micros(self.start):
            return False
        return self.end is None or record.at < to_micros(self.end)


class Emitted(msgspec.Struct, frozen=True, kw_only=True):
    """A record that would be emitted. `was` is the topic on which the log has it under this id, or `absent`.

    `differs` names the fields of its value that are not as they were.
    """

    topic: str
    key: str
    id: str
    was: str
    differs: tuple[str, ...] = ()


class Replied(msgspec.Struct, frozen=True, kw_only=True):
    """A reply that would be planned. `was` is its state in the send ledger, or `absent`: it would be a new one."""

    id: str
    channel: str
    kind: str
    language: str
    text: str
    was: str


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker decided on one record this time. `failed` is the class of its error, or nothing.

    `different` when anything that leaves the worker is not what the log and the ledger have: a record or a reply that
    is absent, lies elsewhere or has another content. Changes of state and timers are counted, not compared.
    """

    group: str
    topic: str
    partition: int
    offset: int
    at: datetime
    record: str
    key: str
    different: bool
    failed: str = ""
    replies: tuple[Replied, ...] = ()
    emitted: tuple[Emitted, ...] = ()
    writes: int = 0
    timers: tuple[str, ...] = ()


async def replay(
    worker: Worker,
    *,
    log_port: Log,
    store: Store,
    topics: Sequence[str],
    wanted: Range,
    elsewhere: Callable[[str], Sequence[str]] = lambda topic: (topic,),
) -> AsyncIterator[tuple[Replayed, tuple[Reply, ...]]]:
    """Each record with what is decided on it now, and the replies as they would be sent; partition by partition.

    `elsewhere` names the topics on which a record of one topic may lie as well, were it decided otherwise. What a
    topic of results holds is kept in memory as digests while this runs: some hundred bytes a record.
    """
    known = _Known(log_port, elsewhere)
    for topic in topics:
        for partition in range(declared(topic).partitions):
            async for page in _pages(log_port, topic, partition):
                batch = [record for record in page if wanted.holds(record)]
                if not batch:
                    continue
                await worker.prepare(batch)
                for record in batch:
                    yield await _again(worker, record, store, known)


async def _pages(log_port: Log, topic: str, partition: int) -> AsyncIterator[Sequence[StoredRecord]]:
    start = 0
    while page := await log_port.read(topic, partition, start=start, limit=_PAGE):
        yield page
        start = page[-1].offset + 1


async def _again(
    worker: Worker, record: StoredRecord, store: Store, known: "_Known"
) -> tuple[Replayed, tuple[Reply, ...]]:
    place: dict[str, Any] = {
        "group": f"shadow/{worker.group}",
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "at": from_micros(record.at),
        "record": record.id,
        "key": record.key,
    }
    try:
        outcome = await worker.handle(record)
    except Exception as error:
        return Replayed(**place, different=True, failed=error_class(error)), ()
    replies = tuple([await _compared(reply, store) for reply in outcome.replies])
    emitted = tuple([await known.compare(each) for each in outcome.emit])
    different = any(reply.was == "absent" for reply in replies) or any(
        each.was != each.topic or each.differs for each in emitted
    )
    return (
        Replayed(
            **place,
            different=different,
            replies=replies,
            emitted=emitted,
            writes=len(outcome.writes),
            timers=_timers(outcome),
        ),
        outcome.replies,
    )


def _timers(outcome: Outcome) -> tuple[str, ...]:
    return tuple(f"{'set' if isinstance(timer, SetTimer) else 'cancel'} {timer.id}" for timer in outcome.timers)


async def _compared(reply: Reply, store: Store) -> Replied:
    row = await store.one(reply_row, {"reply": reply.id})
    return Replied(
        id=reply.id,
        channel=reply.channel,
        kind=reply.kind,
        language=reply.language,
        text=reply.text,
        was="absent" if row is None else row["state"],
    )


class _Known:
    """What the log holds of results, read once for each topic."""

    def __init__(self, log_port: Log, elsewhere: Callable[[str], Sequence[str]]) -> None:
        self._log = log_port
        self._elsewhere = elsewhere
        self._read: set[str] = set()
        self._places: dict[str, list[tuple[str, int, int]]] = {}

    async def compare(self, record: Record) -> Emitted:
        """Beside what was emitted then."""
        topics = self._elsewhere(record.topic)
        for topic in topics:
            await self._learn(topic)
        places = [place for place in self._places.get(record.id, ()) if place[0] in topics]
        if not places:
            return Emitted(topic=record.topic, key=record.key, id=record.id, was="absent")
        same = [place for place in places if place[0] == record.topic]
        topic, partition, offset = (same or places)[-1]
        (then,) = await self._log.read(topic, partition, start=offset, limit=1)
        return Emitted(
            topic=record.topic, key=record.key, id=record.id, was=topic, differs=_differences(then.value, record.value)
        )

    async def _learn(self, topic: str) -> None:
        if topic in self._read:
            return
        self._read.add(topic)
        for partition in range(declared(topic).partitions):
            async for page in _pages(self._log, topic, partition):
                for record in page:
                    self._places.setdefault(record.id, []).append((topic, partition, record.offset))


def _differences(then: bytes, now: bytes) -> tuple[str, ...]:
    """The fields of two JSON objects that are not equal."""
    if then == now:
        return ()
    try:
        was = msgspec.json.decode(then, type=dict[str, Any])
        is_ = msgspec.json.decode(now, type=dict[str, Any])
    except msgspec.DecodeError:
        return ("value",)
    return tuple(sorted(name for name in {*was, *is_} if was.get(name) != is_.get(name)))
