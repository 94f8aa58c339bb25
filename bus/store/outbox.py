"""From the outbox to the log: what was decided is appended, in order, for as long as it takes.

The outbox has eight shards by hash of the key, and each is relayed by one process at a time: by the one that holds its
advisory lock. The lock belongs to a database session, so a process that dies loses it with its connection, and the
others take over. Processes that relay share the shards evenly. Within a shard topics do not wait for one another: a
record's place is promised among those of its key on its topic, and one topic that takes nothing shall hold up no other.

Why order holds. Two records of one key are in order when the second was decided in knowledge of the first: because its
transaction guarded a row that the first one's had changed. It could pass that guard only after the first had committed,
and it asked for its outbox numbers after the guard; so the second's numbers are higher, and when they can be seen the
first's could be seen before. The relay always takes the lowest numbers there are, publishes them in order, and deletes
them by name once they are acknowledged. It never asks for what is above a number that it has seen: a transaction that
was slow to commit may still bring lower numbers, of other keys.

What is published may be published again (a lost acknowledgement, a relay that died, one that stood still while another
took over): with the same ids, in the same order. Whoever reads finds the ids in its inbox.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec
import structlog

from bus import faultpoints
from bus.errors import ContactbusError, TransientError
from bus.log.port import Record
from bus.store.postgres import CHANNEL, WRITING, PostgresStore
from bus.store.postgres_apply import SHARDS
from bus.store.postgres_errors import ServerError, raise_if_failed
from bus.store.postgres_sql import int_array, long_array, text_array, text_of
from bus.store.postgres_wire import Command, Wire

__all__ = ["SILENCE_S", "OutboxRelay", "Publish", "fair_share"]

log = structlog.get_logger()

Publish = Callable[[Sequence[Record]], Awaitable[Any]]
"""Append records durably, those of one key in the order given. When it raises, any of them may have been appended, but
none before one that stands before it under the same key. It has deadlines of its own."""

_POLL_S = 0.25
"""How often to look without being told: the net below NOTIFY."""

_SHARE_S = 1.0
"""How often to look who else relays, and which shards nobody has."""

_BATCH = 250
"""Records of a shard at a time: as many as one append takes well, few enough to be read again after a failure."""

_Place = tuple[int, str]
"""Shard and topic: what is published by one append at a time."""

SILENCE_S = 10.0
"""A session that asks nothing for so long is ended by the server: its process stands still and holds shards."""

_PAUSE_FIRST_S, _PAUSE_LONGEST_S = 0.1, 5.0
"""Between attempts while broker or database are away."""

_SETTLE_S = 5.0
"""How long closing waits for what is being published."""

_MEMBERS = SHARDS
"""The lock that every relay of a tenant holds in common: whoever holds it takes part in sharing."""

_READ = text_of(
    "SELECT found.shard, found.seq, found.topic, found.key, found.id, found.headers, found.value"
    " FROM unnest($2::INTEGER[]) AS mine(shard) CROSS JOIN LATERAL ("
    "SELECT outbox.* FROM outbox WHERE outbox.tenant = $1::VARCHAR AND outbox.shard = mine.shard"
    " AND NOT EXISTS (SELECT FROM unnest($4::INTEGER[], $5::VARCHAR[]) AS busy(shard, topic)"
    " WHERE busy.shard = outbox.shard AND busy.topic = outbox.topic)"
    " ORDER BY outbox.tenant, outbox.shard, outbox.seq LIMIT $3::INTEGER) AS found"
)
# By the key of one shard: joined with all numbers at once, the planner took the outbox for empty, as it often is when
# statistics are taken, and compared each row with each number.
_DELETE = text_of("DELETE FROM outbox WHERE tenant = $1::VARCHAR AND shard = $2::INTEGER AND seq = ANY ($3::BIGINT[])")
_LISTEN: Command = (text_of(f"LISTEN {CHANNEL}"), (), None)
_JOIN = text_of("SELECT pg_try_advisory_lock_shared($1::INTEGER, $2::INTEGER)")
_LOCK = text_of("SELECT pg_try_advisory_lock($1::INTEGER, $2::INTEGER)")
_UNLOCK = text_of("SELECT pg_advisory_unlock($1::INTEGER, $2::INTEGER)")
_HOLDINGS = text_of(
    "SELECT pid, count(*) - 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = ($1::INTEGER::bigint & 4294967295)::oid GROUP BY pid"
)
"""Session of each relay of a tenant, and how many shards it holds beside the lock of the members."""

_Row = tuple[int, int, str, str, str, str, bytes]
_headers = msgspec.json.Decoder(dict[str, str])


def fair_share(holdings: Mapping[int, int], relay: int) -> int:
    """How many shards a relay should hold, given how many each holds now; as many shards as there are, together.

    Shares differ by one at most. Whoever holds more already keeps the larger one, so that nothing moves without need.
    """
    share, larger = divmod(SHARDS, max(len(holdings), 1))
    by_holding = sorted(holdings, key=lambda one: (-holdings[one], one))
    return share + (relay in by_holding[:larger])


class OutboxRelay:
    """Relays the outbox of one tenant. `run` until cancelled or `close`d; register `wake` with the store.

    One relay per process; belongs to the event loop that made it.
    """

    def __init__(self, store: PostgresStore, publish: Publish, *, silence_s: float = SILENCE_S) -> None:
        self._tenant = store.tenant
        self._publish = publish
        self._loop = asyncio.get_running_loop()
        self._store = store
        self._silence_s = silence_s
        self._wire = self._new_wire()
        self._limit_s = store.settings.statement_timeout_s * 2
        # Another tenant's locks in the same database are others.
        self._space = crc32(f"{CHANNEL}/{self._tenant}".encode()) - 2**31
        self._owned: set[int] = set()
        self._publishing: dict[_Place, asyncio.Task[None]] = {}
        self._acknowledged: list[tuple[int, int]] = []
        self._fresh: set[int] = set()
        """Owned shards that may have rows which nobody has looked for."""
        self._pauses: dict[_Place, tuple[float, float]] = {}
        """Places that took nothing: until when they are left alone, and for how long the next time."""
        self._awake = asyncio.Event()
        self._closing = False
        self._looked = self._shared = 0.0

    @property
    def owned(self) -> frozenset[int]:
        """The shards that this process relays now."""
        return frozenset(self._owned)

    @property
    def publishing(self) -> frozenset[tuple[int, str]]:
        """The shards and topics of which records are on their way now."""
        return frozenset(self._publishing)

    def wake(self, shards: frozenset[int]) -> frozenset[int]:
        """There are new rows in these shards; those of them that this process does not relay."""
        mine = shards & self._owned
        if mine:
            self._fresh |= mine
            self._awake.set()
        return shards - mine

    async def run(self) -> None:
        """Relay until `close` was called, or this is cancelled."""
        pause = _PAUSE_FIRST_S
        self._wire = self._new_wire()
        try:
            while not self._closing:
                try:
                    if not self._wire.is_open:
                        await self._begin()
                    await self._turn()
                    pause = _PAUSE_FIRST_S
                except (ContactbusError, ServerError) as error:
                    log.warning("the outbox cannot be relayed for now", reason=type(error).__name__)
                    # Whatever the session holds is not known any more: start anew.
                    self._wire.drop("the relay starts anew")
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _PAUSE_LONGEST_S)
        finally:
            await self._settle()

    async def close(self) -> None:
        """Have `run` finish what it is publishing and return."""
        self._closing = True
        self._awake.set()

    def _new_wire(self) -> Wire:
        # What is not deleted after a crash of the server is published again: no reason to wait for the disk.
        options = f"{WRITING} -c synchronous_commit=off -c idle_session_timeout={round(self._silence_s * 1000)}"
        return self._store.wire(options, on_notify=self._noticed, on_lost=self._lost)

    async def _settle(self) -> None:
        tasks = list(self._publishing.values())
        with contextlib.suppress(ContactbusError, ServerError, TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                if tasks:
                    await asyncio.wait(tasks)
                if self._acknowledged and self._wire.is_open:
                    await self._ask(self._deletions())
        for task in self._publishing.values():
            task.cancel()
        await asyncio.gather(*self._publishing.values(), return_exceptions=True)
        # The session's locks go with it.
        self._wire.close()
        self._owned.clear()

    async def _begin(self) -> None:
        await self._wire.open()
        await self._ask([_LISTEN, self._lock(_JOIN, _MEMBERS)])
        self._shared = self._looked = self._loop.time() - _SHARE_S

    async def _turn(self) -> None:
        """Take or leave shards, delete what is acknowledged, read what is new; then wait for a reason for more."""
        self._awake.clear()
        now = self._loop.time()
        if now - self._shared >= _SHARE_S:
            await self._share()
            self._shared = now
        if now - self._looked >= _POLL_S:
            self._looked = now
            self._fresh |= self._owned
        wanted = self._fresh & self._owned
        commands = self._deletions()
        if wanted:
            # What comes after this reading is told anew.
            self._fresh -= wanted
            commands.append(self._reading(wanted, now))
        if commands:
            results = await self._ask(commands)
            if wanted:
                self._start(self._wire.rows(results[-1]))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                await self._awake.wait()

    def _reading(self, shards: set[int], now: float) -> Command:
        left_alone = {place for place, (until, _) in self._pauses.items() if until > now}
        busy = sorted(left_alone | self._publishing.keys())
        values = [
            self._tenant.encode(),
            int_array(sorted(shards)),
            b"%d" % _BATCH,
            int_array([shard for shard, _ in busy]),
            text_array([topic for _, topic in busy]),
        ]
        return _READ, values, (0, 1, 0, 1, 1)

    def _start(self, rows: Sequence[_Row]) -> None:
        batches: dict[_Place, list[_Row]] = {}
        counts: Counter[int] = Counter()
        for row in rows:
            batches.setdefault((row[0], row[2]), []).append(row)
            counts[row[0]] += 1
        for place, lines in batches.items():
            self._publishing[place] = asyncio.create_task(self._relay(place, lines))
        for shard, count in counts.items():
            if count == _BATCH:
                # There is more than was read, perhaps of topics that are free.
                self._fresh.add(shard)
                self._awake.set()

    async def _relay(self, place: _Place, rows: Sequence[_Row]) -> None:
        try:
            await self._publish(
                [
                    Record(topic=topic, key=key, value=value, id=record_id, headers=_headers.decode(headers))
                    for _, _, topic, key, record_id, headers, value in rows
                ]
            )
            faultpoints.reached("outbox.published", place[1])
        except Exception as error:
            log.warning("records rest in the outbox", count=len(rows), topic=place[1], reason=type(error).__name__)
            _, pause = self._pauses.get(place, (0, _PAUSE_FIRST_S))
            self._pauses[place] = self._loop.time() + pause, min(pause * 2, _PAUSE_LONGEST_S)
        else:
            self._acknowledged += [(row[0], row[1]) for row in rows]
            self._pauses.pop(place, None)
        finally:
            self._publishing.pop(place, None)
            # What came for this place meanwhile was not read.
            self._fresh.add(place[0])
            self._awake.set()

    def _deletions(self) -> list[Command]:
        done, self._acknowledged = self._acknowledged, []
        numbers: dict[int, list[int]] = {}
        for shard, seq in done:
            numbers.setdefault(shard, []).append(seq)
        tenant = self._tenant.encode()
        return [(_DELETE, [tenant, b"%d" % shard, long_array(some)], (0, 0, 1)) for shard, some in numbers.items()]

    # Sharing.

    async def _share(self) -> None:
        """Take shards that nobody has, up to a fair share of them; leave what is more than that."""
        (held,) = await self._ask([(_HOLDINGS, [b"%d" % self._space], None)])
        fair = fair_share(dict(self._wire.rows(held)), self._wire.pid)
        surplus = len(self._owned) - fair
        if surplus > 0:
            busy = {shard for shard, _ in self._publishing}
            leave = sorted(self._owned - busy)[:surplus]
            self._owned.difference_update(leave)
            # What was acknowledged is deleted before another may read it.
            await self._ask([*self._deletions(), *(self._lock(_UNLOCK, shard) for shard in leave)])
            log.info("shards of the outbox are left to others", count=len(leave), tenant=self._tenant)
        elif surplus < 0:
            wanted = [shard for shard in range(SHARDS) if shard not in self._owned]
            # Each starts looking elsewhere, so that two that come together do not want the same.
            start = self._wire.pid % len(wanted)
            for shard in [*wanted[start:], *wanted[:start]]:
                if len(self._owned) == fair:
                    break
                (tried,) = await self._ask([self._lock(_LOCK, shard)])
                if self._wire.rows(tried) == [(True,)]:
                    self._owned.add(shard)
                    self._fresh.add(shard)

    def _lock(self, text: Any, number: int) -> Command:
        return text, [b"%d" % self._space, b"%d" % number], None

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        try:
            async with asyncio.timeout(self._limit_s):
                results = await self._wire.run(commands)
        except TimeoutError:
            self._wire.drop("the server is silent")
            raise TransientError("the database is silent") from None
        for result in results:
            raise_if_failed(result)
        return results

    def _noticed(self, text: str) -> None:
        tenant, _, shards = text.rpartition("/")
        if tenant == self._tenant:
            self.wake(frozenset(int(shard) for shard in shards.split(",") if shard.isdecimal()))

    def _lost(self) -> None:
        """The session is gone, and its locks with it: others may relay these shards from now on."""
        self._owned.clear()
        self._fresh.clear()
        self._acknowledged.clear()
        self._awake.set()
