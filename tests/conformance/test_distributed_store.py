"""The distributed engine keeps what the store port promises, on a real broker and a real database."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from bus.log.distributed import DistributedEngine
from bus.log.kafka_settings import KafkaSettings
from bus.store.postgres_settings import PostgresSettings
from bus.testing.log_records import PATIENCE_S
from bus.testing.store_conformance import StoreConformance


class TestDistributedStore(StoreConformance):
    @pytest_asyncio.fixture
    async def engine(
        self, kafka_settings: KafkaSettings, postgres_settings: PostgresSettings
    ) -> AsyncIterator[DistributedEngine]:
        opened = await DistributedEngine.open(kafka_settings, postgres_settings, tenant="shop")
        yield opened
        await opened.close()

    async def settle(self, engine: DistributedEngine) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not await engine.drained():
                await asyncio.sleep(0.01)
