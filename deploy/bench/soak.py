"""Hours of ordinary load: memory stays flat after the warm-up, and no file or socket is left open."""

import asyncio
import statistics
import time
from collections.abc import Sequence

from deploy.bench.house import House, open_house
from deploy.bench.rows import Options, Row, row

__all__ = ["run"]

RATE = 60.0
"""Contacts a second: a busy company's, far below what the machine can take, so that only leaks grow."""

WARM_UP_SHARE = 0.3
"""Until then models, caches and the database's pages fill; at least MIN_WARM_UP_S."""
MIN_WARM_UP_S = 30.0

_EVERY_S = 2.0
GROWTH = 5.0
"""Per cent between the first and the last fifth after the warm-up: beyond what the allocator's mood explains."""


async def run(options: Options) -> list[Row]:
    """Memory and descriptors of the workers over `options.minutes`, at a steady load."""
    length_s = options.minutes * 60
    warm_up_s = max(MIN_WARM_UP_S, length_s * WARM_UP_SHARE)
    async with open_house(options.bus) as house:
        await house.start_workers()
        await house.accept_all("warm", 200)
        await house.answered()
        stop = asyncio.Event()
        load = asyncio.create_task(_load(house, stop))
        await asyncio.sleep(warm_up_s)
        memory, descriptors = await _watch(house, max(_EVERY_S * 10, length_s - warm_up_s))
        stop.set()
        sent = await load
        await house.answered()
    fifth = max(1, len(memory) // 5)
    first, last = statistics.median(memory[:fifth]), statistics.median(memory[-fifth:])
    gained = round(statistics.median(descriptors[-fifth:]) - statistics.median(descriptors[:fifth]))
    return [
        row("contacts answered", sent, "contacts", digits=0),
        row("memory of the workers after the warm-up", first, "MB"),
        row("memory of the workers at the end", last, "MB"),
        row("growth after the warm-up", (last / first - 1) * 100, "%", at_most=GROWTH),
        row("descriptors gained", gained, "files", at_most=0, digits=0),
    ]


async def _load(house: House, stop: asyncio.Event) -> int:
    """An even stream; how many were sent."""
    began, number = time.monotonic(), 0
    while not stop.is_set():
        await asyncio.sleep(max(0.0, began + number / RATE - time.monotonic()))
        await house.accept("soak", number)
        number += 1
    return number


async def _watch(house: House, seconds: float) -> tuple[Sequence[float], Sequence[int]]:
    memory: list[float] = []
    descriptors: list[int] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        memory.append(house.memory_mb())
        descriptors.append(house.descriptors())
        await asyncio.sleep(_EVERY_S)
    return memory, descriptors
