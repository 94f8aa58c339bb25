"""Reading the embedded log: records of a partition, heads, lag. On the event loop, each read a snapshot of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bus.log.port import StoredRecord, TopicPartition
from bus.log.progress import Standing
from bus.store.sqlite_reads import Reads

__all__ = ["LogReads", "Owned"]

# One partition at a time: an index over several made SQLite sort the whole backlog for one batch.
_RECORDS = "SELECT seq, at, key, id, headers, value FROM log WHERE partition_id = ? AND seq >= ? ORDER BY seq LIMIT ?"
_ARM = (
    "SELECT * FROM (SELECT partition_id, seq, at, key, id, headers, value FROM log"
    " WHERE partition_id = ? AND seq >= ? ORDER BY seq LIMIT ?)"
)
_OWNED = (
    "SELECT g.partition_id, p.topic, p.number, p.head, g.generation, g.next_offset, g.finished_above"
    " FROM log_progress AS g JOIN log_partition AS p ON p.id = g.partition_id"
    " WHERE g.group_name = ? AND g.member = ?"
)
_HEADS = "SELECT id, topic, number, head, appended FROM log_partition WHERE topic IN (SELECT value FROM json_each(?))"
_PROGRESS = "SELECT next_offset, finished_above FROM log_progress WHERE group_name = ? AND partition_id = ?"
_FROM = "SELECT ordinal, at FROM log WHERE partition_id = ? AND seq >= ? ORDER BY seq LIMIT 1"

_decode_headers = msgspec.json.Decoder(dict[str, str]).decode


class Owned(msgspec.Struct, frozen=True):
    """A partition that a member owns at this moment, as its rows say."""

    partition_id: int
    place: TopicPartition
    head: int
    generation: int
    standing: Standing


class LogReads:
    """Queries of the log."""

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def records(
        self, partition_id: int, place: TopicPartition, start: int, limit: int, generation: int = 0
    ) -> list[StoredRecord]:
        """Records of a partition from an offset on."""
        return [
            StoredRecord(
                topic=place.topic,
                partition=place.partition,
                offset=offset,
                at=at,
                key=key,
                value=value,
                id=record_id,
                headers=_decode_headers(headers) if headers != "{}" else {},
                generation=generation,
            )
            for offset, at, key, record_id, headers, value in self._reads.rows(_RECORDS, (partition_id, start, limit))
        ]

    def records_of(self, wanted: Sequence[tuple[Owned, int]], share: int) -> list[list[StoredRecord]]:
        """Up to `share` records of each partition from its offset on, in one statement: at every statement the driver
        gives up the interpreter, and a busy process takes its time to give it back.
        """
        arms = " UNION ALL ".join([_ARM] * len(wanted))
        params = [value for owned, start in wanted for value in (owned.partition_id, start, share)]
        found: dict[int, list[StoredRecord]] = {owned.partition_id: [] for owned, _ in wanted}
        places = {owned.partition_id: owned for owned, _ in wanted}
        for partition_id, offset, at, key, record_id, headers, value in self._reads.rows(arms, params):
            owned = places[partition_id]
            found[partition_id].append(
                StoredRecord(
                    topic=owned.place.topic,
                    partition=owned.place.partition,
                    offset=offset,
                    at=at,
                    key=key,
                    value=value,
                    id=record_id,
                    headers=_decode_headers(headers) if headers != "{}" else {},
                    generation=owned.generation,
                )
            )
        return list(found.values())

    def owned(self, group: str, member: str) -> list[Owned]:
        """What a member owns now."""
        return [
            Owned(partition_id, TopicPartition(topic, number), head, generation, Standing.of(next_offset, above))
            for partition_id, topic, number, head, generation, next_offset, above in self._reads.rows(
                _OWNED, (group, member)
            )
        ]

    def incarnation(self, group: str, member: str) -> str | None:
        """Who sits under this name, None for nobody."""
        rows = self._reads.rows(
            "SELECT incarnation FROM log_member WHERE group_name = ? AND member = ?", (group, member)
        )
        return rows[0][0] if rows else None

    def heads(self, topics: Sequence[str]) -> dict[TopicPartition, tuple[int, int, int]]:
        """Id, last offset and number of records ever appended, of each partition that exists."""
        rows = self._reads.rows(_HEADS, (msgspec.json.encode(list(topics)).decode(),))
        return {
            TopicPartition(topic, number): (partition_id, head, appended)
            for partition_id, topic, number, head, appended in rows
        }

    def lag(self, group: str, topics: Sequence[str], now: int) -> Mapping[TopicPartition, tuple[int, float]]:
        """Unfinished records and the age of the oldest, by three look-ups per partition and no counting."""
        found: dict[TopicPartition, tuple[int, float]] = {}
        for place, (partition_id, _head, appended) in self.heads(topics).items():
            rows: list[tuple[Any, ...]] = self._reads.rows(_PROGRESS, (group, partition_id))
            standing = Standing.of(*rows[0]) if rows else Standing(0)
            oldest = self._reads.rows(_FROM, (partition_id, standing.next_offset))
            if not oldest:
                found[place] = (0, 0.0)
                continue
            beyond = self._reads.rows(_FROM, (partition_id, standing.high))
            behind = len(standing.unfinished) + (appended - beyond[0][0] + 1 if beyond else 0)
            found[place] = (behind, max(0.0, (now - oldest[0][1]) / 1e6))
        return found
