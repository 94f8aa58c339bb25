"""`people`, `cases rebuild`, `cases compare` and `contacts list` on a real data folder."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import bindparam, update

from bus.clock import SystemClock
from bus.delivery.dead_letters import dead_letter_outcome
from bus.delivery.outcome import Outcome, Write
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.log.topics import CASE_TIMER, CONTACT_RECEIVED
from bus.message import Contact, Party, encode
from bus.store.permission import recipient_key, withdrawal_write
from bus.store.port import Effect
from deploy import migrations
from deploy.cli import main
from workers.case.schema import cases
from workers.intake.worker import IntakeWorker
from workers.records.demo import load_demo

_spoil = update(cases).where(cases.c.id == bindparam("b_id")).values(snapshot=bindparam("b_snapshot"))


async def _fill(data: Path, contact: Contact) -> None:
    clock = SystemClock()
    engine = await EmbeddedEngine.open(data, clock=clock)
    await load_demo(engine, clock)
    await engine.append([Record(topic=CONTACT_RECEIVED, key="k", value=encode(contact), id=contact.id)])
    [stored] = await engine.read(CONTACT_RECEIVED, _partition("k"), start=0, limit=1)
    worker = IntakeWorker(store=engine, clock=clock)
    await worker.prepare([stored])
    await engine.apply([Effect(outcome=await worker.handle(stored))])
    await engine.close()


def _partition(key: str) -> int:
    from bus.log.partition import partition_of
    from bus.log.topics import topic

    return partition_of(key, topic(CONTACT_RECEIVED).partitions)


async def _write(data: Path, *writes: Write) -> None:
    engine = await EmbeddedEngine.open(data, clock=SystemClock())
    await engine.apply([Effect(outcome=Outcome(writes=writes))])
    await engine.close()


def call(data: Path, *arguments: str, code: int = 0) -> Any:
    """A command with `--json`; what it prints, or its words when it is to fail."""
    done = CliRunner().invoke(main, [*arguments, "--data", str(data), "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 or done.stdout.startswith("{") else done.output


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with the demo's customers and one contact, which intake has taken."""
    folder = tmp_path / "data"
    folder.mkdir()
    migrations.upgrade(folder)
    now = SystemClock().now()
    contact = Contact(
        id="c-1", tenant="shop", channel="email", account="a", sender=Party(kind="email", address="new@else.example"),
        occurred_at=now, received_at=now, text="Hallo",
    )  # fmt: skip
    asyncio.run(_fill(folder, contact))
    return folder


def test_people_are_shown_merged_and_split_with_an_audit(data: Path) -> None:
    new, grete = "new@else.example", "C-1001"
    assert call(data, "people", "show", "+49305550101")["customer"] == grete
    assert "nobody" in call(data, "people", "show", "nobody@else.example", code=1)
    merged = call(data, "people", "merge", new, grete, "--reason", "says so on the phone")
    assert merged["name"] == "Grete Ohlsen"
    assert [each["number"] for each in merged["cases"]] == [call(data, "cases", "list")[0]["number"]]
    assert "already" in call(data, "people", "merge", new, grete, "--reason", "x", code=1)
    parted = call(data, "people", "split", new, "--reason", "it was her sister")
    assert parted["name"] == ""
    assert [(each["kind"], each["reason"]) for each in parted["changes"]] == [
        ("merged", "says so on the phone"), ("split", "it was her sister"),
    ]  # fmt: skip
    assert all(each["actor"] for each in parted["changes"])
    vouched = call(data, "people", "vouch", f"email:{new}", "--reason", "showed her passport")
    assert [each["level"] for each in vouched["identities"]] == ["staff"]
    assert vouched["changes"][-1]["kind"] == "vouched"
    assert "not there" in call(data, "people", "vouch", "email:nobody@else.example", "--reason", "x", code=1)
    assert "not merged" in call(data, "people", "split", new, "--reason", "x", code=1)


