"""The checker is checked on the real product, spoilt on purpose: each fault must be found by its name."""

from pathlib import Path

import pytest
from proof.house import Embedded, House
from proof.run import Peace, prove
from proof.sabotage import SABOTAGES
from proof.town import Pace

_QUICK = Pace(writers=4, visitors=4, callers=0, letter_every_s=1000.0, odd_every_s=1000.0)


@pytest.mark.timeout(300)
async def test_a_house_that_loses_doubles_and_reorders_is_found_out(tmp_path: Path, learned: Path) -> None:
    def house_of(relay: tuple[str, int]) -> House:
        return Embedded(
            tmp_path,
            relay=relay,
            layout={"gateway": ("serve", "email", "chat", "phone", "post"), "worker": ("workers", "run", "all")},
            learned=learned,
            environment={"PROOF_SABOTAGE": ",".join(SABOTAGES)},
        )

    report = await prove(
        house_of,
        bus="embedded",
        seed=5,
        seconds=8.0,
        pace=_QUICK,
        breaking=lambda *_: Peace(),
        settle_s=3.0,
        patience_s=3.0,
    )
    found = report.judgement
    assert report.verdict == "broken"
    assert report.acknowledged > 10
    assert found.count("lost") > 0, found.findings
    assert found.count("doubled") > 0, found.findings
    assert found.count("out_of_order") > 0, found.findings
