"""The store on PostgreSQL when something fails: rows held too long, ended connections, dead lines, a full disk."""

import asyncio
import contextlib
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import select

from bus.errors import StorageFull, TransientError
from bus.log.tables import timer
from bus.store.postgres import PostgresStore
from bus.store.postgres_settings import PostgresSettings
from bus.store.postgres_tables import outbox
from bus.testing.clock import FakeClock
from bus.testing.store_rows import bumped, delivery, effect, new, record

rows = select(timer.c.id).order_by(timer.c.id)
emitted = select(outbox.c.id).order_by(outbox.c.seq)


async def test_a_row_that_somebody_holds_too_long_is_a_passing_error(
    store: PostgresStore, postgres_settings: PostgresSettings, clock: FakeClock
) -> None:
    await store.apply([effect(new("a"))])
    hasty = replace(postgres_settings, lock_timeout_s=0.1)
    impatient = await PostgresStore.open(hasty, tenant="shop", clock=clock)
    try:
        with psycopg.connect(postgres_settings.owner_dsn) as holder:
            holder.execute("SET contactbus.tenants = 'shop'")
            holder.execute("SELECT * FROM timer WHERE id = 'a' FOR UPDATE")
            with pytest.raises(TransientError):
                await impatient.apply([effect(bumped("a", 0))])
        assert (await impatient.apply([effect(bumped("a", 0))]))[0].applied
    finally:
        await impatient.close()


async def _terminate(settings: PostgresSettings) -> None:
    with psycopg.connect(settings.owner_dsn, autocommit=True) as connection:
        connection.execute("GRANT contactbus_app TO CURRENT_USER")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'contactbus_app' AND datname = current_database()"
        )


async def test_connections_that_the_server_ends_are_made_again(
    store: PostgresStore, postgres_settings: PostgresSettings
) -> None:
    await store.apply([effect(new("a"))])
    await _terminate(postgres_settings)
    for attempt in range(10):
        try:
            (result,) = await store.apply([effect(new("b"))])
            break
        except TransientError:
            assert attempt < 9
    assert result.applied or result.reason == "conflict"
    assert [found["id"] for found in await store.all(rows)] == ["a", "b"]


async def test_under_ended_connections_every_delivery_has_its_effect_once(
    store: PostgresStore, postgres_settings: PostgresSettings
) -> None:
    count = 120
    ended = asyncio.Event()

    async def handle(n: int) -> None:
        name = f"n{n}"
        while True:
            try:
                (result,) = await store.apply([effect(new(name), emit=(record(name),), source=delivery(name))])
            except TransientError:
                await asyncio.sleep(0.01)
                continue
            assert result.reason in ("", "duplicate")
            return

    async def end() -> None:
        while not ended.is_set():
            await asyncio.to_thread(asyncio.run, _terminate(postgres_settings))

    ending = asyncio.create_task(end())
    for start in range(0, count, 10):
        await asyncio.gather(*(handle(n) for n in range(start, start + 10)))
    ended.set()
    await ending
    assert len(await store.all(rows)) == count
    assert sorted(line["id"] for line in await store.all(emitted)) == sorted(f"n{n}" for n in range(count))


async def test_a_server_that_is_not_there_is_a_passing_error(clock: FakeClock) -> None:
    nowhere = PostgresSettings(dsn="host=127.0.0.1 port=1 dbname=x user=x", connect_timeout_s=1)
    store = await PostgresStore.open(nowhere, tenant="shop", clock=clock)
    with pytest.raises(TransientError):
        await store.apply([effect(new("a"))])
    with pytest.raises(TransientError):
        await store.all(rows)
    await store.close()


class Line:
    """A TCP line to the server that can go dead in the middle: nothing passes any more, and nobody is told."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._through = asyncio.Event()
        self._through.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> "Line":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def go_dead(self) -> None:
        """Nothing of the lines that are open now passes; new ones are good."""
        self._through.clear()
        self._through = asyncio.Event()
        self._through.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        for source, target in ((reader, server_writer), (server_reader, writer)):
            task = asyncio.create_task(self._pass(source, target, self._through))
            self._tasks.add(task)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, through: asyncio.Event) -> None:
        while data := await source.read(65_536):
            await through.wait()
            target.write(data)
        target.close()


async def test_a_line_that_goes_dead_is_given_up_and_another_made(
    postgres_settings: PostgresSettings, clock: FakeClock
) -> None:
    async with Line(int(str(conninfo_to_dict(postgres_settings.dsn)["port"]))) as line:
        settings = PostgresSettings(
            dsn=make_conninfo(postgres_settings.dsn, port=line.port), statement_timeout_s=0.5, connect_timeout_s=5
        )
        store = await PostgresStore.open(settings, tenant="shop", clock=clock)
        await store.apply([effect(new("a"))])
        await store.apply([effect(bumped("a", 0))])
        assert len(await store.all(rows)) == 1
        line.go_dead()
        async with asyncio.timeout(15):
            with pytest.raises(TransientError):
                await store.apply([effect(new("b"))])
            # A read is asked again by itself.
            assert [found["id"] for found in await store.all(rows)] == ["a"]
            # There may be another connection for writing, dead as well.
            with contextlib.suppress(TransientError):
                await store.apply([effect(new("b"))])
            await store.apply([effect(new("b"))])
            assert [found["id"] for found in await store.all(rows)] == ["a", "b"]
        await store.close()


async def test_a_full_disk_is_said_as_such(store: PostgresStore, owner: psycopg.Connection[Any]) -> None:
    owner.execute(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$"
    )
    owner.execute("CREATE TRIGGER full_disk BEFORE INSERT ON timer EXECUTE FUNCTION full_disk()")
    with pytest.raises(StorageFull):
        await store.apply([effect(new("a"), source=delivery("x")), effect(emit=(record("y"),))])
    owner.execute("DROP TRIGGER full_disk ON timer")
    assert await store.all(emitted) == []
    assert (await store.apply([effect(new("a"), source=delivery("x"))]))[0].applied
