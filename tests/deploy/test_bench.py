"""The command `bench`, and that its measurements measure what they say."""

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from bus.log.kafka_settings import KafkaSettings
from bus.store.sqlite_file import DATABASE_NAME
from deploy.bench import contenders, growth, kafka, lanes
from deploy.bench.house import open_house
from deploy.bench.rows import Options, Row, row
from deploy.bench.timers import Crowd, measure
from deploy.cli import main
from deploy.cli.measure import BENCHES
from workers.case.changes import load_case


def test_a_goal_is_met_from_one_side_only() -> None:
    assert row("rate", 1500.04, "1/s", at_least=1500) == {
        "name": "rate", "value": 1500.0, "unit": "1/s", "goal": 1500, "met": True,
    }  # fmt: skip
    assert row("rate", 1499.96, "1/s", at_least=1500)["met"] is False
    assert row("cost", 35.01, "us", at_most=35)["met"] is False
    assert row("cost", 0, "files", at_most=0)["met"] is True
    assert row("disk", 0.4, "ms")["met"] is None


def test_rows_as_table_and_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row("appends", 12000, "1/s", at_least=10_000, digits=0), row("disk", 0.4, "ms")]
    asked: list[Options] = []

    async def measured(options: Options) -> list[Row]:
        asked.append(options)
        return rows

    monkeypatch.setattr("deploy.bench.soak.run", measured)
    done = CliRunner().invoke(main, ["bench", "soak", "1.5", "--bus", "kafka", "--json"])
    assert json.loads(done.stdout) == rows
    assert set(rows[0]) == {"name", "value", "unit", "goal", "met"}
    assert asked == [Options(bus="kafka", minutes=1.5)]
    table = CliRunner().invoke(main, ["bench", "soak"]).stdout
    assert "12,000" in table
    assert "yes" in table


def test_every_measurement_can_be_asked_for() -> None:
    assert set(BENCHES) == {"bus", "kafka", "lanes", "path", "growth", "soak", "timers"}
    for module in BENCHES.values():
        assert callable(__import__(module, fromlist=["run"]).run)


async def test_lanes_keep_the_order_of_each_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "RECORDS", 500)
    rows = {each["name"]: each for each in await lanes.run(Options())}
    for keys in ("100 keys", "1,000 keys"):
        assert rows[f"the same: out of order, {keys}"]["value"] == 0
        assert rows[f"the same: most at once, {keys}"]["value"] > 50


async def test_an_order_that_is_broken_is_seen() -> None:
    work = lanes._Work()
    later, earlier = (lanes._record(number, "key", 0.0) for number in (1, 0))
    await work.handle(later)
    await work.handle(earlier)
    assert work.out_of_order == 1


async def test_stored_cases_are_cases_and_new_contacts_are_counted_alone() -> None:
    async with open_house("embedded") as house:
        engine, folder = house.core.engine, house.core.data_dir
        await asyncio.to_thread(growth.fill, folder, 0, 40)
        await asyncio.to_thread(growth.fill, folder, 40, 100)
        counts = await asyncio.to_thread(_counts, folder)
        assert counts == {
            "cases": 100, "case_event": 200, "contact_case": 100, "thread": 100, "person": 100 + counts["demo"],
            "send_ledger": 100, "demo": counts["demo"],
        }  # fmt: skip
        case = await load_case(engine, "shop", await asyncio.to_thread(_some_case, folder))
        assert case is not None
        assert (case.status, case.version) == ("closed", 2)
        await house.answered(within_s=1)
        await house.accept_all("few", 3)
        with pytest.raises(Exception, match="3 contacts were not answered within 0 s, 0 were"):
            await house.answered(within_s=0)


def _counts(folder: Path) -> dict[str, int]:
    connection = sqlite3.connect(folder / DATABASE_NAME)
    tables = ("cases", "case_event", "contact_case", "thread", "person", "send_ledger")
    try:
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}
        return {**counts, "demo": connection.execute("SELECT count(*) FROM customer").fetchone()[0]}
    finally:
        connection.close()


def _some_case(folder: Path) -> str:
    connection = sqlite3.connect(folder / DATABASE_NAME)
    try:
        return connection.execute("SELECT id FROM cases LIMIT 1 OFFSET 70").fetchone()[0]
    finally:
        connection.close()


@pytest.mark.parametrize("name", ["contactbus", "aiokafka", "faststream-batch"])
async def test_contenders_read_everything_from_a_real_broker(
    kafka_settings: KafkaSettings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(kafka, "RECORDS", 2_000)
    await kafka._fill(kafka_settings)
    found = await contenders.CONTENDERS[name](",".join(kafka_settings.bootstrap), kafka_settings.topic_prefix, 2_000)
    assert 1_000 <= found["records"] <= 2_000
    assert 0 < found["us"] < 1e6
    assert found["rate"] > 0


async def test_timers_of_a_killed_process_are_fired_once_by_the_next() -> None:
    rows = {row["name"]: row for row in await measure(Crowd(waiting=3_000, due=400, within_s=3.0, ahead_s=3.0))}
    assert rows["fired"]["value"] == 400
    assert rows["fired twice"]["value"] == 0
    assert rows["fired before their time"]["value"] == 0
    assert 0 < rows["nobody fires, from SIGKILL to the next start"]["value"] < 60
