"""From the embedded engine to Kafka and PostgreSQL: everything comes along, in order, and nothing comes twice."""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import select

from bus.adapter.hosting import contact_record
from bus.clock import SystemClock
from bus.config import Layered
from bus.delivery import ledger
from bus.delivery.dead_letters import dead_letter, dead_letter_audit, dead_letter_outcome, discard, list_dead_letters
from bus.delivery.outcome import NOTHING, Outcome, SetTimer
from bus.delivery.parking import park, parked
from bus.delivery.runner import WorkerRunner
from bus.errors import ConfigurationError
from bus.log.embedded import EmbeddedEngine
from bus.log.kafka import KafkaLog
from bus.log.partition import partition_of
from bus.log.port import Delivery, Record, StoredRecord
from bus.log.tables import timer
from bus.log.topics import CASE_TIMER, CONTACT_IDENTIFIED, CONTACT_RECEIVED
from bus.message import Contact, Party
from bus.store.port import Effect
from bus.store.postgres import PostgresStore
from bus.telemetry import Metrics
from deploy import migrate as migrate_module
from deploy import migrations
from deploy.migrate import migrate
from deploy.migrate_source import CARRIED_OVER
from deploy.settings import ProductSettings, load
from workers.case.schema import cases
from workers.desk.files import FileKeeper
from workers.intake.worker import IntakeWorker

CLOCK = SystemClock()
NOW = datetime.now(UTC)


def contact(number: int) -> Contact:
    return Contact(
        id=f"c-{number}", tenant="shop", channel="email", account="hilfe@shop.example",
        sender=Party(kind="email", address=f"kunde{number % 7}@kunde.example"), subject="Frage",
        text=f"Wann haben Sie geöffnet? ({number})", occurred_at=NOW, received_at=NOW,
    )  # fmt: skip


async def open_old(folder: Path) -> EmbeddedEngine:
    folder.mkdir(exist_ok=True)
    migrations.upgrade(folder)
    return await EmbeddedEngine.open(folder, clock=CLOCK, plan_reply=lambda reply: ledger.plan(reply, CLOCK.now()))


async def work_off(engine: EmbeddedEngine, worker: Any) -> None:
    """Let one group finish everything that is there."""
    runner = WorkerRunner(
        worker, log_port=engine, store=engine, clock=CLOCK, metrics=Metrics(), member="m",
        desk_case=lambda record, reason: NOTHING, jitter=random.Random(1),
    )  # fmt: skip
    task = asyncio.create_task(runner.run())
    while sum(count for count, _ in (await engine.lag(worker.group, worker.topics)).values()):
        await asyncio.sleep(0.02)
    runner.stop()
    await task


async def fill(folder: Path) -> dict[str, list[str]]:
    """A folder with work in every state; the ids that are open for triage and for intake, in order of appending."""
    engine = await open_old(folder)
    await engine.append([contact_record(contact(n)) for n in range(40)], once=True)
    await work_off(engine, IntakeWorker(store=engine, clock=CLOCK))
    await work_off(engine, FileKeeper())
    # One record is a dead letter, settled by a person, and one is finished in the middle of the others.
    subscription = await engine.subscribe("triage", [CONTACT_IDENTIFIED], member="m")
    fetched: list[StoredRecord] = []
    while len(fetched) < 40:
        fetched += await subscription.fetch(100, 1)
    fetched.sort(key=lambda record: record.offset)
    done, parked_one, poison = fetched[5], fetched[11], fetched[17]
    await engine.apply(
        [
            Effect(outcome=NOTHING, source=Delivery.of("triage", done)),
            Effect(
                outcome=Outcome(
                    writes=(
                        park("triage", parked_one, attempts=3, until=NOW, failed_at=NOW, reason="transient"),
                    )
                ),
                source=Delivery.of("triage", parked_one),
            ),
            Effect(
                outcome=dead_letter_outcome(
                    poison, group="triage", reason="poison", attempts=1, now=NOW, desk_case=lambda r, why: NOTHING
                ),
                source=Delivery.of("triage", poison),
            ),
            Effect(
                outcome=Outcome(
                    timers=(
                        SetTimer(
                            id="t-1", due=NOW + timedelta(days=1), topic=CASE_TIMER, key="k", kind="timer",
                            value=b"\x00\xff", tenant="shop",
                        ),
                    )
                )
            ),
        ]
    )  # fmt: skip
    await subscription.close()
    (letter,) = await list_dead_letters(engine)
    assert await discard(engine, letter["id"], actor="eva", now=NOW)
    await engine.append([contact_record(contact(n)) for n in range(40, 60)], once=True)
    out = {done.id, parked_one.id, poison.id}
    received = [
        record
        for number in range(8)
        for record in await engine.read(CONTACT_RECEIVED, number)
        if int(record.id.partition("-")[2]) >= 40
    ]
    await engine.close()
    return {
        CONTACT_IDENTIFIED: [record.id for record in fetched if record.id not in out],
        CONTACT_RECEIVED: [record.id for record in sorted(received, key=lambda record: record.offset)],
    }


class Target:
    """The new house, as an operator's tools see it."""

    def __init__(self, grounds: Any, folder: Path) -> None:
        self.grounds = grounds
        self.folder = folder
        self.layers: Layered = load(grounds.config, {}, {"product": {"data": str(folder)}})
        self.settings: ProductSettings = self.layers.section("product", ProductSettings)
        self.said: list[str] = []

    async def migrate(self, source: Path) -> Any:
        return await migrate(self.layers, self.settings, source, CLOCK, self.said.append)

    async def records(self, topic: str) -> list[StoredRecord]:
        log = KafkaLog(self.grounds.kafka)
        try:
            return [record for number in range(8) for record in await log.read(topic, number)]
        finally:
            await log.close()

    async def rows(self, statement: Any) -> list[Any]:
        store = await PostgresStore.open(self.grounds.postgres, tenant="shop")
        try:
            return list(await store.all(statement))
        finally:
            await store.close()


