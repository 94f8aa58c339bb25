"""Every step of a contact's way x killed, failing, standing still x four channels: nothing lost, doubled, overtaken."""

from pathlib import Path

import pytest
from proof.cluster import Distributed
from proof.house import Embedded, House
from proof.ledger import Ledger
from proof.matrix import MODES, Striker, first_lives, layout_of
from proof.run import prove
from proof.sink import Sink
from proof.town import Pace

_LETTERS = {"embedded": 10, "kafka": 40}
"""Enough for every moment of a letter to be struck; each is typeset before, which takes half a second."""


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bus", ["embedded", "kafka"])
async def test_every_point_struck_on_every_channel_breaks_no_promise(
    tmp_path: Path, learned: Path, bus: str, mode: str
) -> None:
    strikers: list[Striker] = []
    pace = Pace(writers=2, visitors=2, callers=2, letter_every_s=8.0, odd_every_s=1000.0, letters=_LETTERS[bus])

    def house_of(relay: tuple[str, int]) -> House:
        kind = Distributed if bus == "kafka" else Embedded
        return kind(tmp_path, relay=relay, layout=layout_of(mode), learned=learned, armed=first_lives(bus, mode))

    def breaking(house: House, _: Sink, ledger: Ledger) -> Striker:
        strikers.append(Striker(house, ledger, bus, mode))
        return strikers[0]

    report = await prove(house_of, bus=bus, seed=11, seconds=0.0, pace=pace, breaking=breaking)
    print(report.as_json())
    assert strikers[0].struck == strikers[0].wanted
    assert report.verdict == "held", report.judgement.findings
