"""The broker and the database of a measurement: those that the environment names, else its own while it runs."""

import asyncio
import os
import tempfile
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from bus.log.kafka_settings import KafkaSettings
from bus.store.postgres_settings import PostgresSettings
from deploy.kafka.brokers import Brokers
from deploy.postgres.server import PostgresServer
from deploy.servers import KAFKA_VARIABLE, POSTGRES_VARIABLE

__all__ = ["broker", "database"]


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
async def database() -> AsyncGenerator[PostgresSettings]:
    """Settings of an empty database of this run alone; the product makes the schema when it starts."""
    async with _database_server() as superuser:
        name = f"bench_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(superuser, autocommit=True) as server:
            server.execute(f"CREATE ROLE {name} LOGIN CREATEROLE")  # pyright: ignore[reportArgumentType, reportCallIssue]
            server.execute(f"CREATE DATABASE {name} OWNER {name}")  # pyright: ignore[reportArgumentType, reportCallIssue]
            try:
                yield PostgresSettings(
                    dsn=make_conninfo(superuser, dbname=name, user=PostgresSettings().application_role),
                    owner_dsn=make_conninfo(superuser, dbname=name, user=name),
                )
            finally:
                server.execute(f"DROP DATABASE {name} WITH (FORCE)")  # pyright: ignore[reportArgumentType, reportCallIssue]
                server.execute(f"DROP ROLE {name}")  # pyright: ignore[reportArgumentType, reportCallIssue]


@asynccontextmanager
async def _database_server() -> AsyncGenerator[str]:
    """A superuser's connection string."""
    if POSTGRES_VARIABLE in os.environ:
        yield os.environ[POSTGRES_VARIABLE]
        return
    with tempfile.TemporaryDirectory(prefix="contactbus-bench-postgres-") as folder:
        # The server runs as another user when we are root.
        os.chmod(folder, 0o755)  # noqa: S103
        server = PostgresServer(Path(folder) / "server")
        try:
            await asyncio.to_thread(server.start)
            yield server.dsn
        finally:
            await asyncio.to_thread(server.stop)
