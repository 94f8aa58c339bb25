"""The command `reports` on a real data folder: the same figures as a table, as JSON and as CSV."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bus.clock import SystemClock
from bus.log.embedded import EmbeddedEngine
from bus.message import Party
from bus.store.port import Effect
from deploy import migrations
from deploy.cli import main
from workers.case import events, model, rules
from workers.case.changes import Draft
from workers.case.events import CaseEvent

NOON = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)


def timeline() -> list[CaseEvent]:
    address = Party(kind="email", address="grete@kunde.example", name="Grete")
    route = model.Route(channel="email", account="x", address=address, at=NOON)
    return [
        events.Received(at=NOON, actor="customer", contact="c", route=route, text="Guten Tag"),
        events.ReplyPlanned(
            at=NOON + timedelta(minutes=5), actor="Mina", reply="r", channel="email", reply_kind="answer", text="Ja"
        ),
    ]


async def fill(data: Path) -> None:
    data.mkdir()
    migrations.upgrade(data)
    engine = await EmbeddedEngine.open(data, clock=SystemClock())
    draft = Draft(None, NOON)
    draft.do(rules.Open(id="k", tenant="shop", number="1", person="p", channel="email", language="de"))
    for event in timeline():
        draft.tell(event)
    [result] = await engine.apply([Effect(outcome=draft.outcome())])
    assert result.applied, result
    await engine.close()


def test_reports_as_table_json_and_csv(tmp_path: Path) -> None:
    data = tmp_path / "data"
    asyncio.run(fill(data))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(main, ["reports", "--data", str(data), *arguments])

    span = ("--since", "2026-03-27", "--until", "2026-03-28")
    shown = run(*span, "--by", "operator,channel", "--json")
    assert shown.exit_code == 0, shown.output
    report = json.loads(shown.output)
    answered = {row["of"]["operator"]: row["figures"] for row in report["rows"]}["Mina"]
    assert (answered["first_answers"], answered["first_answer_median_s"]) == (1, 300)
    assert report["total"]["cases"] == 1
    assert report["total"]["satisfaction_mean"] is None
    lines = list(csv.reader(io.StringIO(run(*span, "--by", "day", "--csv").output, newline="")))
    assert [line[0] for line in lines] == ["day", "2026-03-27", "total"]
    table = run(*span, "--by", "").output
    assert table.split()[:2] == ["cases", "answer"]
    assert "300" in table
    # The usual days are the last seven; nothing happened in them.
    assert json.loads(run("--json").output)["total"]["cases"] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--by", "colour"), "--by takes"),
        (("--since", "27.3.2026"), "--since"),
        (("--since", "2026-03-28", "--until", "2026-03-27"), "last day"),
        (("--only", "channel"), "--only channel=email"),
        (("--since", "2020-01-01", "--until", "2026-03-27"), "400 days"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    migrations.upgrade(data)
    done = CliRunner().invoke(main, ["reports", "--data", str(data), *arguments])
    assert done.exit_code == 2
    assert told in done.output
