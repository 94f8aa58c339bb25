"""The embedded engine keeps what the log port promises."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bus.log.embedded import EmbeddedEngine
from bus.testing.log_conformance import LogConformance


class TestEmbeddedLog(LogConformance):
    opener = "bus.testing.openers:embedded"

    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path / "data")

    async def expire(self, engine: EmbeddedEngine, days: float) -> None:
        await engine.retain(datetime.now(UTC) + timedelta(days=days))
