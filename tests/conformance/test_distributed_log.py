"""The distributed engine keeps what the log port promises, on a real broker and a real database."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bus.log.distributed import DistributedEngine
from bus.log.kafka_settings import KafkaSettings
from bus.store.postgres_settings import PostgresSettings
from bus.testing.log_conformance import LogConformance
from bus.testing.openers import Servers


class TestDistributedLog(LogConformance):
    opener = "bus.testing.openers:distributed"
    leaves_copies = True

    @pytest.fixture
    def location(self, kafka_settings: KafkaSettings, postgres_settings: PostgresSettings) -> str:
        return msgspec.json.encode(Servers(kafka=kafka_settings, postgres=postgres_settings)).decode()

    async def expire(self, engine: DistributedEngine, days: float) -> None:
        await engine.retain(datetime.now(UTC) + timedelta(days=days))
