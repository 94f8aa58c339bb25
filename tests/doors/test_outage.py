"""The story of the dead brokers, short: with a real broker, killed and started again."""

from pathlib import Path

import pytest
from gatehouse.outage import story

OUTAGE_S = 12.0
"""Longer than any deadline of a publish, so that tries are given up and made again."""


@pytest.mark.timeout(300)
async def test_everybody_is_told_yes_at_once_and_everything_arrives_once_and_in_order(tmp_path: Path) -> None:
    report = await story(tmp_path, outage_s=OUTAGE_S, rate=6.0, around_s=3.0)
    assert report.missing == []
    assert report.doubled == []
    assert report.out_of_order == []
    assert report.refused == 0
    assert report.slow == []
    assert report.held
    assert report.told_yes > 100
    assert report.most_waiting > 50, "the brokers were away, so contacts had to wait"
    assert report.drained_s < 30.0
