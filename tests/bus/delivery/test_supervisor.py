"""Parts of a process: kept alive, seen when they fail, ended in time."""

import asyncio
from collections.abc import Callable

import pytest

from bus.delivery import supervisor as module
from bus.delivery.supervisor import Supervisor
from bus.errors import TransientError


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "_END_S", 0.1)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("error", [ValueError("broken"), asyncio.CancelledError()], ids=["failed", "cut off inside"])
async def test_a_part_that_fails_is_seen_and_begins_again(error: BaseException) -> None:
    begun: list[int] = []

    async def part() -> None:
        begun.append(len(begun))
        if len(begun) == 1:
            raise error
        await asyncio.Event().wait()

    supervisor = Supervisor()
    supervisor.run("part", part)
    await until(lambda: supervisor.failing == {"part": type(error).__name__})
    await until(lambda: len(begun) == 2)
    assert supervisor.failing == {}
    await supervisor.stop()
    assert begun == [0, 1]


async def test_a_part_that_answers_to_its_end_with_an_error_ends_all_the_same() -> None:
    begun = asyncio.Event()

    async def part() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise TransientError("its server is away, too")

    supervisor = Supervisor()
    supervisor.run("part", part)
    await begun.wait()
    (task,) = supervisor._tasks.values()
    await supervisor.stop()
    assert task.done()
    assert supervisor.failing == {}


async def test_a_part_that_does_not_end_keeps_nobody_from_leaving() -> None:
    ended = asyncio.Event()
    told = 0

    async def stubborn() -> None:
        nonlocal told
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError:
                told += 1

    supervisor = Supervisor()
    supervisor.run("part", stubborn)
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await supervisor.stop()
    assert told == 1
    ended.set()
