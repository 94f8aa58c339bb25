"""A house on Kafka and PostgreSQL, as an operator would set it up: a configuration file and nothing else."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from bus.log.kafka_client import client_options
from bus.log.kafka_settings import KafkaSettings
from bus.store.postgres_settings import PostgresSettings
from deploy.kafka.topics import apply_plan, declared_topics

CHANNELS = ("email", "chat", "phone", "post", "link")


class Grounds(msgspec.Struct):
    """Where a distributed house stands."""

    config: Path
    kafka: KafkaSettings
    postgres: PostgresSettings

    def write(self, **more: str) -> None:
        """Write the configuration file; `more` are further sections by name, as TOML."""
        sections = {
            "bus": 'engine = "kafka"',
            "kafka": (
                f"bootstrap = {list(self.kafka.bootstrap)}\ntopic_prefix = '{self.kafka.topic_prefix}'\n"
                "replication_floor = 1\nmin_insync_replicas = 1"
            ),
            "postgres": f'dsn = "{self.postgres.dsn}"\nowner_dsn = "{self.postgres.owner_dsn}"',
            **more,
        }
        self.config.write_text("\n".join(f"[{name}]\n{text}\n" for name, text in sections.items()))


@pytest_asyncio.fixture
async def grounds(tmp_path: Path, kafka_bootstrap: str, postgres_settings: PostgresSettings) -> AsyncIterator[Grounds]:
    """Topics of our own, made as `contactbus topics apply` makes them, an empty database, and the file that says so."""
    kafka = KafkaSettings(
        bootstrap=tuple(kafka_bootstrap.split(",")),
        topic_prefix=f"h{uuid.uuid4().hex[:8]}.",
        replication_floor=1,
        min_insync_replicas=1,
    )
    names = declared_topics(CHANNELS)
    await apply_plan(kafka, names)
    found = Grounds(config=tmp_path / "contactbus.toml", kafka=kafka, postgres=postgres_settings)
    found.write()
    yield found
    admin = AIOKafkaAdminClient(**client_options(kafka))
    await admin.start()
    try:
        await admin.delete_topics([kafka.topic_prefix + name for name in names])
    finally:
        await admin.close()
