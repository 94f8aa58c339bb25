"""Forgetting: old records in slices, so that no delete holds the write lock for long."""

from collections.abc import Callable
from datetime import timedelta

import structlog

from bus.log.topics import topic as declared
from bus.store.sqlite_reads import Reads
from bus.store.sqlite_writer import Transaction, Writer

__all__ = ["ONCE_KEEP_DAYS", "Retention"]

log = structlog.get_logger()

_SLICE = 1_000
"""Rows per transaction: some 10 ms of the write lock."""

_DAY_MICROS = 86_400_000_000

_HOLDERS = (
    "SELECT g.group_name FROM log_progress AS g JOIN log AS l ON l.partition_id = g.partition_id"
    " AND l.seq = (SELECT min(seq) FROM log WHERE partition_id = ?1)"
    " WHERE g.partition_id = ?1 AND g.next_offset <= l.seq AND l.at < ?2"
)

ONCE_KEEP_DAYS = 35
"""How long an id appended once is remembered: longer than mail hosts retry (5 days), than a provider's late webhooks,
and than a mailbox that is fetched again after a holiday."""


class Retention:
    """Deletes what is past its time and finished by every group that reads it."""

    def __init__(self, reads: Reads, writer: Writer) -> None:
        self._reads = reads
        self._writer = writer

    async def run(self, now: int, keep: timedelta | None = None) -> int:
        """Delete all that may go at `now` (microseconds); the number of records. `keep` overrides what topics keep."""
        gone = 0
        held: set[tuple[str, str]] = set()
        for partition_id, name in self._reads.rows("SELECT id, topic FROM log_partition ORDER BY id"):
            kept = timedelta(days=declared(name).keep_days) if keep is None else keep
            cutoff = now - kept // timedelta(microseconds=1)
            while last := self._last_to_go(partition_id, cutoff):
                gone += await self._writer.submit(_deletion(partition_id, last))
            held.update((group, name) for (group,) in self._reads.rows(_HOLDERS, (partition_id, cutoff)))
        for group, name in sorted(held):
            # A group that was renamed or given up would keep its records for ever and fill the disk unseen.
            log.warning("a group holds back records past their time", group=group, topic=name)
        day = now // _DAY_MICROS - ONCE_KEEP_DAYS
        while await self._writer.submit(lambda transaction: _forget_once(transaction, day)):
            pass
        return gone

    def _last_to_go(self, partition_id: int, cutoff: int) -> int:
        """The last offset of the next slice, 0 for none. Oldest first: a clock that jumped must not make holes."""
        rows = self._reads.rows(
            "SELECT seq, at FROM log WHERE partition_id = ?1 AND seq < ifnull("
            " (SELECT min(next_offset) FROM log_progress WHERE partition_id = ?1), 9223372036854775807)"
            " ORDER BY seq LIMIT ?2",
            (partition_id, _SLICE),
        )
        last = 0
        for seq, at in rows:
            if at >= cutoff:
                break
            last = seq
        return last


def _deletion(partition_id: int, last: int) -> Callable[[Transaction], int]:
    def work(transaction: Transaction) -> int:
        return transaction.execute("DELETE FROM log WHERE partition_id = ? AND seq <= ?", (partition_id, last)).rowcount

    return work


def _forget_once(transaction: Transaction, day: int) -> int:
    return transaction.execute(
        "DELETE FROM log_once WHERE (topic, id) IN (SELECT topic, id FROM log_once WHERE day < ? LIMIT ?)",
        (day, _SLICE),
    ).rowcount
