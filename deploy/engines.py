"""Which engine carries a process, chosen by `[bus] engine`, and what has to run beside it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bus.adapter.hosting import Door
from bus.clock import Clock
from bus.config import Layered
from bus.delivery import ledger
from bus.engine import Engine
from bus.log.embedded import EmbeddedEngine
from bus.message import Reply
from bus.store.port import Store
from bus.telemetry import Metrics
from deploy import migrations
from deploy.migrate_source import refuse_carried_over
from deploy.settings import BusSettings, ProductSettings
from workers.packs import Pack

__all__ = ["Opened", "Part", "open_engine"]

Part = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An open engine."""

    engine: Engine
    door: Door
    close: Callable[[], Awaitable[None]]
    parts: Mapping[str, Part] = field(default_factory=dict[str, Part])
    local: Store | None = None
    """With Kafka: the spool's own engine, for what concerns this host alone."""
    bus_away: Callable[[], bool] = lambda: False
    """With Kafka: whether accepted contacts wait for brokers that do not answer (`Spool.away`)."""


async def open_engine(
    layers: Layered,
    settings: ProductSettings,
    bus: BusSettings,
    *,
    pack: Pack,
    clock: Clock,
    metrics: Metrics,
    doors: bool,
    ordinal: int,
) -> Opened:
    """Open the engine of a process. Raises ConfigurationError with what is missing or unsafe, and its cure."""

    def plan_reply(reply: Reply) -> Any:
        return ledger.plan(reply, clock.now())

    refuse_carried_over(settings.data_dir)
    migrations.upgrade(settings.data_dir)
    engine = await EmbeddedEngine.open(settings.data_dir, clock=clock, plan_reply=plan_reply)
    return Opened(engine=engine, door=engine, close=engine.close)
