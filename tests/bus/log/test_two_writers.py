"""Two engines on one folder, as two processes have them: neither may trust what it remembers of the other."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from bus.clock import to_micros
from bus.delivery.outcome import Outcome, Write
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record
from bus.log.topics import CONTACT_RECEIVED, topic
from bus.store.permission import withdrawal_write
from bus.store.port import Effect
from bus.testing.clock import FakeClock


def record(number: int) -> Record:
    return Record(topic=CONTACT_RECEIVED, key=f"k{number}", value=b"{}", id=f"r{number}")


@pytest_asyncio.fixture
async def two(tmp_path: Path, clock: FakeClock) -> AsyncIterator[tuple[EmbeddedEngine, EmbeddedEngine]]:
    first = await EmbeddedEngine.open(tmp_path / "data", clock=clock)
    await first.create_schema()
    second = await EmbeddedEngine.open(tmp_path / "data", clock=clock)
    yield first, second
    await second.close()
    await first.close()


def write(clock: FakeClock, person: str) -> Write:
    return withdrawal_write(tenant="shop", person=person, evidence=str(to_micros(clock.now())), now=clock.now())


async def everything(engine: EmbeddedEngine) -> list[Any]:
    partitions = range(topic(CONTACT_RECEIVED).partitions)
    return [record for number in partitions for record in await engine.read(CONTACT_RECEIVED, number)]


async def test_appending_after_a_write_that_appended_nothing(
    two: tuple[EmbeddedEngine, EmbeddedEngine], clock: FakeClock
) -> None:
    """The write in between sees that the other process wrote; the appending after it must hear of that as well."""
    first, second = two
    offsets = [*await first.append([record(0)])]
    for number in range(1, 20, 2):
        offsets += await second.append([record(number)])
        (applied,) = await first.apply([Effect(outcome=Outcome(writes=(write(clock, f"p{number}"),)))])
        assert applied.applied
        offsets += await first.append([record(number + 1)])
    assert offsets == sorted(offsets)
    found = sorted(await everything(second), key=lambda one: one.offset)
    assert [one.id for one in found] == [f"r{number}" for number in range(20 + 1)]
    assert [one.offset for one in found] == offsets
