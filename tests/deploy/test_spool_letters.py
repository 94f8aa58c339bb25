"""What no broker took lies in the spool of one host: its operator sees it there, sends it again or gives it up."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bus.adapter.spool import Spool, SpoolSettings
from bus.clock import SystemClock
from bus.delivery.dead_letters import list_dead_letters
from bus.delivery.outcome import Outcome
from bus.errors import ConfigurationError, PermanentError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record
from bus.log.topics import CONTACT_RECEIVED
from bus.telemetry import Metrics
from deploy import migrations
from deploy.looking import opened_letters
from deploy.settings import ProductSettings, load

LARGE = b'"' + b"9" * 2000 + b'"'


class Brokers:
    """Take records up to a size."""

    def __init__(self) -> None:
        self.most = 1000
        self.taken: list[str] = []

    async def publish(self, records: Sequence[Record]) -> None:
        for record in records:
            if len(record.value) > self.most:
                raise PermanentError("larger than the brokers take")
            self.taken.append(record.id)


async def dead_letters(config: Path, *arguments: str) -> tuple[int, str]:
    """The command on the host of the spool; its exit code, and its output with its errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", "dead-letters", *arguments, "--spool", "--config", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def until(probe: Any) -> None:
    async with asyncio.timeout(30):
        while not await probe():
            await asyncio.sleep(0.02)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a gateway whose brokers and database are away."""
    file = tmp_path / "contactbus.toml"
    file.write_text(
        f"[product]\ndata = '{tmp_path}/data'\n[bus]\nengine = 'kafka'\nspool = '{tmp_path}/spool'\n"
        "[kafka]\nbootstrap = ['127.0.0.1:1']\n[postgres]\ndsn = 'host=127.0.0.1 port=1 dbname=x user=y'\n"
    )
    return file


async def test_letters_of_a_running_gateway_are_seen_sent_again_and_given_up(config: Path, tmp_path: Path) -> None:
    folder, clock, brokers = tmp_path / "spool", SystemClock(), Brokers()
    folder.mkdir()
    migrations.upgrade(folder)
    engine = await EmbeddedEngine.open(folder, clock=clock)
    spool = Spool(
        engine, brokers.publish, member="gateway", clock=clock, metrics=Metrics(),
        desk_case=lambda *_: Outcome(), settings=SpoolSettings(longest_pause_s=0.1),
    )  # fmt: skip
    running = asyncio.create_task(spool.run())
    try:
        headers = {"tenant": "shop", "ce_type": "contact"}
        for name in ("c-one", "c-two"):
            await spool.append([Record(topic=CONTACT_RECEIVED, key=name, value=LARGE, id=name, headers=headers)])

        async def both() -> bool:
            return len(await list_dead_letters(engine)) == 2

        await until(both)
        code, said = await dead_letters(config, "list", "--json")
        assert code == 0, said
        letters = {row["record_id"]: row for row in json.loads(said)}
        assert {name: (row["group_name"], row["state"]) for name, row in letters.items()} == {
            "c-one": ("relay", "open"),
            "c-two": ("relay", "open"),
        }

        # The operator has raised the brokers' limit meanwhile; the gateway that runs sends it.
        brokers.most = 10_000
        assert (await dead_letters(config, "retry", letters["c-one"]["id"]))[0] == 0

        async def sent() -> bool:
            # Under an id of its own, so that nobody takes it for a copy.
            return any(name.startswith("c-one") for name in brokers.taken)

        await until(sent)
        assert (await dead_letters(config, "discard", letters["c-two"]["id"]))[0] == 0
        code, said = await dead_letters(config, "discard", letters["c-two"]["id"])
        assert (code, "no open dead letter" in said) == (1, True)
        states = {row["record_id"]: row["state"] for row in await list_dead_letters(engine)}
        assert states == {"c-one": "retried", "c-two": "discarded"}
        assert not any(name.startswith("c-two") for name in brokers.taken)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await engine.close()


@pytest.mark.parametrize(
    ("flags", "told"),
    [({}, "there is no spool"), ({"bus": {"engine": "embedded"}}, "has no spool")],
    ids=["no folder", "embedded"],
)
async def test_where_there_is_no_spool_it_is_said(config: Path, flags: dict[str, Any], told: str) -> None:
    layers = load(config, {}, flags)
    with pytest.raises(ConfigurationError, match=told):
        async with opened_letters(layers, layers.section("product", ProductSettings), spool=True):
            pass
