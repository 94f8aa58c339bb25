"""A process on Kafka and PostgreSQL refuses what is unsafe with its cure, and takes contacts in whatever is away."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from bus.adapter.hosting import contact_record
from bus.adapter.spool import Spool
from bus.clock import SystemClock, to_micros
from bus.errors import ConfigurationError
from bus.log.kafka import KafkaLog
from bus.log.port import Delivery
from bus.log.topics import CONTACT_IDENTIFIED, CONTACT_RECEIVED
from bus.message import Contact, Party
from deploy.core import Core, open_core
from deploy.doctor import examine
from deploy.installation import note
from deploy.rewind import rewind
from deploy.settings import ProductSettings, load

CLOCK = SystemClock()


async def start(grounds: Any, data: Path, **role: Any) -> Core:
    layers = load(grounds.config, {}, {"product": {"data": str(data)}})
    return await open_core(layers, layers.section("product", ProductSettings), public_url="http://127.0.0.1", **role)


async def findings(grounds: Any, data: Path) -> dict[str, dict[str, Any]]:
    layers = load(grounds.config, {}, {"product": {"data": str(data)}})
    return {row["name"]: row for row in await examine(layers, layers.section("product", ProductSettings))}


def contact(number: int) -> Contact:
    now = CLOCK.now()
    return Contact(
        id=f"c-{number}", tenant="shop", channel="email", account="hilfe@shop.example",
        sender=Party(kind="email", address=f"kunde{number}@kunde.example"), text="Hallo", occurred_at=now,
        received_at=now,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("section", "toml", "told"),
    [
        ("kafka", "acks = '1'", "acks"),
        ("kafka", "enable_auto_commit = true", "enable_auto_commit"),
        ("kafka", "auto_offset_reset = 'latest'", "auto_offset_reset"),
        ("kafka", "auto_create_topics = true", "auto_create_topics"),
        ("kafka", "bootstrap = []", "bootstrap"),
        ("kafka", "replication_floor = 3\nmin_insync_replicas = 1", "min_insync_replicas"),
        ("postgres", "", "dsn is missing"),
        ("postgres", "pool_connections = 0", "pool_connections"),
        ("bus", "engine = 'rabbit'", "engine"),
    ],
)
async def test_unsafe_settings_are_refused_before_anything_is_touched(
    grounds: Any, tmp_path: Path, section: str, toml: str, told: str
) -> None:
    grounds.write(**{section: toml})
    with pytest.raises(ConfigurationError, match=told):
        await start(grounds, tmp_path / "data", workers=True)


async def test_missing_topics_too_few_copies_and_a_missing_schema_are_refused_with_their_cure(
    grounds: Any, tmp_path: Path, postgres_dsn: str
) -> None:
    data = tmp_path / "data"
    grounds.kafka = msgspec.structs.replace(grounds.kafka, topic_prefix=f"{grounds.kafka.topic_prefix}none.")
    grounds.write()
    with pytest.raises(ConfigurationError, match="contactbus topics apply"):
        await start(grounds, data, doors=True)
    assert (await findings(grounds, data))["topics"]["fix"] == "contactbus topics apply"

    prefix = grounds.kafka.topic_prefix.removesuffix("none.")
    copies = f"bootstrap = {list(grounds.kafka.bootstrap)}\ntopic_prefix = '{prefix}'\nreplication_floor = 3"
    grounds.write(kafka=copies)
    with pytest.raises(ConfigurationError, match="1 copies, replication_floor is 3"):
        await start(grounds, data, workers=True)
    assert (await findings(grounds, data))["brokers"]["ok"] is False

    grounds.kafka = msgspec.structs.replace(grounds.kafka, topic_prefix=prefix)
    name = f"empty_{os.getpid()}"
    with psycopg.connect(postgres_dsn, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            empty = make_conninfo(postgres_dsn, dbname=name, user="contactbus_app")
            grounds.write(postgres=f'dsn = "{empty}"')
            with pytest.raises(ConfigurationError, match="schema none"):
                await start(grounds, data, workers=True)
            database = (await findings(grounds, data))["database"]
            assert database["ok"] is False
            assert "owner_dsn" in database["detail"] + database["fix"]
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")

    grounds.write(postgres=f'dsn = "{postgres_dsn}"')
    with pytest.raises(ConfigurationError, match=r"which no policy holds back|schema none"):
        await start(grounds, data, workers=True)


async def test_a_healthy_house_is_found_healthy_and_a_host_that_differs_is_not_let_in(
    grounds: Any, tmp_path: Path
) -> None:
    core = await start(grounds, tmp_path / "one", workers=True)
    await core.close()
    rows = await findings(grounds, tmp_path / "one")
    for name in ("brokers", "topics", "database", "common ground", "spool"):
        assert rows[name]["ok"], rows[name]
    # Another host with a key of its own: its links would be worthless here, and ours there.
    with pytest.raises(ConfigurationError, match=r"signing key is not that of the other hosts: copy"):
        await start(grounds, tmp_path / "two", workers=True)
    assert (await findings(grounds, tmp_path / "two"))["common ground"]["ok"] is False
    (tmp_path / "two" / "signing.key").write_bytes((tmp_path / "one" / "signing.key").read_bytes())
    with pytest.raises(ConfigurationError, match="folder of blobs is not that of the other hosts: mount"):
        await start(grounds, tmp_path / "two", workers=True)
    layers = load(
        grounds.config, {}, {"product": {"data": str(tmp_path / "two"), "blobs": str(tmp_path / "one" / "blobs")}}
    )
    settings = layers.section("product", ProductSettings)
    core = await open_core(layers, settings, public_url="http://127.0.0.1", workers=True)
    # A move into this house that broke off: nobody works on half of the cases.
    await note(core.engine, "shop", "carrying-over-from", "host:/old")
    await core.close()
    with pytest.raises(ConfigurationError, match="contactbus migrate"):
        await start(grounds, tmp_path / "one", workers=True)


async def test_contacts_are_taken_in_while_brokers_and_database_are_away_and_travel_when_they_are_back(
    grounds: Any, tmp_path: Path
) -> None:
    away = (
        f"bootstrap = ['127.0.0.1:1']\ntopic_prefix = '{grounds.kafka.topic_prefix}'\n"
        "replication_floor = 1\nmin_insync_replicas = 1"
    )
    grounds.write(kafka=away, postgres='dsn = "host=127.0.0.1 port=1 dbname=x user=y"')
    core = await start(grounds, tmp_path / "data", doors=True)
    assert isinstance(core.door, Spool)
    assert set(core.parts) == {"checks", "clock", "spool"}
    began = asyncio.get_running_loop().time()
    assert await core.door.append([contact_record(contact(n)) for n in range(20)], once=True) == [0] * 20
    assert await core.door.append([contact_record(contact(3))], once=True) == [None]
    assert asyncio.get_running_loop().time() - began < 2.0
    await core.close()
    rows = await findings(grounds, tmp_path / "data")
    assert not rows["brokers"]["ok"]
    assert not rows["database"]["ok"]
    with pytest.raises(ConfigurationError, match="nothing can be shown"):
        await start(grounds, tmp_path / "data")

    grounds.write()
    core = await start(grounds, tmp_path / "data", doors=True)
    for name, part in core.parts.items():
        core.supervisor.run(name, part)

    async def arrived() -> list[str]:
        return [record.id for number in range(8) for record in await core.engine.read(CONTACT_RECEIVED, number)]

    async with asyncio.timeout(40):
        while len(await arrived()) < 20:
            await asyncio.sleep(0.1)
    assert sorted(await arrived()) == sorted(f"c-{n}" for n in range(20))
    await core.close()


async def test_neither_settings_nor_errors_show_the_passwords(grounds: Any, tmp_path: Path) -> None:
    grounds.write(
        kafka="security_protocol = 'SASL_SSL'\nusername = 'bus'\npassword = 'kafka-geheim'",
        postgres=(
            "dsn = 'host=127.0.0.1 port=1 password=pg-geheim'\nowner_dsn = 'postgresql://o:eier-geheim@127.0.0.1:1/x'"
        ),
    )
    said = tmp_path / "said"
    for command in (
        ["config", "show", "--origin"],
        ["doctor"],
        ["workers", "run", "intake"],
        ["migrate", "--from", "x"],
    ):
        with said.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "deploy.cli", *command, "--config", str(grounds.config),
                "--data", str(tmp_path / "d"), stdout=output, stderr=output,
            )  # fmt: skip
            # Workers wait for servers that are away; everything else ends by itself.
            while process.returncode is None and "waiting for the servers" not in said.read_text():
                await asyncio.wait({asyncio.ensure_future(process.wait())}, timeout=0.2)
            if process.returncode is None:
                process.kill()
                await process.wait()
        text = said.read_text()
        assert "geheim" not in text, command
        assert "Traceback" not in text, command
        assert text, command
    rows = (await findings(grounds, tmp_path / "d")).values()
    assert "geheim" not in json.dumps(list(rows))


async def test_groups_begin_again_at_a_moment_after_a_restore(grounds: Any, tmp_path: Path) -> None:
    log = KafkaLog(grounds.kafka)
    groups = {"intake": (CONTACT_RECEIVED,), "triage": (CONTACT_IDENTIFIED,)}
    await log.append([contact_record(contact(n)) for n in range(10)])
    first = await log.subscribe("intake", [CONTACT_RECEIVED], member="m")

    async def finish(count: int) -> list[str]:
        found: list[str] = []
        async with asyncio.timeout(40):
            while len(found) < count:
                records = await first.fetch(100, 1)
                await first.commit([Delivery.of("intake", record) for record in records])
                found += [record.id for record in records]
        return found

    await finish(10)
    last = max([record.at for number in range(8) for record in await log.read(CONTACT_RECEIVED, number)])
    while to_micros(CLOCK.now()) // 1000 <= last // 1000:
        await asyncio.sleep(0.001)
    copied_at = CLOCK.now()
    await log.append([contact_record(contact(n)) for n in range(10, 14)])
    await finish(4)
    with pytest.raises(ConfigurationError, match="intake has 1 members"):
        await rewind(grounds.kafka, groups, copied_at, CLOCK)
    await first.close()

    assert await rewind(grounds.kafka, groups, copied_at, CLOCK) == {"intake": 4}
    assert await rewind(grounds.kafka, groups, copied_at, CLOCK) == {}, "never forward, and not twice"
    first = await log.subscribe("intake", [CONTACT_RECEIVED], member="m")
    assert sorted(await finish(4)) == ["c-10", "c-11", "c-12", "c-13"]
    await first.close()
    await log.close()
