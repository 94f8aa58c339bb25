"""No door waits for a store that does not answer."""

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import select

from bus.adapter.prompt_store import PromptStore, deadline_of
from bus.delivery.outcome import CancelTimer, Outcome
from bus.errors import TransientError
from bus.log.embedded import EmbeddedEngine
from bus.log.tables import log_partition
from bus.store.port import Effect


class Blackhole:
    """A server whose answers never come, nor that to a request to cancel."""

    def __init__(self) -> None:
        self.calls = 0
        self.released = asyncio.Event()

    async def _never(self, *arguments: Any) -> Any:
        self.calls += 1
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue
        raise OSError("the connection was reset")

    all = one = by_keys = apply = _never


@pytest.mark.parametrize("name", ["all", "one", "by_keys", "apply"])
async def test_a_store_that_does_not_answer_costs_its_deadline_and_no_more(name: str) -> None:
    hole = Blackhole()
    store = PromptStore(hole, 0.2)  # type: ignore[arg-type]
    began = time.monotonic()
    arguments = {"all": ["x"], "one": ["x"], "by_keys": ["x", "y", []], "apply": [[]]}[name]
    with pytest.raises(TransientError):
        await asyncio.gather(*(getattr(store, name)(*arguments) for _ in range(20)))
    assert 0.15 < time.monotonic() - began < 1.0
    hole.released.set()
    await asyncio.sleep(0)
    assert hole.calls == 20


async def test_a_store_that_answers_is_passed_through(engine: EmbeddedEngine) -> None:
    store = PromptStore(engine, deadline_of("deferred"))
    (result,) = await store.apply([Effect(outcome=Outcome(timers=(CancelTimer(id="none"),)))])
    assert result.applied
    assert await store.all(select(log_partition.c.topic)) == []
    assert await store.one(select(log_partition.c.topic)) is None
    assert await store.by_keys(select(log_partition.c.topic), log_partition.c.topic, ["a"]) == []


async def test_errors_of_the_store_are_its_own(engine: EmbeddedEngine) -> None:
    store = PromptStore(engine, 5.0)
    await engine.close()
    with pytest.raises(TransientError, match="closed"):
        await store.apply([Effect(outcome=Outcome())])


def test_a_caller_waits_least() -> None:
    assert deadline_of("live-media") < 1.0 < deadline_of("live-text") < deadline_of("deferred")
