"""A recorded week of many cases: a corrected rule says what would have been different, and nothing is sent.

Through the command, beside nothing else, on the file that the week has left.
"""

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner

from bus.log.embedded import EmbeddedEngine
from bus.message import Party
from bus.store.sqlite_file import DATABASE_NAME
from deploy import migrations
from deploy.cli import main
from workers.case import commands
from workers.packs import load

CASES = 70
SEED = 20261122
TONES = ("calm", "calm", "calm", "upset", "upset", "angry", "abusive")


@pytest_asyncio.fixture
async def engine(tmp_path: Path, clock: Any) -> AsyncIterator[EmbeddedEngine]:
    """The file of an installation, as commands find it."""
    migrations.upgrade(tmp_path)
    opened = await EmbeddedEngine.open(tmp_path, clock=clock)
    yield opened
    await opened.close()


async def let_pass(shop: Any, seconds: float) -> None:
    """Let time pass from timer to timer, so that each fires at its time."""
    until = shop.clock.now() + timedelta(seconds=seconds)
    while (due := min((timer.due for timer in shop.timers.values()), default=until)) < until:
        await shop.pass_time(seconds=max(0.0, (due - shop.clock.now()).total_seconds()))
    await shop.pass_time(seconds=(until - shop.clock.now()).total_seconds())


async def live_through(shop: Any, understand: Any) -> dict[str, str]:
    """Seven days: by mail and chat, calm and otherwise, answered by software and by people, some never answered at all.

    Case and tone of its first contact.
    """
    chance, tones = random.Random(SEED), dict[str, str]()
    for number in range(CASES):
        await let_pass(shop, chance.uniform(0.5, 1.5) * 7 * 86_400 / CASES)
        tone, live = chance.choice(TONES), chance.random() < 0.5
        channel = "chat" if live else "email"
        sender = Party(kind=channel, address=f"v{number}" if live else f"v{number}@kunde.example")
        by_person = tone == "abusive" or chance.random() < 0.4

        def says(text: str, channel: str = channel, sender: Party = sender, number: int = number) -> Any:
            return shop.contact(text, channel=channel, sender=sender, conversation=f"c{number}")

        asks = understand("info.opening_hours", department="support", tone=tone)
        wants = understand("", department="desk", decision="person", request_person=True, tone=tone)
        heard = await shop.hear(says("?"), wants if by_person else asks)
        tones[heard.case] = tone
        if by_person and chance.random() < 0.8:
            await let_pass(shop, chance.choice((20, 60, 90)))
            reply = commands.reply(
                await shop.case(heard.case), text="Gern. Sonst noch etwas?", actor="mia", now=shop.clock.now(),
                anything_else=True,
            )  # fmt: skip
            await shop.apply(reply)
            await shop.deliver(reply.replies, "failed" if chance.random() < 0.2 else "delivered")
        if chance.random() < 0.6:
            done = understand("talk.thanks_done", department="desk", answer="no", done=True)
            await shop.hear(says("Nein danke"), done)
    return tones


def compare(data: Path, pack: Path, since: Any, until: Any) -> Any:
    given = [
        "cases",
        "compare",
        "--data",
        str(data),
        "--json",
        "--since",
        since.isoformat(),
        "--until",
        until.isoformat(),
    ]
    result = CliRunner().invoke(main, given, env={"CONTACTBUS_PRODUCT__PACK": str(pack)})
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def corrected(folder: Path, level: str) -> Path:
    """The shop's pack, with another tone from which on a supervisor is called."""
    pack = folder / level
    shutil.copytree(load("shop").folder, pack)
    policy = (pack / "policy.toml").read_text("utf-8")
    recorded = 'supervisor_at = "abusive"'
    assert recorded in policy
    (pack / "policy.toml").write_text(policy.replace(recorded, f'supervisor_at = "{level}"'), "utf-8")
    return pack


def everything(data: Path) -> dict[str, list[Any]]:
    """All rows of all tables."""
    with sqlite3.connect(f"file:{data / DATABASE_NAME}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}


async def test_a_corrected_rule_says_what_would_have_been_different_and_sends_nothing(
    shop: Any, understand: Any, engine: EmbeddedEngine, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    began = shop.clock.now()
    tones = await live_through(shop, understand)
    ended = shop.clock.now() + timedelta(seconds=1)
    assert ended - began > timedelta(days=6)
    created = {case: (await shop.case(case)).created for case in tones}
    before, packs = everything(tmp_path), tmp_path_factory.mktemp("packs")

    async def asked(pack: Path, since: datetime = began, until: datetime = ended) -> Any:
        return await asyncio.to_thread(compare, tmp_path, pack, since, until)

    same = await asked(load("shop").folder)
    assert (same["cases"], same["differences"]) == (CASES, [])
    assert same["decisions"] > 7 * CASES
    for level, heard in (("upset", {"upset", "angry"}), ("angry", {"angry"})):
        meant = {case for case, tone in tones.items() if tone in heard}
        assert len(meant) > 5
        pack = corrected(packs, level)
        found = await asked(pack)
        assert {each["case"] for each in found["differences"]} == meant
        assert found["different"] == {"understood": len(meant)}
        assert {(*each["then"], *each["now"]) for each in found["differences"]} == {("supervisor-called (angry)",)}
        # One day of the week alone.
        since, until = began + timedelta(days=2), began + timedelta(days=3)
        of_the_day = {case for case in meant if since <= created[case] < until}
        found = await asked(pack, since, until)
        assert {each["case"] for each in found["differences"]} == of_the_day
    assert everything(tmp_path) == before, "nothing was written, so nothing is sent"
