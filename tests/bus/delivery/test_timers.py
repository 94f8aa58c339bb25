"""Timers become records exactly once, at their time."""

import asyncio
from datetime import timedelta
from pathlib import Path

from bus.clock import SystemClock
from bus.delivery.outcome import CancelTimer, Outcome, SetTimer
from bus.delivery.timers import TimerService
from bus.log.embedded import EmbeddedEngine
from bus.store.port import Effect
from bus.telemetry import Metrics
from bus.testing.clock import FakeClock


def timer(clock: FakeClock | SystemClock, name: str, seconds: float) -> SetTimer:
    return SetTimer(
        id=name,
        due=clock.now() + timedelta(seconds=seconds),
        topic="case.timer",
        key="k-1",
        kind="timer",
        value=name.encode(),
        tenant="shop",
    )


async def fired(engine: EmbeddedEngine) -> list[str]:
    return sorted([r.value.decode() for p in range(8) for r in await engine.read("case.timer", p, limit=20_000)])


async def test_a_timer_fires_at_its_time_and_never_again(engine: EmbeddedEngine, clock: FakeClock) -> None:
    service = TimerService(engine, clock, Metrics())
    await engine.apply([Effect(outcome=Outcome(timers=(timer(clock, "a", 10), timer(clock, "b", 20))))])
    clock.advance(9.9)
    assert await service.fire_due() == 0
    clock.advance(0.1)
    assert await service.fire_due() == 1
    assert await fired(engine) == ["a"]
    clock.advance(60)
    await service.fire_due()
    await service.fire_due()
    assert await fired(engine) == ["a", "b"]


async def test_a_moved_or_cancelled_timer_keeps_quiet(engine: EmbeddedEngine, clock: FakeClock) -> None:
    service = TimerService(engine, clock, Metrics())
    await engine.apply([Effect(outcome=Outcome(timers=(timer(clock, "moved", 10), timer(clock, "gone", 10))))])
    await engine.apply([Effect(outcome=Outcome(timers=(timer(clock, "moved", 30), CancelTimer(id="gone"))))])
    clock.advance(15)
    assert await service.fire_due() == 0
    clock.advance(16)
    await service.fire_due()
    assert await fired(engine) == ["moved"]


async def test_two_services_fire_each_timer_once(engine: EmbeddedEngine, clock: FakeClock, tmp_path: Path) -> None:
    other = await EmbeddedEngine.open(tmp_path / "data", clock=clock)
    timers = tuple(timer(clock, f"t{n:04d}", 1) for n in range(600))
    await engine.apply([Effect(outcome=Outcome(timers=timers))])
    clock.advance(2)
    services = (TimerService(engine, clock, Metrics()), TimerService(other, clock, Metrics()))
    for _ in range(3):
        await asyncio.gather(*(service.fire_due() for service in services))
    assert await fired(engine) == [t.id for t in timers]
    await other.close()


async def test_a_running_service_fires_by_itself_and_counts_how_late(engine: EmbeddedEngine) -> None:
    """How late under load is a measurement: `contactbus bench timers`."""
    clock, metrics = SystemClock(), Metrics()
    soon = timer(clock, "soon", 0.3)
    task = asyncio.create_task(TimerService(engine, clock, metrics).run())
    await engine.apply([Effect(outcome=Outcome(timers=(soon,)))])
    async with asyncio.timeout(30):
        while metrics.registry.get_sample_value("timer_lateness_seconds_count") != 1:
            await asyncio.sleep(0.02)
    assert clock.now() >= soon.due
    assert await fired(engine) == ["soon"]
    task.cancel()
