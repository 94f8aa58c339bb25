"""The gatehouse is a package beside these tests, and the program of the long outage uses it as well."""

import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.post.samples import make_scan
from bus.log.port import Record

sys.path.insert(0, str(Path(__file__).parent))

from gatehouse.house import Gatehouse, gatehouse


@pytest.fixture(scope="session")
def scan() -> bytes:
    """One letter, as the scanner writes it."""
    return make_scan(
        "Guten Tag,\n\nwann haben Sie samstags geöffnet?\n\nGrete Ohlsen", "de",
        ("Grete Ohlsen", "Birkenweg 3", "50667 Köln"), degrade="clean", fmt="pdf", seed=3,
    )  # fmt: skip


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[Gatehouse]:
    """A gateway whose brokers take everything at once."""

    async def publish(records: Sequence[Record]) -> None:
        return None

    async with gatehouse(tmp_path, publish) as opened:
        yield opened
