"""The rows of processes: who is there, and for whom an order to leave is meant."""

import asyncio
from collections.abc import Sequence

from bus.log.embedded import EmbeddedEngine
from bus.testing.clock import FakeClock
from deploy.presence import Presence, ask_to_drain, present


class Pod:
    """A process in a container, which has the same name after every start."""

    def __init__(self, engine: EmbeddedEngine, clock: FakeClock, group: str, runs: Sequence[str]) -> None:
        self.told = asyncio.Event()
        self._engine, self._clock, self._group = engine, clock, group
        self._presence = Presence(
            engine, clock, tenant="shop", member="pod-0-1", group=group, runs=runs, http="",
            asked_to_leave=self.told.set,
        )  # fmt: skip

    async def start(self) -> None:
        self._task = asyncio.create_task(self._presence.run())
        async with asyncio.timeout(10):
            while not any(each.group == self._group for each in await present(self._engine, self._clock, "shop")):
                await asyncio.sleep(0.01)

    async def die(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_an_order_to_leave_is_not_obeyed_by_whoever_comes_after_under_the_same_name(
    engine: EmbeddedEngine, clock: FakeClock
) -> None:
    first = Pod(engine, clock, "front", ["intake"])
    await first.start()
    await ask_to_drain(engine, clock, "shop", "front")
    await first.die()
    second = Pod(engine, clock, "departments", ["billing"])
    await second.start()
    (member,) = await present(engine, clock, "shop")
    assert (member.group, member.runs, member.state) == ("departments", ("billing",), "running")
    assert not second.told.is_set()
    await ask_to_drain(engine, clock, "shop", "departments")
    await asyncio.wait_for(second.told.wait(), 10)
    await second.die()
