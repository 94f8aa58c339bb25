"""A house that outgrew its machine: begun on one file, carried over in the middle of its work, answered on Kafka."""

import asyncio
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from storyhouse.grounds import CHANNELS, on_kafka

from bus.clock import SystemClock
from bus.delivery import ledger
from bus.log.embedded import EmbeddedEngine
from deploy import migrations
from workers.records.demo import load_demo


@pytest_asyncio.fixture
async def moving(
    tmp_path: Path, mailbox: Any, learned: Path, tools: Any, kafka_bootstrap: str, postgres_settings: Any
) -> AsyncIterator[tuple[Any, dict[str, str]]]:
    """A house on the embedded engine, and the environment that makes it one on Kafka and PostgreSQL."""
    data = tmp_path / "data"
    shutil.copytree(learned, data)
    migrations.upgrade(data)
    clock = SystemClock()
    engine = await EmbeddedEngine.open(data, clock=clock, plan_reply=lambda reply: ledger.plan(reply, clock.now()))
    await load_demo(engine, clock)
    await engine.close()
    environment = await on_kafka(kafka_bootstrap, postgres_settings)
    blank = tools.product(data, mailbox)
    house = tools.house(data, mailbox, blank.http_port, blank.smtp_port)
    yield house, environment
    await house.end()


@pytest.mark.timeout(300)
async def test_open_work_goes_on_there_and_is_answered_once(moving: Any, tools: Any) -> None:
    house, kafka = moving

    def write(number: int) -> str:
        address = f"kunde{number}@kunde.example"
        text = f"Guten Tag, wann haben Sie samstags geöffnet? ({number})"
        house.send(tools.mail(f"Kunde <{address}>", "Frage", text))
        return address

    async def answered(addresses: list[str]) -> bool:
        return all(house.mailbox.sent_to(address) for address in addresses)

    # On the old engine some are answered; of others only intake has heard, of the last nobody.
    parts = await asyncio.gather(house.run("serve", *CHANNELS), house.run("workers", "run", "all"))
    before = [await asyncio.to_thread(write, number) for number in range(3)]
    await tools.eventually(lambda: answered(before), 60, "answers on the old engine")
    parts[1].send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(parts[1].wait(), 30) == 0
    intake = await house.run("workers", "run", "intake")
    known = [await asyncio.to_thread(write, number) for number in range(3, 9)]

    async def heard() -> bool:
        rows = {row["group"]: row["behind"] for row in await house.cli("workers", "list")}
        return rows["intake"] == 0 and rows["triage"] == len(known)

    await tools.eventually(heard, 60, "intake has heard of them, triage has not")
    intake.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(intake.wait(), 30) == 0
    unheard = [await asyncio.to_thread(write, number) for number in range(9, 12)]
    parts[0].send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(parts[0].wait(), 30) == 0
    cases = {case["id"]: case["number"] for case in await house.cli("cases", "list")}

    house.environment.update(kafka)
    carried = await house.cli("migrate", "--from", str(house.data))
    assert carried["records"]["contact.received"] == len(unheard)
    assert carried["records"]["contact.identified"] == len(known)
    assert carried["rows"]["cases"] == len(cases)
    assert {case["id"]: case["number"] for case in await house.cli("cases", "list")} == cases

    doors, workers = await asyncio.gather(house.run("serve", *CHANNELS), house.run("workers", "run", "all"))
    after = [await asyncio.to_thread(write, 12)]
    everybody = [*before, *known, *unheard, *after]
    await tools.eventually(lambda: answered(everybody), 90, "an answer to everybody, on Kafka")

    async def nothing_left() -> bool:
        return sum(row["behind"] for row in await house.cli("workers", "list")) == 0

    await tools.eventually(nothing_left, 60, "no work left")
    answers = Counter(address for address, _ in {(mail.rcpt_to[0], mail.message_id) for mail in house.mailbox.mails})
    assert {address: answers[address] for address in everybody} == dict.fromkeys(everybody, 1)
    assert len(await house.cli("cases", "list")) == len(everybody)
    assert await house.cli("dead-letters", "list") == []
    for part in (doors, workers):
        part.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(part.wait(), 30) == 0

    # The old engine does not start on the folder any more: its customers would be answered twice.
    house.environment["CONTACTBUS_BUS__ENGINE"] = "embedded"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", "workers", "run", "all", "--data", str(house.data),
        stderr=asyncio.subprocess.PIPE, env=house.environment,
    )  # fmt: skip
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"goes on there" in said
