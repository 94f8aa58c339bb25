"""How fast the embedded engine is: durable appends, and the way from a producer to a handler.

Every figure is taken on a fresh folder with `synchronous=FULL`: an append counts when its fsync has returned. The
raw fsync of the disk is measured in the same run, because on most disks it decides everything else.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from bus.delivery.outcome import Outcome
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Delivery, Record
from bus.store.port import Effect
from deploy.bench.rows import Options, Row, row

__all__ = ["run"]

_TOPIC = "bench.contacts"
_VALUE = b"x" * 1_400
"""The size of an ordinary contact."""

_PRODUCERS = 64
_APPEND_SECONDS = 3.0
_HOPS = 300
_FSYNCS = 200
_RELAYED = 4_000


async def run(options: Options) -> list[Row]:
    """All measurements, one after another; takes some twenty seconds."""
    rows = [row("fsync of 4 KiB by the disk alone, p50", _fsync_ms(), "ms", digits=3)]
    began = time.process_time()
    appends = await _with_engine(_appends)
    # On a busy machine the rate tells of the neighbours; what one append costs the processor does not.
    cost = (time.process_time() - began) / (appends * _APPEND_SECONDS) * 1e6
    rows.append(row("durable appends, 64 producers", appends, "1/s", at_least=10_000, digits=0))
    rows.append(row("processor time per durable append", cost, "us", at_most=100, digits=0))
    wake = await _with_engine(_wake_inside)
    rows.append(row("publish to handler in process, p50", wake, "ms", at_most=1, digits=3))
    across = await _with_engine(_wake_across)
    rows.append(row("publish to handler in another process, p50", across, "ms", at_most=5, digits=3))
    relayed = await _with_engine(_relay)
    rows.append(row("consume, emit one, commit: records", relayed, "1/s", at_least=5_000, digits=0))
    return rows


async def _with_engine(measure: Callable[[EmbeddedEngine], Awaitable[float]]) -> float:
    with tempfile.TemporaryDirectory(prefix="contactbus-bench-") as folder:
        engine = await EmbeddedEngine.open(Path(folder))
        try:
            await engine.create_schema()
            return await measure(engine)
        finally:
            await engine.close()


def _fsync_ms() -> float:
    with tempfile.TemporaryFile() as file:
        taken: list[float] = []
        for _ in range(_FSYNCS):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def _record(number: int, stamp: str = "") -> Record:
    return Record(topic=_TOPIC, key=f"shop/case-{number % 500}", value=_VALUE, id=f"r-{number}", headers={"at": stamp})


async def _appends(engine: EmbeddedEngine) -> float:
    until = time.perf_counter() + _APPEND_SECONDS
    done = 0

    async def producer(first: int) -> None:
        nonlocal done
        number = first
        while time.perf_counter() < until:
            await engine.append([_record(number)])
            number += _PRODUCERS
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(producer(number) for number in range(_PRODUCERS)))
    return done / (time.perf_counter() - began)


async def _wake_inside(engine: EmbeddedEngine) -> float:
    subscription = await engine.subscribe("bench", [_TOPIC], member="one")
    taken: list[float] = []

    async def consume() -> None:
        while len(taken) < _HOPS:
            for record in await subscription.fetch(100, 5.0):
                taken.append(time.perf_counter() - float(record.headers["at"]))

    consumer = asyncio.create_task(consume())
    for number in range(_HOPS):
        await asyncio.sleep(0.002)
        await engine.append([_record(number, repr(time.perf_counter()))])
    await consumer
    return statistics.median(taken) * 1000


_PRODUCE = """
import asyncio, sys, time
from pathlib import Path
from deploy.bench.bus import _record
from bus.log.embedded import EmbeddedEngine

async def main():
    engine = await EmbeddedEngine.open(Path(sys.argv[1]))
    for number in range(int(sys.argv[2])):
        await asyncio.sleep(0.002)
        await engine.append([_record(number, repr(time.perf_counter()))])
    await engine.close()

asyncio.run(main())
"""


async def _wake_across(engine: EmbeddedEngine) -> float:
    """perf_counter is the machine's monotonic clock, so stamps of another process can be compared."""
    subscription = await engine.subscribe("bench", [_TOPIC], member="one")
    producer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PRODUCE, str(engine.folder), str(_HOPS), stdout=subprocess.DEVNULL
    )
    taken: list[float] = []
    while len(taken) < _HOPS:
        for record in await subscription.fetch(100, 5.0):
            taken.append(time.perf_counter() - float(record.headers["at"]))
    await producer.wait()
    return statistics.median(taken) * 1000


async def _relay(engine: EmbeddedEngine) -> float:
    """One hop of the house: fetch a batch, emit a record for each, commit state and progress together."""
    await engine.append([_record(number) for number in range(_RELAYED)])
    subscription = await engine.subscribe("bench", [_TOPIC], member="one")
    began = time.perf_counter()
    done = 0
    while done < _RELAYED:
        records = await subscription.fetch(200, 5.0)
        await engine.apply(
            [
                Effect(
                    outcome=Outcome(emit=(Record(topic="bench.next", key=r.key, value=r.value, id=r.id),)),
                    source=Delivery.of("bench", r),
                )
                for r in records
            ]
        )
        done += len(records)
    return done / (time.perf_counter() - began)
