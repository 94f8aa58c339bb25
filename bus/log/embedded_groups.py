"""Membership of groups, as jobs for the writer: join, leave, beat, and who reads what afterwards.

A member is a row with a heartbeat of the monotonic clock. Whoever writes next to a group throws out members whose
lease is over and shares the partitions anew. A partition's generation rises whenever its owner changes, and every
progress is written only under the generation of its fetch: what a lost member still decides is void.
"""

import os
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bus.clock import Clock
from bus.log.embedded_append import Appender
from bus.log.embedded_assignment import assign
from bus.log.port import TopicPartition
from bus.store.sqlite_writer import Transaction

__all__ = ["HEARTBEAT_S", "LEASE_S", "Groups", "Seat"]

LEASE_S = 5.0
"""After this long without a heartbeat a member counts as dead. Live channels wait no longer for a crashed worker."""

HEARTBEAT_S = 1.0
"""Four heartbeats may be late before the lease is over."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Seat(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a group, in this incarnation."""

    group: str
    member: str
    topics: tuple[str, ...]
    incarnation: str = msgspec.field(default_factory=lambda: f"{os.getpid()}-{uuid.uuid4().hex}")


class Groups:
    """Jobs on the tables of membership. Lives in the writer's thread.

    `tell` is called with a transaction that changes owners.
    """

    def __init__(self, appender: Appender, clock: Clock, tell: Callable[[Transaction], None]) -> None:
        self._tell = tell
        self._appender = appender
        self._clock = clock
        try:
            self._boot = _BOOT_ID.read_text().strip()
        except OSError:
            self._boot = ""

    def join(self, transaction: Transaction, seat: Seat) -> None:
        """Take a seat. A member of the same name that sat there before has lost it."""
        for topic in seat.topics:
            transaction.executemany(
                "INSERT OR IGNORE INTO log_progress"
                " (group_name, partition_id, member, generation, next_offset, finished_above) VALUES (?,?,'',0,0,x'')",
                [(seat.group, partition_id) for partition_id, _ in self._appender.partitions(transaction, topic)],
            )
        self._release(transaction, seat.group, [seat.member])
        transaction.execute(
            "INSERT OR REPLACE INTO log_member (group_name, member, incarnation, boot, heartbeat, topics)"
            " VALUES (?,?,?,?,?,?)",
            (
                seat.group, seat.member, seat.incarnation, self._boot, self._now(),
                msgspec.json.encode(seat.topics).decode(),
            ),
        )  # fmt: skip
        self._drop_dead(transaction, seat.group)
        self._share(transaction, seat.group)

    def leave(self, transaction: Transaction, seat: Seat) -> None:
        """Give the seat up at once; what it read is shared among the others."""
        left = transaction.execute(
            "DELETE FROM log_member WHERE group_name = ? AND member = ? AND incarnation = ?",
            (seat.group, seat.member, seat.incarnation),
        )
        if left.rowcount:
            self._release(transaction, seat.group, [seat.member])
            self._share(transaction, seat.group)

    def beat(self, transaction: Transaction, seats: Sequence[Seat]) -> None:
        """Prolong the leases of this process's members and throw out the dead of their groups."""
        transaction.executemany(
            "UPDATE log_member SET heartbeat = ? WHERE group_name = ? AND member = ? AND incarnation = ?",
            [(self._now(), seat.group, seat.member, seat.incarnation) for seat in seats],
        )
        for group in sorted({seat.group for seat in seats}):
            if self._drop_dead(transaction, group):
                self._share(transaction, group)

    def _drop_dead(self, transaction: Transaction, group: str) -> bool:
        dead = transaction.execute(
            "SELECT member FROM log_member WHERE group_name = ? AND (heartbeat < ? OR boot <> ?)",
            (group, self._now() - int(LEASE_S * 1e6), self._boot),
        ).fetchall()
        members = [member for (member,) in dead]
        transaction.executemany(
            "DELETE FROM log_member WHERE group_name = ? AND member = ?", [(group, member) for member in members]
        )
        self._release(transaction, group, members)
        return bool(members)

    def _release(self, transaction: Transaction, group: str, members: Sequence[str]) -> None:
        transaction.executemany(
            "UPDATE log_progress SET member = '', generation = generation + 1 WHERE group_name = ? AND member = ?",
            [(group, member) for member in members],
        )

    def _share(self, transaction: Transaction, group: str) -> None:
        seated = transaction.execute("SELECT member, topics FROM log_member WHERE group_name = ?", (group,)).fetchall()
        members = {member: msgspec.json.decode(topics, type=list[str]) for member, topics in seated}
        rows = transaction.execute(
            "SELECT p.topic, p.number, g.partition_id, g.member FROM log_progress AS g"
            " JOIN log_partition AS p ON p.id = g.partition_id WHERE g.group_name = ?",
            (group,),
        ).fetchall()
        current = {TopicPartition(topic, number): member for topic, number, _, member in rows}
        owners = assign(members, list(current), current)
        moved = [
            (owners[TopicPartition(topic, number)], group, partition_id)
            for topic, number, partition_id, member in rows
            if owners[TopicPartition(topic, number)] != member
        ]
        transaction.executemany(
            "UPDATE log_progress SET member = ?, generation = generation + 1 WHERE group_name = ? AND partition_id = ?",
            moved,
        )
        self._tell(transaction)

    def _now(self) -> int:
        return int(self._clock.monotonic() * 1e6)
