"""Reading a data folder beside the running product: for the commands that list and show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import bindparam, func, select

from bus.clock import Clock, SystemClock
from bus.config import Layered
from bus.delivery.dead_letters import dead_letter
from bus.delivery.ledger import send_ledger
from bus.delivery.parking import parked
from bus.errors import ConfigurationError
from bus.log.embedded import EmbeddedEngine
from bus.log.topics import CONTACT_RECEIVED, topic
from bus.message import Contact, Reply, decode
from bus.store.port import Store
from bus.store.sqlite_file import DATABASE_NAME
from bus.telemetry import configure_logging
from deploy import migrations
from deploy.core import Core, open_core
from deploy.departments import topics_by_group
from deploy.presence import present
from deploy.settings import BusSettings, ProductSettings

__all__ = ["contact_list", "group_rows", "opened", "opened_letters", "reply_list"]

_PAGE = 1000

_NO_LIMIT = 2**62
"""More rows than there will ever be: PostgreSQL takes no negative limit."""

_dead = (
    select(dead_letter.c.group_name, func.count().label("letters"))
    .where(dead_letter.c.state == "open")
    .group_by(dead_letter.c.group_name)
)
_parked = select(parked.c.group_name, func.count(parked.c.record_key.distinct()).label("keys")).group_by(
    parked.c.group_name
)
_replies = (
    select(send_ledger)
    .where(send_ledger.c.tenant == bindparam("tenant"))
    .order_by(send_ledger.c.planned_at, send_ledger.c.reply)
    .limit(bindparam("most"))
)


@asynccontextmanager
async def opened(layers: Layered, settings: ProductSettings) -> AsyncIterator[Core]:
    """A data folder that exists already. Raises ConfigurationError when it does not: looking makes nothing."""
    configure_logging("ERROR")
    folder = settings.data_dir
    if not folder.is_dir():
        raise ConfigurationError(f"there is no data folder {folder}; name it with --data, or start `contactbus up`")
    bus: BusSettings = layers.section("bus", BusSettings)
    if bus.engine == "embedded" and not (folder / DATABASE_NAME).is_file():
        raise ConfigurationError(f"{folder} holds no data of contactbus; name its folder with --data")
    core = await open_core(layers, settings, public_url="")
    try:
        yield core
    finally:
        await core.close()


@asynccontextmanager
async def opened_letters(
    layers: Layered, settings: ProductSettings, *, spool: bool
) -> AsyncIterator[tuple[Store, Clock]]:
    """The store in which dead letters lie, and its clock: the house's, or that of this host's own `spool`, of which the
    house knows nothing.

    Letters of the spool may be looked at and settled while its gateway runs, and while brokers and database are away.
    Raises ConfigurationError when there is none.
    """
    if not spool:
        async with opened(layers, settings) as core:
            yield core.engine, core.clock
        return
    configure_logging("ERROR")
    bus = layers.section("bus", BusSettings)
    folder = bus.spool_dir(settings.data_dir)
    if bus.engine != "kafka":
        raise ConfigurationError("[bus] engine is embedded, which has no spool: leave --spool out")
    if not folder.is_dir():
        raise ConfigurationError(f"there is no spool {folder} on this host; [bus] spool names another folder")
    migrations.upgrade(folder)
    clock = SystemClock()
    engine = await EmbeddedEngine.open(folder, clock=clock)
    try:
        yield engine, clock
    finally:
        await engine.close()


async def contact_list(core: Core, limit: int | None) -> list[Contact]:
    """Contacts of the tenant as they lie in the log, oldest first, over all partitions.

    A relay may have appended a contact twice; it is listed where it came first.
    """
    contacts: dict[str, tuple[int, Contact]] = {}
    for partition in range(topic(CONTACT_RECEIVED).partitions):
        start = 0
        while records := await core.engine.read(CONTACT_RECEIVED, partition, start=start, limit=_PAGE):
            for record in records:
                contacts.setdefault(record.id, (record.offset, decode(record.value, Contact)))
            start = records[-1].offset + 1
    found = sorted(contacts.values(), key=lambda pair: pair[0])
    return [contact for _, contact in found if contact.tenant == core.settings.tenant][:limit]


async def reply_list(core: Core, limit: int | None) -> list[dict[str, Any]]:
    """Replies of the tenant with their state, oldest first."""
    rows = await core.engine.all(
        _replies, {"tenant": core.settings.tenant, "most": _NO_LIMIT if limit is None else limit}
    )
    listed: list[dict[str, Any]] = []
    for row in rows:
        reply = decode(row["body"].encode(), Reply)
        listed.append(
            {
                "id": reply.id,
                "case": reply.case,
                "channel": reply.channel,
                "kind": reply.kind,
                "state": row["state"],
                "attempt": row["attempt"],
                "reason": row["reason"],
                "language": reply.language,
                "to": reply.to,
                "subject": reply.subject,
                "text": reply.text,
                "provider_id": row["provider_id"],
                "planned_at": row["planned_at"],
                "changed_at": row["changed_at"],
            }
        )
    return listed


async def group_rows(core: Core) -> list[dict[str, Any]]:
    """Every consumer group: who runs it, how far behind it is, what waits by key and what was given up."""
    letters = {row["group_name"]: row["letters"] for row in await core.engine.all(_dead)}
    waiting = {row["group_name"]: row["keys"] for row in await core.engine.all(_parked)}
    members = await present(core.engine, core.clock, core.settings.tenant)
    groups = topics_by_group(core.settings.channels)
    lags = await asyncio.gather(*(core.engine.lag(group, topics) for group, topics in groups.items()))
    return [
        {
            "tenant": core.settings.tenant,
            "group": group,
            "members": [member.member for member in members if group in member.runs],
            "behind": sum(behind for behind, _ in lag.values()),
            "oldest_s": max((age for _, age in lag.values()), default=0.0),
            "parked": waiting.get(group, 0),
            "dead_letters": letters.get(group, 0),
        }
        for group, lag in zip(groups, lags, strict=True)
    ]
