"""Everything is killed, stopped and cut by a schedule, while customers write, chat, call and post."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from proof.house import House
from proof.run import prove

CHECKOUT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("CONTACTBUS_TEST_CHAOS_S", "60"))


def seed() -> int:
    """The same schedule each time, so that a failure here comes of a change; `contactbus chaos` looks for new ones."""
    return int(os.environ.get("CONTACTBUS_TEST_SEED", "77"))


@pytest.mark.timeout(900)
async def test_nothing_is_lost_doubled_or_overtaken_on_kafka_and_postgresql(tmp_path: Path, learned: Path) -> None:
    from proof.cluster import Distributed

    def house_of(relay: tuple[str, int]) -> House:
        return Distributed(tmp_path, relay=relay, learned=learned)

    report = await prove(house_of, bus="kafka", seed=seed(), seconds=SECONDS, say=print)
    print(json.dumps(report.as_json(), ensure_ascii=False))
    assert report.kills > 0
    assert report.acknowledged > 20
    assert report.verdict == "held", report.judgement.findings


def chaos(*arguments: str, cwd: Path, **environment: str) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", "chaos", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )


@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_or_overtaken_on_the_embedded_engine_and_the_command_says_so(tmp_path: Path) -> None:
    done = chaos(
        "--seconds", str(SECONDS / 2), "--seed", str(seed()), "--json", "--keep", str(tmp_path / "kept"), cwd=CHECKOUT
    )
    print(done.stdout)
    assert done.returncode == 0, (done.stdout, done.stderr[-3000:])
    told = json.loads(done.stdout)
    assert set(told) >= {"offered", "acknowledged", "kills", "lost", "doubled", "out_of_order", "verdict"}
    assert told["seed"] == seed()
    assert (told["lost"], told["doubled"], told["out_of_order"], told["verdict"]) == (0, 0, 0, "held")
    assert told["kills"] > 0
    assert told["offered"] >= told["acknowledged"] > 50
    assert (tmp_path / "kept" / "ledger.jsonl").stat().st_size > 0


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    assert chaos("--seconds", "1", cwd=CHECKOUT).returncode == 2
    assert chaos("--bus", "rabbit", cwd=CHECKOUT).returncode == 2
