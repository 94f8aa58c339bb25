"""The store on PostgreSQL: state, inbox and outbox in one database, shared by every process of a tenant.

    reads:   any number at a time over a few connections, each read a snapshot of its own
    writes:  one transaction for all effects that wait -> commit -> results, relays told of what is in the outbox

While a transaction runs, the effects of the next collect: the batch grows with the load and needs no timer. Two
transactions at a time, so that one works while the other waits for the disk.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import ARRAY, Executable, any_, bindparam, func, select

from bus.clock import Clock, SystemClock, to_micros
from bus.errors import ConfigurationError, ContactbusError, TransientError
from bus.log.port import Record
from bus.store.compiled import CACHE_LIMIT
from bus.store.port import Effect, Result, Row
from bus.store.postgres_apply import Applier, Item, shard_of
from bus.store.postgres_errors import Kind, ServerError, raise_if_failed
from bus.store.postgres_retention import Retention
from bus.store.postgres_settings import PostgresSettings
from bus.store.postgres_sql import command, statements, text_of
from bus.store.postgres_tables import outbox
from bus.store.postgres_wire import Wire
from bus.store.written import PlanReply, plain_reply

__all__ = ["CHANNEL", "WRITING", "PostgresStore"]

log = structlog.get_logger()

CHANNEL = "contactbus_outbox"
"""The channel on which relays are told of new rows: `tenant/shard,shard`."""

MAX_BATCH = 500
"""Effects after which a transaction takes no more: bounds how long its locks are held."""

_WRITERS = 2
_WATCH_S = 1.0
_PATIENCE = 3.0
"""A server that is silent for so many times `statement_timeout_s` is out of reach, not busy."""

_STATISTICS_S = 2.0
"""How often to see that the planner knows tables that have grown; only for new ones it matters that it is soon."""

_REFRESH = text_of("SELECT refresh_statistics()")

_READ_ATTEMPTS = 2
"""A read changes nothing: when its connection was lost it is asked once more on another."""

_KEYS = "bus_keys"

_backlog = select(func.count().label("records"), func.min(outbox.c.at).label("oldest")).where(
    outbox.c.tenant == bindparam("tenant")
)

Emitted = Callable[[frozenset[int]], frozenset[int]]
"""(shards with new rows) -> those of them that nobody here relays."""


class _Job:
    """Effects to apply, or records to put into the outbox unless they were before."""

    __slots__ = ("future", "items", "records")

    def __init__(self, future: "asyncio.Future[Any]", items: list[Item], records: Sequence[Record] = ()) -> None:
        self.future = future
        self.items = items
        self.records = records


class PostgresStore:
    """`Store` on a database for one tenant. Use `open`; belongs to the event loop that opened it."""

    def __init__(self, settings: PostgresSettings, tenant: str, clock: Clock, plan_reply: PlanReply | None) -> None:
        self.tenant = tenant
        self.settings = settings
        self._clock = clock
        self.conninfo = _conninfo(settings, tenant)
        self._loop = asyncio.get_running_loop()
        self._statements = statements()
        self._applier = Applier(tenant, self._statements, clock, plan_reply or plain_reply(clock))
        readers = settings.pool_connections - _WRITERS
        self._readers = [self.wire() for _ in range(max(readers, 1))]
        self._writers = [self.wire(WRITING) for _ in range(min(_WRITERS, settings.pool_connections - 1))]
        self._free = deque(self._writers)
        self._jobs: deque[_Job] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._keyed: dict[tuple[int, int], tuple[Any, Any, Any]] = {}
        self._emitted: Emitted = frozenset
        self._untold: set[int] = set()
        self._telling: asyncio.Task[None] | None = None
        self._keeper = self.wire()
        self._tasks = [self._loop.create_task(self._watch_wires()), self._loop.create_task(self._keep_statistics())]
        self._closed = False

    @classmethod
    async def open(
        cls,
        settings: PostgresSettings,
        *,
        tenant: str,
        clock: Clock | None = None,
        plan_reply: PlanReply | None = None,
    ) -> "PostgresStore":
        """Open the store of a tenant. The schema comes from the migrations; a database that is away is no error yet.

        `plan_reply` turns a reply of an outcome into the writes and records that carry it (the send ledger); without
        it a reply is a record on its channel's topic. Raises ConfigurationError for settings that cannot work.
        """
        return cls(settings, tenant, clock or SystemClock(), plan_reply)

    def wire(
        self,
        options: str = "",
        *,
        on_notify: Callable[[str], None] | None = None,
        on_lost: Callable[[], None] | None = None,
    ) -> Wire:
        """A connection of its own with the settings of the house; whoever asks for it closes it."""
        conninfo = self.conninfo
        if options:
            known = str(conninfo_to_dict(conninfo)["options"])
            conninfo = make_conninfo(conninfo, options=f"{known} {options}")
        return Wire(
            conninfo,
            connect_timeout_s=self.settings.connect_timeout_s,
            on_notify=on_notify,
            on_lost=on_lost,
        )

    def on_emitted(self, tell: Emitted) -> None:
        """Call `tell` after every commit that put rows into the outbox; relays elsewhere are told of what it leaves."""
        self._emitted = tell

    async def close(self) -> None:
        """Finish what was given to `apply`, then close every connection."""
        if self._closed:
            return
        self._closed = True
        while self._running:
            await asyncio.wait(self._running)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._telling is not None:
            await asyncio.wait([self._telling])
        for wire in self._wires():
            wire.close()

    # Reading.

    async def all(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row]:
        given = params or {}
        prepared = self._statements.prepare(statement, given)
        request = [command(*prepared.bind(given))]
        for attempt in range(1, _READ_ATTEMPTS + 1):
            wire = self._reader()
            try:
                (result,) = await wire.run(request)
                raise_if_failed(result)
            except TransientError:
                if attempt == _READ_ATTEMPTS or self._closed:
                    raise
                continue
            except ServerError as error:
                if error.kind is Kind.AWAY and attempt < _READ_ATTEMPTS:
                    continue
                raise error.translated() from error
            if not prepared.columns:
                names = [result.fname(place) or b"" for place in range(result.nfields)]
                prepared.columns = tuple(name.decode() for name in names)
            return _rows(wire, result, prepared.columns)
        raise AssertionError("the last attempt returns or raises")

    async def one(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row | None:
        rows = await self.all(statement, params)
        return rows[0] if rows else None

    async def by_keys(
        self, statement: Any, column: Any, keys: Sequence[str], params: Mapping[str, Any] | None = None
    ) -> Sequence[Row]:
        if not keys:
            return []
        place = (id(statement), id(column))
        known = self._keyed.get(place)
        if known is None:
            if len(self._keyed) >= CACHE_LIMIT:
                self._keyed.clear()
            listed = any_(bindparam(_KEYS, type_=ARRAY(column.type)))
            # The statement and the column are kept beside it, so that their identities stay theirs.
            known = self._keyed[place] = (statement.where(column == listed), statement, column)
        return await self.all(known[0], {**(params or {}), _KEYS: keys})

    def _reader(self) -> Wire:
        """An open connection that nobody waits for, else one to open, else the one with the fewest requests."""
        best: Wire | None = None
        unopened: Wire | None = None
        for wire in self._readers:
            if not wire.is_open:
                unopened = unopened or wire
            elif not wire.waiting:
                return wire
            elif best is None or wire.waiting < best.waiting:
                best = wire
        return unopened or best or self._readers[0]

    # Writing.

    async def apply(self, effects: Sequence[Effect]) -> Sequence[Result]:
        if not effects:
            return []
        return await self._do(_Job(self._loop.create_future(), [self._applier.item(effect) for effect in effects]))

    async def append_once(self, records: Sequence[Record]) -> list[bool]:
        """Put records into the outbox whose (topic, id) was not put there before; whether each was.

        Raises PermanentError for a record that no log could carry, StorageFull, TransientError.
        """
        if not records:
            return []
        return await self._do(_Job(self._loop.create_future(), [], records))

    async def retain(self, now: datetime) -> int:
        """Forget finished deliveries and ids that no copy can come of any more; how many rows or days went."""
        return await Retention(self.tenant, self._keeper).run(to_micros(now))

    async def _do(self, job: _Job) -> Any:
        if self._closed:
            raise TransientError("the store is closed")
        self._jobs.append(job)
        if self._free:
            task = self._loop.create_task(self._write(self._free.popleft()))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        # Whoever asked may give up; it is done all the same.
        return await asyncio.shield(job.future)

    async def _write(self, wire: Wire) -> None:
        try:
            while self._jobs:
                jobs = self._take()
                try:
                    await self._transact(wire, jobs)
                except ContactbusError as error:
                    _fail(jobs, error)
                except Exception as error:
                    # Nothing may stop the writer: whoever waits would wait for ever.
                    log.error("a transaction failed", count=len(jobs), exc_info=error)
                    wire.drop("a transaction broke off")
                    _fail(jobs, TransientError("the transaction broke off"))
        finally:
            self._free.append(wire)

    async def _transact(self, wire: Wire, jobs: Sequence[_Job]) -> None:
        if jobs[0].records:
            taken = await self._applier.append_once(wire, jobs[0].records)
            records = jobs[0].records
            shards = frozenset(shard_of(record.key) for record, new in zip(records, taken, strict=True) if new)
            results: list[Any] = [taken]
        else:
            shards = await self._applier.apply(wire, [item for job in jobs for item in job.items])
            results = [[item.result for item in job.items] for job in jobs]
        if shards:
            self._tell(shards)
        for job, result in zip(jobs, results, strict=True):
            if not job.future.done():
                job.future.set_result(result)

    def _take(self) -> list[_Job]:
        jobs = [self._jobs.popleft()]
        count = len(jobs[0].items)
        while not jobs[0].records and self._jobs and not self._jobs[0].records:
            count += len(self._jobs[0].items)
            if count > MAX_BATCH:
                break
            jobs.append(self._jobs.popleft())
        return jobs

    # The outbox.

    async def backlog(self) -> tuple[int, float]:
        """Records in the outbox, and the age in seconds of the oldest of them."""
        found = await self.one(_backlog, {"tenant": self.tenant})
        if found is None or not found["records"]:
            return 0, 0.0
        return found["records"], max(0.0, (to_micros(self._clock.now()) - found["oldest"]) / 1_000_000)

    def _tell(self, shards: frozenset[int]) -> None:
        self._untold |= self._emitted(shards)
        if self._untold and self._telling is None:
            self._telling = self._loop.create_task(self._tell_others())

    async def _tell_others(self) -> None:
        """Outside of the transactions that emitted: NOTIFY in one of them would queue all their commits."""
        try:
            while self._untold:
                shards, self._untold = self._untold, set[int]()
                text = f"{self.tenant}/{','.join(map(str, sorted(shards)))}"
                (result,) = await self._reader().run([(text_of("SELECT pg_notify($1, $2)"), _notice(text), None)])
                raise_if_failed(result)
        except (TransientError, ServerError) as error:
            # They look by themselves every so often.
            log.warning("relays elsewhere could not be told", reason=type(error).__name__)
        finally:
            self._telling = None

    def _wires(self) -> Sequence[Wire]:
        return (*self._readers, *self._writers, self._keeper)

    async def _keep_statistics(self) -> None:
        while True:
            await asyncio.sleep(_STATISTICS_S)
            try:
                (result,) = await self._keeper.run([(_REFRESH, (), None)])
                raise_if_failed(result)
            except (TransientError, ServerError) as error:
                # Slow plans are no reason to fail; the server's own turn comes.
                log.info("statistics were not refreshed", reason=type(error).__name__)

    async def _watch_wires(self) -> None:
        limit = self.settings.statement_timeout_s * _PATIENCE
        while True:
            await asyncio.sleep(_WATCH_S)
            for wire in self._wires():
                if wire.silent_s() > limit:
                    wire.drop("the server is silent")


WRITING = "-c plan_cache_mode=force_generic_plan -c enable_hashjoin=off -c enable_mergejoin=off"
"""Writes are by key, and their plans must not depend on how large a table was when it was first written to."""


def _rows(wire: Wire, result: Any, columns: Sequence[str]) -> list[Row]:
    return wire.rows(result, lambda row: dict(zip(columns, row, strict=True)))


def _notice(text: str) -> list[bytes | None]:
    return [CHANNEL.encode(), text.encode()]


def _fail(jobs: Sequence[_Job], error: ContactbusError) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)


def _conninfo(settings: PostgresSettings, tenant: str) -> str:
    """The connection string with the limits of the house; what the operator's own string says is left alone."""
    if not tenant or any(character in tenant for character in ",\\ ") or not tenant.isprintable():
        raise ConfigurationError(f"the tenant {tenant!r} cannot be named to the database")
    try:
        given = conninfo_to_dict(settings.dsn)
    except Exception as error:
        raise ConfigurationError("[postgres] dsn is no connection string") from error
    options = {
        "contactbus.tenants": tenant,
        "lock_timeout": round(settings.lock_timeout_s * 1000),
        "statement_timeout": round(settings.statement_timeout_s * 1000),
        "idle_in_transaction_session_timeout": round(settings.idle_in_transaction_s * 1000),
        "client_encoding": "UTF8",
        # Whatever statistics say of a table that was just made: the house reads by index.
        "enable_seqscan": "off",
        "jit": "off",
    }
    text = " ".join(f"-c {name}={value}" for name, value in options.items())
    # A peer that is gone without a word is noticed, here and (second line) by the server, which then frees its locks.
    kept = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}
    text += " -c tcp_keepalives_idle=5 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=15000"
    named: dict[str, Any] = {"application_name": "contactbus", **kept, **given}
    named["options"] = f"{given.get('options', '')} {text}".strip()
    return make_conninfo(**named)
