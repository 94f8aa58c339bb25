"""What `contactbus doctor` looks at when records travel on Kafka and state lies in PostgreSQL."""

import asyncio
import os
from typing import Any

import msgspec

from bus.config import Layered
from bus.errors import ConfigurationError, TransientError
from bus.log.kafka_settings import KafkaSettings, check_settings
from bus.store.postgres_settings import PostgresSettings
from deploy.findings import finding, given_up
from deploy.settings import BusSettings, ProductSettings

__all__ = ["examine_distributed"]

_MOST_NAMED = 5
"""Differences told one by one; `contactbus topics plan` lists all."""


async def examine_distributed(layers: Layered, settings: ProductSettings, bus: BusSettings) -> list[dict[str, Any]]:
    """Findings in the order in which one would mend them."""
    try:
        kafka: KafkaSettings = layers.section("kafka", KafkaSettings)
        check_settings(kafka)
        postgres: PostgresSettings = layers.section("postgres", PostgresSettings)
    except ConfigurationError as error:
        return [finding("engine settings", False, str(error), "correct the setting")]
    return [
        *await _brokers(kafka, settings),
        *await _database(postgres, settings),
        _spool(settings, bus),
    ]


async def _brokers(kafka: KafkaSettings, settings: ProductSettings) -> list[dict[str, Any]]:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    from bus.log.kafka_client import client_options
    from deploy.kafka.topics import declared_topics, make_plan, why_no_broker

    addresses = ", ".join(kafka.bootstrap)
    try:
        client = AIOKafkaAdminClient(**client_options(kafka))
    except ConfigurationError as error:
        return [finding("engine settings", False, str(error), "correct the setting")]
    try:
        await client.start()
        count = len((await client.describe_cluster())["brokers"])
        differences = await make_plan(kafka, declared_topics(settings.channels))
    except (KafkaError, OSError, TimeoutError, ConfigurationError) as error:
        detail = f"{await why_no_broker(kafka, error)}; contacts wait in the spool meanwhile"
        cure = "start the brokers, or correct the setting that is named"
        return [finding("brokers", False, detail, cure)]
    finally:
        await client.close()
    enough = count >= kafka.replication_floor
    findings = [
        finding(
            "brokers",
            enough,
            f"{count} at {addresses}, {kafka.replication_floor} copies of each record",
            "start as many brokers as there shall be copies; replication_floor = 1 is for development alone",
        )
    ]
    open_to_us = [each for each in differences if each.action != "by-hand"]
    by_hand = [each for each in differences if each.action == "by-hand" and each.why != "recommended"]
    if open_to_us:
        names = sorted({each.name for each in open_to_us})
        detail = f"{len(names)} are missing or differ: {_some(names)}"
        findings.append(finding("topics", False, detail, "contactbus topics apply"))
    elif not by_hand:
        findings.append(finding("topics", True, "all there, with the partitions and copies that were declared"))
    findings += [
        finding(each.name, False, f"{each.setting} is {each.now or 'not set'} instead of {each.wanted}", each.why)
        for each in by_hand[:_MOST_NAMED]
    ]
    return findings


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"


async def _database(postgres: PostgresSettings, settings: ProductSettings) -> list[dict[str, Any]]:
    from deploy.migrations.postgres import upgrade

    if not postgres.dsn:
        return [finding("database", False, "no dsn is set in [postgres]", "name the database and the application role")]
    # Looking changes nothing: without the owner the schema is only compared.
    looking = msgspec.structs.replace(postgres, owner_dsn="")
    try:
        await asyncio.to_thread(upgrade, looking)
        common = await _hosts(looking, settings)
    except TransientError as error:
        return [finding("database", False, str(error), "start PostgreSQL, or correct dsn in [postgres]")]
    except ConfigurationError as error:
        return [
            finding("database", False, str(error), "contactbus needs [postgres] owner_dsn once, to make the schema")
        ]
    return [finding("database", True, "answers, has the newest schema and keeps tenants apart"), *common]


async def _hosts(postgres: PostgresSettings, settings: ProductSettings) -> list[dict[str, Any]]:
    """Whether this host has the key and the blobs of the others, as far as they said so, and what was given up."""
    from bus.delivery.dead_letters import unseen_letters
    from bus.store.postgres import PostgresStore
    from deploy.installation import differences

    store = await PostgresStore.open(postgres, tenant=settings.tenant)
    try:
        found = await differences(store, settings)
        letters = given_up(await unseen_letters(store, settings.tenant))
    finally:
        await store.close()
    if not found:
        return [finding("common ground", True, "signing key and blobs are those of the other hosts"), letters]
    return [*(finding("common ground", False, f"this host's {name} differs", cure) for name, cure in found), letters]


def _spool(settings: ProductSettings, bus: BusSettings) -> dict[str, Any]:
    place = folder = bus.spool_dir(settings.data_dir).absolute()
    while not place.exists():
        place = place.parent
    if not os.access(place, os.W_OK):
        return finding(
            "spool", False, f"{folder} cannot be written: no contact could be accepted", f"chown USER {place}"
        )
    return finding("spool", True, str(folder))
