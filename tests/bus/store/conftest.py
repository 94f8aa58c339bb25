"""A fresh store on PostgreSQL, and a connection of the role that owns it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from bus.store.postgres import PostgresStore
from bus.store.postgres_settings import PostgresSettings
from bus.testing.clock import FakeClock


@pytest_asyncio.fixture
async def store(postgres_settings: PostgresSettings, clock: FakeClock) -> AsyncIterator[PostgresStore]:
    opened = await PostgresStore.open(postgres_settings, tenant="shop", clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
def owner(postgres_settings: PostgresSettings) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_settings.owner_dsn, autocommit=True) as connection:
        yield connection
