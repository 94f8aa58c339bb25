"""The server is killed under load: what was acknowledged is there, once, and everything goes on by itself."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from sqlalchemy import select

from bus.errors import TransientError
from bus.log.port import Record
from bus.log.tables import timer
from bus.store.outbox import OutboxRelay
from bus.store.postgres import PostgresStore
from bus.store.postgres_settings import PostgresSettings
from bus.testing.store_rows import delivery, effect, new, record
from deploy.migrations import postgres
from deploy.postgres.server import PostgresServer

rows = select(timer.c.id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for parent in (tmp_path, *tmp_path.parents[:3]):
        # The server runs as another user when the tests run as root.
        parent.chmod(parent.stat().st_mode | 0o055)
    return tmp_path / "server"


async def test_nothing_acknowledged_is_lost_or_done_twice_when_the_server_is_killed(folder: Path) -> None:
    server = PostgresServer(folder)
    await asyncio.to_thread(server.start)
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bus")
        settings = PostgresSettings(
            dsn=make_conninfo(server.dsn, dbname="bus", user="contactbus_app"),
            owner_dsn=make_conninfo(server.dsn, dbname="bus"),
        )
        await asyncio.to_thread(postgres.upgrade, settings)
        await _load(server, settings)
    finally:
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(server.stop)


async def _load(server: PostgresServer, settings: PostgresSettings) -> None:
    store = await PostgresStore.open(settings, tenant="shop")
    published: dict[str, list[str]] = {}

    async def publish(records: Sequence[Record]) -> None:
        for each in records:
            published.setdefault(each.key, []).append(each.id)

    relay = OutboxRelay(store, publish)
    store.on_emitted(relay.wake)
    relaying = asyncio.create_task(relay.run())
    keys, per_key = [f"k{n}" for n in range(20)], 60
    failures = 0
    halfway = asyncio.Event()

    async def work(key: str) -> None:
        nonlocal failures
        for n in range(per_key):
            name = f"{key}/{n}"
            done = effect(new(name), emit=(record(name, key),), source=delivery(name))
            while True:
                try:
                    (result,) = await store.apply([done])
                except TransientError:
                    failures += 1
                    await asyncio.sleep(0.05)
                    continue
                assert result.reason in ("", "duplicate")
                break
            if n == per_key // 2:
                halfway.set()

    working = [asyncio.create_task(work(key)) for key in keys]
    await halfway.wait()
    server.kill()
    # Sessions of a killed server end a moment after it; until then it does not start.
    for attempt in range(20):
        try:
            await asyncio.to_thread(server.start)
            break
        except Exception:
            assert attempt < 19
            await asyncio.sleep(0.5)
    async with asyncio.timeout(60):
        await asyncio.gather(*working)
        while await store.backlog() != (0, 0.0):
            await asyncio.sleep(0.02)
    await relay.close()
    await relaying
    found = [row["id"] for row in await store.all(rows)]
    await store.close()
    assert failures > 0
    assert sorted(found) == sorted(f"{key}/{n}" for key in keys for n in range(per_key))
    for key in keys:
        assert list(dict.fromkeys(published[key])) == [f"{key}/{n}" for n in range(per_key)]
