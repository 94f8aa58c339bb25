"""A hundred thousand timers: fired within a second of their time, each once, also by a process that is killed."""

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import bindparam, select

from bus.clock import SystemClock, to_micros
from bus.delivery.outcome import Outcome, SetTimer
from bus.delivery.timers import TimerService
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.log.tables import timer
from bus.log.topics import CASE_TIMER, CONTACT_RECEIVED, topic
from bus.store.port import Effect
from bus.telemetry import Metrics, configure_logging
from deploy import migrations
from deploy.bench.rows import Options, Row, row

__all__ = ["Crowd", "measure", "run"]


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """`due` of the `waiting` timers come due evenly `within_s`; the others lie in the way. `ahead_s`: to set them."""

    waiting: int = 100_000
    due: int = 20_000
    within_s: float = 40.0
    ahead_s: float = 40.0


LOAD = 200
"""Records a second that another process appends meanwhile: four times a busy company's contacts."""

PROMISED_S = 1.0

_BATCH = 1_000
_PATIENCE_S = 60.0
"""For a busy machine. How late the last one was is measured all the same."""
_RUNNING = b"running\n"

_left = select(timer.c.id).where(timer.c.due <= bindparam("last")).limit(1)


async def run(options: Options) -> list[Row]:
    """Lateness of timers under load, and what a SIGKILL in the middle does to them."""
    return await measure(Crowd())


async def measure(crowd: Crowd) -> list[Row]:
    """The same for a crowd of another size."""
    with tempfile.TemporaryDirectory(prefix="contactbus-bench-") as name:
        folder = Path(name)
        migrations.upgrade(folder)
        clock = SystemClock()
        engine = await EmbeddedEngine.open(folder, clock=clock)
        try:
            return await _measure(engine, clock, folder, crowd)
        finally:
            await engine.close()


async def _measure(engine: EmbeddedEngine, clock: SystemClock, folder: Path, crowd: Crowd) -> list[Row]:
    # Far enough ahead that all of them wait before the first comes due.
    begins = clock.now() + timedelta(seconds=crowd.ahead_s)
    await _set(engine, [begins + timedelta(days=1)] * (crowd.waiting - crowd.due), "later")
    await _set(engine, [begins + timedelta(seconds=crowd.within_s * n / crowd.due) for n in range(crowd.due)], "soon")
    load = asyncio.create_task(_load(engine))
    try:
        async with _process(folder) as first:
            await asyncio.sleep((begins - clock.now()).total_seconds() + crowd.within_s / 2)
            killed = to_micros(clock.now())
            first.send_signal(signal.SIGKILL)
        async with _process(folder):
            dead = killed, to_micros(clock.now())
            await asyncio.sleep((begins - clock.now()).total_seconds() + crowd.within_s)
            await _until_fired(engine, to_micros(begins) + int(crowd.within_s * 1e6))
    finally:
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
    return _judge(crowd, await _fired(engine), dead)


def _judge(crowd: Crowd, fired: Sequence[StoredRecord], dead: tuple[int, int]) -> list[Row]:
    late: list[float] = []
    late_while_dead: list[float] = []
    early = 0
    for record in fired:
        due = int(record.value)
        early += record.at < due
        waited = (record.at - due) / 1e6
        (late_while_dead if dead[0] - 250_000 <= due <= dead[1] else late).append(waited)
    late.sort()
    times = Counter(record.id for record in fired)
    return [
        row("timers waiting", crowd.waiting, "timers", digits=0),
        row("fired", len(times), "timers", at_least=crowd.due, digits=0),
        row("late, median", late[len(late) // 2], "s", digits=3),
        row("late, 99 of 100", late[len(late) * 99 // 100], "s", digits=3),
        row("latest", late[-1], "s", at_most=PROMISED_S, digits=3),
        row("nobody fires, from SIGKILL to the next start", (dead[1] - dead[0]) / 1e6, "s", digits=3),
        row(
            "latest of those due meanwhile, after that start",
            max(late_while_dead, default=0.0) - (dead[1] - dead[0]) / 1e6, "s", at_most=PROMISED_S, digits=3,
        ),
        row("fired twice", sum(count - 1 for count in times.values()), "timers", at_most=0, digits=0),
        row("fired before their time", early, "timers", at_most=0, digits=0),
    ]  # fmt: skip


async def _set(engine: EmbeddedEngine, dues: Sequence[datetime], name: str) -> None:
    for start in range(0, len(dues), _BATCH):
        timers = tuple(
            SetTimer(
                id=f"{name}-{start + n}", due=due, topic=CASE_TIMER, key=f"k-{(start + n) % 997}", kind="timer",
                value=str(to_micros(due)).encode(), tenant="shop",
            )
            for n, due in enumerate(dues[start : start + _BATCH])
        )  # fmt: skip
        await engine.apply([Effect(outcome=Outcome(timers=timers))])


async def _load(engine: EmbeddedEngine) -> None:
    number = 0
    while True:
        batch = [
            Record(topic=CONTACT_RECEIVED, key=f"k-{(number + n) % 97}", value=b"x" * 2_000, id=f"load-{number + n}")
            for n in range(LOAD // 20)
        ]
        number += len(batch)
        await engine.append(batch)
        await asyncio.sleep(1 / 20)


async def _until_fired(engine: EmbeddedEngine, last: int) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            left = True
            while left:
                await asyncio.sleep(0.1)
                left = await engine.one(_left, {"last": last}) is not None


async def _fired(engine: EmbeddedEngine) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    for partition in range(topic(CASE_TIMER).partitions):
        after = 0
        while page := await engine.read(CASE_TIMER, partition, start=after, limit=5_000):
            found += page
            after = page[-1].offset + 1
    return found


@contextlib.asynccontextmanager
async def _process(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that fires timers, once it does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.bench.timers", str(folder), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        if await process.stdout.readline() != _RUNNING:
            raise RuntimeError("the process that fires timers did not start")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _fire(folder: Path) -> None:
    configure_logging("ERROR")
    clock = SystemClock()
    engine = await EmbeddedEngine.open(folder, clock=clock)
    sys.stdout.buffer.write(_RUNNING)
    sys.stdout.flush()
    await TimerService(engine, clock, Metrics()).run()


if __name__ == "__main__":
    asyncio.run(_fire(Path(sys.argv[1])))
