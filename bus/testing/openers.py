"""How suites and their child processes open the engines of the house: each from one text, its location."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bus.log.embedded import EmbeddedEngine
from bus.log.kafka_settings import KafkaSettings
from bus.store.postgres_settings import PostgresSettings

if TYPE_CHECKING:
    from bus.log.distributed import DistributedEngine

__all__ = ["Servers", "distributed", "embedded"]


class Servers(msgspec.Struct, frozen=True, kw_only=True):
    """The location of a distributed engine: as JSON it is the text that `distributed` opens."""

    kafka: KafkaSettings
    postgres: PostgresSettings
    tenant: str = "shop"


async def embedded(location: str) -> EmbeddedEngine:
    """The embedded engine on a folder, with its tables, on the machine's clock."""
    engine = await EmbeddedEngine.open(Path(location))
    await engine.create_schema()
    return engine


async def distributed(location: str) -> "DistributedEngine":
    """The distributed engine on servers that have its topics and tables, on the machine's clock."""
    # Here, because a process that only opens embedded engines starts in half the time without these clients.
    from bus.log.distributed import DistributedEngine

    servers = msgspec.json.decode(location, type=Servers)
    return await DistributedEngine.open(servers.kafka, servers.postgres, tenant=servers.tenant)
