"""Which engine carries a process, chosen by `[bus] engine`, and what has to run beside it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import structlog

from bus.adapter.hosting import Door
from bus.clock import Clock
from bus.config import Layered
from bus.delivery import ledger
from bus.engine import Engine
from bus.errors import ConfigurationError, TransientError
from bus.log.embedded import EmbeddedEngine
from bus.message import Reply
from bus.store.port import Store
from bus.telemetry import Metrics
from deploy import migrations
from deploy.migrate_source import refuse_carried_over
from deploy.settings import BusSettings, ProductSettings
from workers.packs import Pack

__all__ = ["Opened", "Part", "Role", "open_engine"]

log = structlog.get_logger()

_ASK_AGAIN_S = 2.0
"""Between two looks for servers that do not answer."""

Part = Callable[[], Awaitable[None]]


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """What a process does. `doors`: it takes contacts in. `workers`: it decides. Neither: it only looks.

    `name` tells processes of one host apart that may be members of the same consumer group.
    """

    member: str
    name: str = ""
    doors: bool = False
    workers: bool = False


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An open engine."""

    engine: Engine
    door: Door
    clock: Clock
    """The time of the house: with Kafka the database's, whatever this host's clock says."""
    close: Callable[[], Awaitable[None]]
    parts: Mapping[str, Part] = field(default_factory=dict[str, Part])
    local: Store | None = None
    """With Kafka: the spool's own engine, for what concerns this host alone."""
    bus_away: Callable[[], bool] = lambda: False
    """With Kafka: whether accepted contacts wait for brokers that do not answer (`Spool.away`)."""
    drain: Callable[[float], Awaitable[object]] | None = None
    """With a spool: wait so many seconds at most until the brokers have what it holds."""


async def open_engine(
    layers: Layered, settings: ProductSettings, *, role: Role, pack: Pack, clock: Clock, metrics: Metrics
) -> Opened:
    """Open the engine of a process. Raises ConfigurationError with what is missing or unsafe, and its cure."""
    bus: BusSettings = layers.section("bus", BusSettings)
    if bus.engine == "kafka":
        return await _distributed(layers, settings, bus, role, pack, clock, metrics)

    def plan_reply(reply: Reply) -> Any:
        return ledger.plan(reply, clock.now())

    refuse_carried_over(settings.data_dir)
    migrations.upgrade(settings.data_dir)
    engine = await EmbeddedEngine.open(settings.data_dir, clock=clock, plan_reply=plan_reply)
    return Opened(engine=engine, door=engine, clock=clock, close=engine.close)


async def _distributed(
    layers: Layered,
    settings: ProductSettings,
    bus: BusSettings,
    role: Role,
    pack: Pack,
    clock: Clock,
    metrics: Metrics,
) -> Opened:
    # Only who needs them pays for the clients of the servers.
    from bus.log.distributed import DistributedEngine
    from bus.log.kafka_settings import KafkaSettings, check_settings
    from bus.store.agreed_clock import AgreedClock, time_of
    from bus.store.postgres_settings import PostgresSettings

    def plan_reply(reply: Reply) -> Any:
        return ledger.plan(reply, agreed.now())

    agreed = AgreedClock(clock)
    kafka: KafkaSettings = layers.section("kafka", KafkaSettings)
    check_settings(kafka)
    if kafka.static_member:
        kafka = msgspec.structs.replace(kafka, static_member=f"{kafka.static_member}-{role.name}")
    postgres: PostgresSettings = layers.section("postgres", PostgresSettings)
    if not postgres.dsn:
        raise ConfigurationError("[postgres] dsn is missing: with Kafka, state lies in PostgreSQL")
    check = partial(_check, kafka, postgres, settings, clock)
    parts: dict[str, Part] = {}
    try:
        await check()
    except TransientError as error:
        if role.doors:
            # Whoever gets in touch is heard and told yes, whatever is away; what is unsafe shows as not ready.
            parts["checks"] = partial(_until_checked, check)
            log.warning("servers do not answer; contacts wait in the spool", reason=str(error))
        elif role.workers:
            await _until_checked(check)
        else:
            raise ConfigurationError(f"{error}; nothing can be shown") from None
    engine = await DistributedEngine.open(
        kafka, postgres, tenant=settings.tenant, clock=agreed, plan_reply=plan_reply, relays=role.workers
    )
    database = partial(time_of, engine)
    with contextlib.suppress(TransientError, TimeoutError):
        # Before anything is decided; a door that finds no database begins by its host's clock.
        await agreed.ask(database)
    parts["clock"] = partial(agreed.keep_asking, database)
    if not role.doors:
        return Opened(engine=engine, door=engine, clock=agreed, close=engine.close, parts=parts)
    return await _with_spool(layers, settings, bus, role, pack, agreed, metrics, engine, parts)


async def _with_spool(
    layers: Layered,
    settings: ProductSettings,
    bus: BusSettings,
    role: Role,
    pack: Pack,
    clock: Clock,
    metrics: Metrics,
    engine: Engine,
    parts: dict[str, Part],
) -> Opened:
    from bus.adapter.spool import Spool, SpoolSettings
    from deploy.dead_letter_case import desk_case

    folder = bus.spool_dir(settings.data_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"the spool {folder} cannot be used: {error.strerror}") from None
    migrations.upgrade(folder)
    local = await EmbeddedEngine.open(folder, clock=clock)
    spool = Spool(
        local,
        engine.append,
        member=role.member,
        clock=clock,
        metrics=metrics,
        desk_case=desk_case(clock, pack),
        settings=layers.section("spool", SpoolSettings),
    )

    async def close() -> None:
        await engine.close()
        await local.close()

    return Opened(
        engine=engine,
        door=spool,
        clock=clock,
        close=close,
        parts={**parts, "spool": spool.run},
        local=local,
        bus_away=lambda: spool.away,
        drain=spool.drain,
    )


async def _check(kafka: Any, postgres: Any, settings: ProductSettings, clock: Clock) -> None:
    """Raises ConfigurationError for what is unsafe or missing, TransientError while a server does not answer."""
    from aiokafka.errors import KafkaError

    from bus.store.postgres import PostgresStore
    from deploy.installation import agree, refuse_half_carried
    from deploy.kafka.topics import NoBroker, declared_topics, refuse_unsafe
    from deploy.migrations.postgres import upgrade

    try:
        async with asyncio.timeout(kafka.request_timeout_s):
            await refuse_unsafe(kafka, declared_topics(settings.channels))
    except NoBroker as error:
        raise TransientError(str(error)) from error
    except (KafkaError, OSError, TimeoutError) as error:
        raise TransientError(f"no broker answers at {', '.join(kafka.bootstrap)}") from error
    await asyncio.to_thread(upgrade, postgres)
    store = await PostgresStore.open(postgres, tenant=settings.tenant, clock=clock)
    try:
        await refuse_half_carried(store, settings.tenant)
        await agree(store, settings)
    finally:
        await store.close()


async def _until_checked(check: Part) -> None:
    """Ask until the servers answer. Raises ConfigurationError when what they answer is unsafe."""
    while True:
        try:
            return await check()
        except TransientError as error:
            log.warning("waiting for the servers", reason=str(error))
            await asyncio.sleep(_ASK_AGAIN_S)
