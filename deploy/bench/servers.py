"""The broker and the database of a measurement: those that the environment names, else its own for as long as it runs."""

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from bus.log.kafka_settings import KafkaSettings
from deploy.kafka.brokers import Brokers
from deploy.postgres.server import PostgresServer
from deploy.servers import KAFKA_VARIABLE, POSTGRES_VARIABLE

__all__ = ["broker", "database_server"]


@asynccontextmanager
async def broker() -> AsyncGenerator[KafkaSettings]:
    """Settings of a broker, with topics and groups of this run alone."""
    common = {"topic_prefix": f"bench-{uuid.uuid4().hex[:8]}.", "replication_floor": 1, "min_insync_replicas": 1}
    if KAFKA_VARIABLE in os.environ:
        yield KafkaSettings(bootstrap=tuple(os.environ[KAFKA_VARIABLE].split(",")), **common)
        return
    with tempfile.TemporaryDirectory(prefix="contactbus-bench-kafka-") as folder:
        brokers = Brokers(Path(folder))
        try:
            await asyncio.to_thread(brokers.start)
            yield KafkaSettings(bootstrap=tuple(brokers.bootstrap.split(",")), **common)
        finally:
            await asyncio.to_thread(brokers.stop)


@asynccontextmanager
async def database_server() -> AsyncGenerator[str]:
    """A superuser's connection string."""
    if POSTGRES_VARIABLE in os.environ:
        yield os.environ[POSTGRES_VARIABLE]
        return
    with tempfile.TemporaryDirectory(prefix="contactbus-bench-postgres-") as folder:
        Path(folder).chmod(0o755)
        server = PostgresServer(Path(folder) / "server")
        try:
            await asyncio.to_thread(server.start)
            yield server.dsn
        finally:
            await asyncio.to_thread(server.stop)
