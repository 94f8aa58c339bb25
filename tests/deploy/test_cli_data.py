"""Commands on a real data folder, beside the workers that use it."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bus.clock import SystemClock
from bus.delivery import ledger
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record
from bus.log.topics import CONTACT_RECEIVED
from bus.message import encode
from deploy import migrations
from workers.packs import load
from workers.policy import Facts, ItemFacts, ReturnGoods, judge
from workers.records.demo import load_demo

SECRET = "grete.ohlsen@kunde.example"


async def cli(data: Path | None, *arguments: str) -> tuple[int, str, str]:
    """A command; its exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", *arguments, *(("--data", str(data)) if data else ()),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert b"Traceback" not in out + err, err.decode()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def listed(data: Path, *arguments: str) -> Any:
    code, out, err = await cli(data, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


async def until(probe: Callable[[], Any], what: str, timeout: float = 40) -> Any:
    began = time.monotonic()
    ends = began + timeout
    while not (found := await probe()):
        now = time.monotonic()
        assert now < ends, what
        # A look is a command that keeps a core busy: the others get as much time.
        await asyncio.sleep(now - began)
        began = time.monotonic()
    return found


@contextlib.asynccontextmanager
async def working(data: Path, group: str) -> AsyncIterator[None]:
    """A group of workers as a process; it must leave by itself, and well, when asked to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", "workers", "run", group, "--data", str(data),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 25) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def opened(data: Path) -> AsyncIterator[EmbeddedEngine]:
    data.mkdir(exist_ok=True)
    migrations.upgrade(data)
    clock = SystemClock()
    engine = await EmbeddedEngine.open(data, clock=clock, plan_reply=lambda reply: ledger.plan(reply, clock.now()))
    try:
        yield engine
    finally:
        await engine.close()


async def test_a_poison_record_is_shown_retried_and_discarded(tmp_path: Path) -> None:
    data = tmp_path / "data"
    poison = b'{"this is": "no contact", "from": "' + SECRET.encode() + b'"}'
    async with opened(data) as engine:
        headers = {"tenant": "shop", "ce_type": "contact"}
        await engine.append([Record(topic=CONTACT_RECEIVED, key="k", value=poison, id="c-poison", headers=headers)])
    assert await listed(data, "dead-letters", "list") == []
    async with working(data, "intake"), working(data, "desk"):
        (letter,) = await until(lambda: listed(data, "dead-letters", "list"), "a dead letter")
        assert letter["group_name"] == "intake"
        assert (letter["topic"], letter["record_id"], letter["state"]) == (CONTACT_RECEIVED, "c-poison", "open")
        assert "value" not in letter
        assert SECRET not in json.dumps(letter)

        async def at_the_desk() -> bool:
            return [case["status"] for case in await listed(data, "cases", "list")] == ["waiting-person"]

        await until(at_the_desk, "a case at the desk: a dead letter is an unanswered customer")
        rows = {row["group"]: row for row in await listed(data, "workers", "list")}
        assert rows["intake"].keys() == {
            "tenant", "group", "members", "behind", "oldest_s", "parked", "dead_letters",
        }  # fmt: skip
        assert len(rows["intake"]["members"]) == len(rows["desk"]["members"]) == 1
        assert rows["intake"]["members"] != rows["desk"]["members"]
        assert rows["billing"]["members"] == []
        assert (rows["intake"]["behind"], rows["intake"]["dead_letters"]) == (0, 1)

        code, out, _ = await cli(data, "dead-letters", "show", letter["id"])
        assert code == 0
        assert json.loads(out)["value"] == poison.decode()

        assert (await cli(data, "dead-letters", "retry", letter["id"]))[0] == 0

        async def handled_again() -> Any:
            found = await listed(data, "dead-letters", "list")
            return found if len(found) == 2 else None

        first, second = await until(handled_again, "the record to be handled once more")
        assert (first["id"], first["state"]) == (letter["id"], "retried")
        assert (second["state"], second["record_id"]) == ("open", "c-poison~retry-1")

    assert (await cli(data, "dead-letters", "discard", second["id"]))[0] == 0
    assert [one["state"] for one in await listed(data, "dead-letters", "list")] == ["retried", "discarded"]
    for action in ("retry", "discard"):
        for name in (letter["id"], second["id"], "d-unknown"):
            code, _, err = await cli(data, "dead-letters", action, name)
            assert code == 1
            assert "dead-letters list" in err
    assert (await cli(data, "dead-letters", "show", "d-unknown"))[0] == 1
    assert (await cli(data, "cases", "show", "k-unknown"))[0] == 1
    async with opened(data) as engine:
        from sqlalchemy import select

        from bus.delivery.dead_letters import dead_letter_audit

        audit = await engine.all(select(dead_letter_audit).order_by(dead_letter_audit.c.at))
    assert [(row["dead_letter"], row["action"]) for row in audit] == [
        (letter["id"], "retried"),
        (second["id"], "discarded"),
    ]
    assert all(row["actor"] for row in audit)


async def test_a_table_of_nothing_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path / "data"):
        pass
    for command, told in (
        (("contacts", "list"), "nobody"),
        (("cases", "list"), "no cases"),
        (("replies", "list"), "nothing"),
        (("dead-letters", "list"), "none"),
    ):
        code, out, _ = await cli(tmp_path / "data", *command)
        assert (code, told in out) == (0, True)
        assert await listed(tmp_path / "data", *command) == []


NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
FACTS = Facts(
    proven="C-1", owner="C-1", country="DE", place="online", state="delivered", currency="EUR", total=4990,
    delivered=datetime(2026, 11, 16, 12, tzinfo=UTC), items=(ItemFacts(line=1, category="books", price=4990),),
    confirmed=True,
)  # fmt: skip


async def test_policy_judges_line_by_line(tmp_path: Path) -> None:
    proposal = ReturnGoods(customer="C-1", order="SO-1", line=1)
    late = datetime(2027, 6, 1, tzinfo=UTC)
    lines = [
        encode({"facts": FACTS, "proposal": proposal, "now": NOW}),
        b"",
        b"{}",
        encode({"facts": FACTS, "proposal": proposal, "now": late}),
        b"[" * 100_000,
        encode({"facts": FACTS, "proposal": proposal, "now": "2026-11-22T09:00:00"}),
    ]
    file = tmp_path / "proposals.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")
    code, out, err = await cli(None, "policy", "judge", str(file))
    assert code == 1
    assert "3 lines" in err
    verdicts = [json.loads(line) for line in out.splitlines()]
    policy = load("shop").policy
    assert verdicts[0] == json.loads(encode(judge(proposal, FACTS, policy, NOW)))
    assert verdicts[0]["effect"] in ("permit", "require")
    assert verdicts[2] == json.loads(encode(judge(proposal, FACTS, policy, late)))
    assert verdicts[2]["effect"] == "forbid"
    assert [verdict["error"].partition(":")[0] for verdict in (verdicts[1], verdicts[3], verdicts[4])] == [
        "line 3", "line 5", "line 6",
    ]  # fmt: skip
    file.write_bytes(lines[0])
    assert (await cli(None, "policy", "judge", str(file)))[0] == 0


@pytest.fixture
def always_awake(tmp_path: Path) -> Path:
    """The shop's pack, but for the hours in which customers may be written to: tests run at night as well."""
    import shutil

    pack = tmp_path / "pack"
    shutil.copytree(load("shop").folder, pack)
    policy = (pack / "policy.toml").read_text("utf-8")
    policy = policy.replace("earliest_hour = 9", "earliest_hour = 0").replace("latest_hour = 20", "latest_hour = 24")
    policy = policy.replace("rest_days = true", "rest_days = false")
    (pack / "policy.toml").write_text(policy, "utf-8")
    return pack


async def test_a_campaign_is_planned_once_for_those_who_agreed(
    tmp_path: Path, always_awake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTACTBUS_PRODUCT__PACK", str(always_awake))
    data, file = tmp_path / "data", tmp_path / "tea.toml"
    async with opened(data) as engine:
        await load_demo(engine, SystemClock())
    file.write_text(
        'name = "tea"\n[subjects]\nde = "Tee"\nnb = "Te"\nen = "Tea"\n[texts]\nde = "Neuer Tee."\nnb = "Ny te."\n'
        'en = "New tea."\n'
    )
    result = await listed(data, "campaigns", "start", str(file))
    planned = result["planned"]
    assert planned >= 2
    replies = await listed(data, "replies", "list")
    assert len(replies) == planned
    assert {reply["state"] for reply in replies} == {"planned"}
    words = {"de": "Neuer Tee.", "nb": "Ny te.", "en": "New tea."}
    assert all(words[reply["language"]] in reply["text"] for reply in replies)
    again = await listed(data, "campaigns", "start", str(file))
    assert again == {"planned": 0, "left_out": {"had it already": planned}}
    code, out, _ = await cli(data, "campaigns", "start", str(file))
    assert (code, "had it already" in out) == (0, True)
    assert len(await listed(data, "replies", "list")) == planned


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("name =", "no campaign"),
        ('name = "x"\n[subjects]\n[texts]\n', "[texts]"),
        ('name = " "\n[subjects]\nde = "a"\n[texts]\nde = "b"\n', "name"),
        ('name = "x"\n[subjects]\n[texts]\nde = "b"\n', "subjects.de"),
        ('name = "x"\n[subjects]\nde = "a"\n[texts]\nde = ""\n', "texts.de"),
        ('name = "x"\n[subjects]\nfr = "a"\n[texts]\nfr = "b"\n', "'fr'"),
        ('name = "x"\nfrom = "y"\n[subjects]\nde = "a"\n[texts]\nde = "b"\n', "from"),
    ],
)
async def test_a_campaign_with_a_slip_is_refused(tmp_path: Path, toml: str, told: str) -> None:
    (tmp_path / "slip.toml").write_text(toml)
    code, out, err = await cli(tmp_path / "data", "campaigns", "start", str(tmp_path / "slip.toml"))
    assert (code, out) == (2, "")
    assert told in err