@pytest_asyncio.fixture
async def target(grounds: Any, tmp_path: Path) -> AsyncIterator[Target]:
    yield Target(grounds, tmp_path / "new")


async def test_everything_comes_along_in_order_and_once(target: Target, tmp_path: Path) -> None:
    source = tmp_path / "old"
    open_ids = await fill(source)
    (source / "signing.key").write_bytes(b"k" * 32)
    (source / "blobs" / "ab").mkdir(parents=True)
    (source / "blobs" / "ab" / "cd").write_bytes(b"letter")
    carried = await target.migrate(source)

    for topic, ids in open_ids.items():
        found = await target.records(topic)
        assert {record.id for record in found} == set(ids)
        assert carried.records[topic] == len(found) == len(ids)
        place = {name: number for number, name in enumerate(ids)}
        for number in range(8):
            there = [place[record.id] for record in found if record.partition == number]
            assert there == sorted(there), "in the old order"
        assert all(partition_of(record.key, 8) == record.partition for record in found)
        assert all(record.headers["tenant"] == "shop" for record in found)
    # The file keeper had finished what triage had not.
    assert carried.inbox == len(open_ids[CONTACT_IDENTIFIED])
    store = await PostgresStore.open(target.grounds.postgres, tenant="shop")
    for group, expected in (("desk-files", "duplicate"), ("triage", "")):
        effects = [
            Effect(outcome=NOTHING, source=Delivery.of(group, record))
            for record in await target.records(CONTACT_IDENTIFIED)
        ]
        assert {result.reason for result in await store.apply(effects)} == {expected}, group
    await store.close()

    assert len(await target.rows(select(cases))) == carried.rows["cases"] == 40
    (waiting,) = await target.rows(select(parked))
    assert waiting["log_offset"] < 0, "before whatever is parked on Kafka"
    (alarm,) = await target.rows(select(timer))
    assert (alarm["id"], bytes(alarm["value"])) == ("t-1", b"\x00\xff")
    (letter,) = await target.rows(select(dead_letter))
    assert letter["state"] == "discarded"
    (audit,) = await target.rows(select(dead_letter_audit))
    assert (audit["dead_letter"], audit["actor"]) == (letter["id"], "eva")

    assert (target.folder / "signing.key").read_bytes() == b"k" * 32
    assert (target.folder / "blobs" / "ab" / "cd").read_bytes() == b"letter"
    assert (source / CARRIED_OVER).exists()
    with pytest.raises(ConfigurationError, match="goes on there"):
        await target.migrate(source)


async def test_a_move_that_breaks_off_is_taken_up_and_nothing_is_handled_twice(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "old"
    open_ids = await fill(source)
    whole = migrate_module._Carrier._note_finished  # pyright: ignore[reportPrivateUsage]
    calls = 0

    async def breaks(self: Any, batch: Any) -> int:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise ConfigurationError("the power is gone")
        return await whole(self, batch)

    monkeypatch.setattr(migrate_module._Carrier, "_note_finished", breaks)
    with pytest.raises(ConfigurationError, match="the power is gone"):
        await target.migrate(source)
    assert not (source / CARRIED_OVER).exists()
    before = await target.records(CONTACT_IDENTIFIED)
    assert before, "the try got so far"

    carried = await target.migrate(source)
    assert any("taken up" in line for line in target.said)
    found = await target.records(CONTACT_IDENTIFIED)
    assert {record.id for record in found} == set(open_ids[CONTACT_IDENTIFIED])
    place = {name: number for number, name in enumerate(open_ids[CONTACT_IDENTIFIED])}
    for number in range(8):
        first_seen = list(dict.fromkeys(record.id for record in found if record.partition == number))
        assert [place[name] for name in first_seen] == sorted(place[name] for name in first_seen)
    assert len(await target.rows(select(cases))) == carried.rows["cases"] == 40


async def test_a_folder_in_use_and_a_target_that_is_not_empty_are_refused(target: Target, tmp_path: Path) -> None:
    source = tmp_path / "old"
    engine = await open_old(source)
    subscription = await engine.subscribe("intake", [CONTACT_RECEIVED], member="host-17")
    with pytest.raises(ConfigurationError, match="in use by host-17"):
        await target.migrate(source)
    await subscription.close()
    await engine.close()
    log = KafkaLog(target.grounds.kafka)
    await log.append([Record(topic=CONTACT_RECEIVED, key="k", value=b"{}", id="other")])
    await log.close()
    with pytest.raises(ConfigurationError, match=r"not empty: the topic contact\.received"):
        await target.migrate(source)
    with pytest.raises(ConfigurationError, match="no data folder"):
        await target.migrate(tmp_path / "nowhere")
    assert (source / "bus.sqlite").exists()
    assert not (source / CARRIED_OVER).exists()


async def test_another_folders_work_is_not_mixed_in(target: Target, tmp_path: Path) -> None:
    for name in ("one", "two"):
        await (await open_old(tmp_path / name)).close()
    await target.migrate(tmp_path / "one")
    with pytest.raises(ConfigurationError, match="another data folder"):
        await target.migrate(tmp_path / "two")
    shutil.rmtree(tmp_path / "new")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "signing.key").write_bytes(b"x" * 32)
    (tmp_path / "one" / CARRIED_OVER).unlink()
    (tmp_path / "one" / "signing.key").write_bytes(b"y" * 32)
    with pytest.raises(ConfigurationError, match="another key"):
        await target.migrate(tmp_path / "one")
