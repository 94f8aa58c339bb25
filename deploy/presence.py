"""Which processes of the house run now, and how one of them is told to leave.

Every process keeps a row: who it is, what it runs, when it was last seen. An order to drain is written into that row;
the process reads it within a second. So operators need no way to the machine, on either engine.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec
import structlog
from sqlalchemy import BigInteger, Column, Table, Text, bindparam, delete, select, update

from bus.clock import Clock, to_micros
from bus.delivery.outcome import Outcome, Write
from bus.errors import TransientError
from bus.message import decode, encode
from bus.store.port import Effect, Row, Store
from bus.store.schema import metadata
from bus.store.sql import upsert

__all__ = ["Presence", "ask_to_drain", "present", "process_member"]

log = structlog.get_logger()

_LOOK_S = 1.0
"""How late an order to leave is noticed: a read, no transaction."""

_BEAT_S = 5.0
"""How often a process says that it is there: each time is a transaction, so not more often than operators look."""

_GONE_AFTER = timedelta(seconds=20)
"""Three beats may fail before a process counts as gone."""

_FORGET_AFTER = timedelta(days=1)
"""A process that died is listed no longer; its row goes with the next start of another."""

process_member = Table(
    "process_member",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("member", Text, primary_key=True),
    Column("group_name", Text, nullable=False),
    Column("runs", Text, nullable=False),
    Column("http", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked", Text, nullable=False),
)
"""`runs`: JSON list of consumer groups. `state`: running or draining. `asked`: empty, or drain."""

_come = upsert(process_member, ["tenant", "member"])
_keep = upsert(process_member, ["tenant", "member"], ["seen", "state"])
_own = select(process_member.c.asked).where(
    process_member.c.tenant == bindparam("tenant"), process_member.c.member == bindparam("member")
)
_all = (
    select(process_member)
    .where(process_member.c.tenant == bindparam("tenant"), process_member.c.seen >= bindparam("since"))
    .order_by(process_member.c.group_name, process_member.c.since, process_member.c.member)
)
_ask = (
    update(process_member)
    .where(process_member.c.tenant == bindparam("b_tenant"), process_member.c.member == bindparam("b_member"))
    .values(asked="drain")
)
_gone = delete(process_member).where(
    process_member.c.tenant == bindparam("b_tenant"), process_member.c.member == bindparam("b_member")
)
_old = delete(process_member).where(
    process_member.c.tenant == bindparam("b_tenant"), process_member.c.seen < bindparam("b_before")
)


class Presence:
    """The row of this process: `run` keeps it, `leave` deletes it."""

    def __init__(
        self, store: Store, clock: Clock, *, tenant: str, member: str, group: str, runs: Sequence[str], http: str,
        asked_to_leave: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store, self._clock = store, clock
        self._asked_to_leave = asked_to_leave
        self._has_come = False
        now = to_micros(clock.now())
        self._row = {
            "tenant": tenant, "member": member, "group_name": group, "runs": encode(list(runs)).decode(), "http": http,
            "since": now, "seen": now, "state": "running", "asked": "",
        }  # fmt: skip

    async def run(self) -> None:
        """Say that we are there and look for orders, until cancelled. A store that is away is waited for."""
        forgotten = False
        beaten = float("-inf")
        while True:
            try:
                if not forgotten:
                    await self._forget_others()
                    forgotten = True
                beaten = await self._turn(beaten)
            except TransientError as error:
                log.debug("presence cannot be told now", error=type(error).__name__)
            await asyncio.sleep(_LOOK_S)

    async def _turn(self, beaten: float) -> float:
        """Beat when it is time, and read what we are told; when the last beat was."""
        now = asyncio.get_running_loop().time()
        if now - beaten >= _BEAT_S:
            await self._beat()
            beaten = now
        row = await self._store.one(_own, {"tenant": self._row["tenant"], "member": self._row["member"]})
        if row is not None and row["asked"] == "drain" and self._row["state"] == "running":
            log.warning("asked to drain", member=self._row["member"], group=self._row["group_name"])
            self._asked_to_leave()
            self._row["state"] = "draining"
            await self._beat()
        return beaten

    async def _forget_others(self) -> None:
        before = to_micros(self._clock.now() - _FORGET_AFTER)
        await self._write(Write(statement=_old, params={"b_tenant": self._row["tenant"], "b_before": before}))

    async def leave(self) -> None:
        """Take the row away."""
        await self._write(
            Write(statement=_gone, params={"b_tenant": self._row["tenant"], "b_member": self._row["member"]})
        )

    async def _beat(self) -> None:
        self._row["seen"] = to_micros(self._clock.now())
        # A container has its name and its process number again after every start. What a predecessor was told, and did
        # not live to take away, is not meant for us; later, what we are told ourselves must stay.
        await self._write(Write(statement=_keep if self._has_come else _come, params=dict(self._row)))
        self._has_come = True

    async def _write(self, *writes: Write) -> None:
        await self._store.apply([Effect(outcome=Outcome(writes=writes))])


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A process that is there, as operators see it. `since` is in microseconds since 1970."""

    member: str
    group: str
    runs: tuple[str, ...]
    http: str
    since: int
    state: str


async def present(store: Store, clock: Clock, tenant: str) -> list[Member]:
    """The processes that were seen lately, by group."""
    rows = await store.all(_all, {"tenant": tenant, "since": to_micros(clock.now() - _GONE_AFTER)})
    return [_member(row) for row in rows]


async def ask_to_drain(store: Store, clock: Clock, tenant: str, name: str) -> list[Member]:
    """Tell a member, or every member of a group, to leave; those that were told."""
    chosen = [member for member in await present(store, clock, tenant) if name in (member.member, member.group)]
    writes = tuple(Write(statement=_ask, params={"b_tenant": tenant, "b_member": each.member}) for each in chosen)
    if writes:
        await store.apply([Effect(outcome=Outcome(writes=writes))])
    return chosen


def _member(row: Row) -> Member:
    return Member(
        member=row["member"],
        group=row["group_name"],
        runs=decode(row["runs"].encode(), tuple[str, ...]),
        http=row["http"],
        since=row["since"],
        state=row["state"],
    )
