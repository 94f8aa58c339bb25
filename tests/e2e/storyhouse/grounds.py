"""What a house on Kafka and PostgreSQL needs before it starts: topics, an environment, the demo's customers."""

import uuid
from collections.abc import Mapping
from pathlib import Path

from bus.log.kafka_settings import KafkaSettings
from bus.store.postgres_settings import PostgresSettings
from deploy.core import open_core
from deploy.kafka.topics import apply_plan, declared_topics
from deploy.settings import ProductSettings, load
from workers.records.demo import load_demo

__all__ = ["CHANNELS", "load_customers", "on_kafka"]

CHANNELS = ProductSettings().channels


async def on_kafka(bootstrap: str, database: PostgresSettings, *, copies: int = 1) -> dict[str, str]:
    """Make topics under a prefix of their own, in so many copies; the environment of a house that stands on them."""
    kafka = KafkaSettings(
        bootstrap=tuple(bootstrap.split(",")), topic_prefix=f"e{uuid.uuid4().hex[:8]}.", replication_floor=copies,
        min_insync_replicas=max(1, copies - 1),
    )  # fmt: skip
    names = declared_topics(CHANNELS)
    await apply_plan(kafka, names)
    return {
        "CONTACTBUS_BUS__ENGINE": "kafka",
        "CONTACTBUS_KAFKA__BOOTSTRAP": str(list(kafka.bootstrap)),
        "CONTACTBUS_KAFKA__TOPIC_PREFIX": kafka.topic_prefix,
        "CONTACTBUS_KAFKA__REPLICATION_FLOOR": str(kafka.replication_floor),
        "CONTACTBUS_KAFKA__MIN_INSYNC_REPLICAS": str(kafka.min_insync_replicas),
        "CONTACTBUS_POSTGRES__DSN": database.dsn,
        "CONTACTBUS_POSTGRES__OWNER_DSN": database.owner_dsn,
    }


async def load_customers(data: Path, environment: Mapping[str, str]) -> None:
    """Put the demo's customers into the records of a house, before any of its processes runs."""
    layers = load(None, dict(environment), {"product": {"data": str(data)}})
    core = await open_core(layers, layers.section("product", ProductSettings), public_url="", workers=True)
    await load_demo(core.engine, core.clock)
    await core.close()
