"""`contactbus replay` on a real data folder: what would be decided, and sending it only when asked twice."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from bus.delivery.ledger import send_ledger
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record
from bus.message import Contact, Party, derive_id, encode, envelope
from deploy import migrations
from deploy.cli.replay import replay as command
from workers.case.work import Understanding, WorkItem

NOW = datetime.now(UTC)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder in which one contact waits for the desk."""
    contact = Contact(
        id=derive_id("c", "shop", "one"), tenant="shop", channel="email", account="hilfe@shop.example",
        conversation="<1@kunde.example>", occurred_at=NOW, received_at=NOW, language="de",
        sender=Party(kind="email", address="kunde@kunde.example", name="Anke Petersen"),
        subject="Frage", text="Guten Tag, ich habe eine Frage an Sie.", native={"message_id": "<1@kunde.example>"},
    )  # fmt: skip
    item = WorkItem(
        contact=contact, case=derive_id("k", "shop", contact.id), person="", understanding=Understanding(language="de")
    )
    headers = envelope(record_id="w-1", kind="work", source="triage", tenant="shop", at=NOW)

    async def make() -> None:
        engine = await EmbeddedEngine.open(tmp_path)
        await engine.append(
            [Record(topic="work.desk.deferred", key=item.case, value=encode(item), id="w-1", headers=headers)]
        )
        await engine.close()

    migrations.upgrade(tmp_path)
    asyncio.run(make())
    return tmp_path


def replay(data: Path, *arguments: str, answer: str = "") -> tuple[int, list[Any], str]:
    """The command; its exit code, its objects and what it tells people."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "replay", "--data", str(data), *arguments],
        input=answer, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def planned(data: Path) -> list[str]:
    async def read() -> list[str]:
        engine = await EmbeddedEngine.open(data)
        rows = await engine.all(select(send_ledger.c.reply))
        await engine.close()
        return [row["reply"] for row in rows]

    return asyncio.run(read())


def test_replies_are_sent_only_when_it_is_asked_for_and_confirmed(data: Path) -> None:
    what = ("--group", "desk", "--topic", "work.desk.deferred", "--from", "2026-01-01", "--send")
    code, (found,), told = replay(data, *what, answer="n\n")
    assert code == 1
    assert (found["group"], found["record"], found["different"]) == ("shadow/desk", "w-1", True)
    (reply,) = found["replies"]
    assert (reply["was"], reply["channel"], reply["language"]) == ("absent", "email", "de")
    assert "1 records were decided" in told
    assert "Send 1 replies to customers, by email?" in told
    assert planned(data) == []

    assert replay(data, *what, "--yes")[0] == 0
    assert planned(data) == [reply["id"]]

    code, (again,), told = replay(data, *what, "--yes")
    assert code == 0
    assert [each["was"] for each in again["replies"]] == ["planned"]
    assert "no reply that was never planned" in told
    assert planned(data) == [reply["id"]]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--group", "send-email", "--id", "w-1"), "there are intake, triage"),
        (("--group", "desk"), "--from and --to, or --id"),
        (("--group", "desk", "--from", "yesterday"), "is no time"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(arguments: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert told in result.output
