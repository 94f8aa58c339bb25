"""Fixtures of the whole tree: a clock that stands still and a fresh embedded engine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import settings

from bus.log.embedded import EmbeddedEngine
from bus.testing.clock import FakeClock

# A busy machine makes single examples slow; that says nothing about the code.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture
def clock() -> FakeClock:
    """A clock that moves only when told."""
    return FakeClock()


@pytest_asyncio.fixture
async def engine(tmp_path: Path, clock: FakeClock) -> AsyncIterator[EmbeddedEngine]:
    """A fresh embedded engine with every table that is declared so far; closed afterwards."""
    opened = await EmbeddedEngine.open(tmp_path / "data", clock=clock)
    await opened.create_schema()
    yield opened
    await opened.close()