def test_what_was_said_about_being_contacted_and_what_follows(data: Path) -> None:
    new = "new@else.example"
    assert "nothing is known" in call(data, "consent", "show", "nobody@else.example", code=1)
    agreed = "emily.clarke@customer.example"
    before = call(data, "consent", "show", agreed)
    assert [(each["entry"]["purpose"], each["entry"]["given"]) for each in before["entries"]] == [("marketing", True)]

    def may(shown: Any, purpose: str, address: str) -> Any:
        found = [p for p in shown["permissions"] if (p["purpose"], p["address"]) == (purpose, address)]
        return {"reason": found[0]["reason"], "permitted": found[0]["permitted"], "by": found[0]["by"]}

    assert may(before, "service", agreed) == {"reason": "answers are always allowed", "permitted": True, "by": ""}
    assert may(before, "marketing", agreed)["by"] == "ticked at checkout, confirmed by double opt-in"
    assert may(before, "marketing", agreed)["reason"] in ("consent", "hours or days of rest")
    assert may(call(data, "consent", "show", new), "marketing", new)["reason"] == "no consent"
    person = before["person"]
    now = SystemClock().now()
    recipient = recipient_key("shop", Party(kind="email", address=agreed))
    asyncio.run(
        _write(data, withdrawal_write(tenant="shop", person=person, recipient=recipient, evidence="c-9", now=now))
    )
    call(data, "people", "merge", new, agreed, "--reason", "says so")
    after = call(data, "consent", "show", new)
    assert may(after, "marketing", agreed) == {"reason": "withdrawn", "permitted": False, "by": "c-9"}
    assert may(after, "survey", agreed)["permitted"] is False
    assert may(after, "service", agreed)["permitted"] is True
    assert [each["about"] for each in after["entries"]] == ["", f"email:{agreed}"]
    done = CliRunner().invoke(main, ["consent", "show", agreed, "--data", str(data)])
    assert "withdrawn" in done.output
    assert "all but answers" in done.output


def test_doctor_names_what_was_given_up_and_shows_in_no_case(data: Path) -> None:
    def finding() -> Any:
        done = CliRunner().invoke(main, ["doctor", "--data", str(data), "--json"])
        return next(row for row in json.loads(done.stdout) if row["name"] == "given up")

    assert finding()["ok"] is True
    record = StoredRecord(
        topic=CASE_TIMER, partition=0, offset=1, at=0, key="k-1", value=b"?", id="t-1", headers={"tenant": "shop"}
    )
    given_up = dead_letter_outcome(
        record, group="case", reason="poison", attempts=1, now=SystemClock().now(), desk_case=lambda *_: Outcome()
    )
    asyncio.run(_write(data, *given_up.writes))
    found = finding()
    assert (found["ok"], found["detail"]) == (False, "1 of case.timer by case: no case shows it")
    [letter] = call(data, "dead-letters", "list")
    settled = CliRunner().invoke(main, ["dead-letters", "discard", letter["id"], "--data", str(data)])
    assert settled.exit_code == 0, settled.output
    assert finding()["ok"] is True


def test_cases_are_rebuilt_and_compared(data: Path) -> None:
    [case] = call(data, "cases", "list")
    assert call(data, "contacts", "list")[0]["open_cases"] == [case["number"]]
    assert call(data, "cases", "rebuild", "--check") == {"cases": 1, "differ": [], "mended": 0}
    bad = json.dumps({**_stored(data, case["id"]), "language": "nb"})
    asyncio.run(_write(data, Write(statement=_spoil, params={"b_id": case["id"], "b_snapshot": bad})))
    told = call(data, "cases", "rebuild", "--check", code=1)
    assert [each["differs"] for each in told["differ"]] == [["language"]]
    assert call(data, "cases", "rebuild", case["number"])["mended"] == 1
    assert call(data, "cases", "rebuild", "--check")["differ"] == []
    assert "there is no case" in call(data, "cases", "rebuild", "00000000000000", code=1)
    compared = call(data, "cases", "compare", "--since", "2020-01-01", "--until", "2099-01-01")
    assert compared == {"cases": 0, "decisions": 0, "different": {}, "differences": []}


def _stored(data: Path, case: str) -> Any:
    import sqlite3

    from bus.store.sqlite_file import DATABASE_NAME

    with sqlite3.connect(f"file:{data / DATABASE_NAME}?mode=ro", uri=True) as connection:
        [(snapshot,)] = connection.execute("SELECT snapshot FROM cases WHERE id = ?", (case,)).fetchall()
    return json.loads(snapshot)
