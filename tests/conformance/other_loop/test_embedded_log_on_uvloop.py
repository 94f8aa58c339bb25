"""The embedded engine keeps the same promises on the other event loop, which an operator may choose."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvloop

from bus.log.embedded import EmbeddedEngine
from bus.testing.log_conformance import LogConformance
from bus.testing.log_deaths import DeathCases


class TestEmbeddedLogOnUvloop(LogConformance):
    opener = "bus.testing.openers:embedded"

    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path / "data")

    async def expire(self, engine: EmbeddedEngine, days: float) -> None:
        await engine.retain(datetime.now(UTC) + timedelta(days=days))

    async def test_it_is_the_other_loop(self) -> None:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)


for name in vars(DeathCases):
    # These kill processes of their own, which have loops of their own.
    if name.startswith("test_"):
        setattr(TestEmbeddedLogOnUvloop, name, None)
