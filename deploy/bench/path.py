"""From an accepted contact to a planned reply: how many a second, and how long each takes at half that load.

Mixed contacts in three languages go the whole way, four hops: accepted durably, intake, triage, department, reply in
the send ledger. Workers run in processes of their own, as many as there are cores; this process plays the doors.
"""

import asyncio
import time

from sqlalchemy import bindparam, select

from bus.clock import to_micros
from bus.delivery.ledger import send_ledger
from bus.message import Reply, decode
from deploy.bench.contacts import address_of
from deploy.bench.house import CORES, House, open_house
from deploy.bench.rows import Options, Row, row

__all__ = ["run"]

CONTACTS = 3000
HALF_LOAD_S = 10.0
WARM_UP = 300
GOALS = {"embedded": 1500.0, "kafka": 800.0}
"""Contacts a second on two cores."""
GOAL_P99_MS = 250.0

_times = select(send_ledger.c.planned_at, send_ledger.c.body).where(send_ledger.c.planned_at >= bindparam("since"))


async def run(options: Options) -> list[Row]:
    """Rate at full load, latency at half of it, and what a contact costs the workers' processors."""
    async with open_house(options.bus) as house:
        await house.start_workers()
        await house.accept_all("warm", WARM_UP)
        await house.answered()
        used, started = house.processor_s(), time.monotonic()
        await house.accept_all("full", CONTACTS)
        await house.answered()
        rate = CONTACTS / (time.monotonic() - started)
        # On a busy machine the rate tells of the neighbours; what a contact costs the processor does not.
        cost = (house.processor_s() - used) / CONTACTS * 1e6
        latencies = sorted(await _half_load(house, rate / 2))
    goal = GOALS[options.bus]
    return [
        row(f"{options.bus}: accepted contact to planned reply", rate, "contacts/s", at_least=goal),
        row(f"{options.bus}: at half load, p50", latencies[len(latencies) // 2], "ms"),
        row(f"{options.bus}: at half load, p99", latencies[int(len(latencies) * 0.99)], "ms", at_most=GOAL_P99_MS),
        row(f"{options.bus}: processor time of the workers per contact", cost, "us", digits=0),
        row(f"{options.bus}: worker processes", CORES, "processes", digits=0),
    ]


async def _half_load(house: House, rate: float) -> list[float]:
    """Milliseconds from the beginning of accepting to the ledger row, for contacts that come at an even rate."""
    count = max(1, int(rate * HALF_LOAD_S))
    clock = house.core.clock
    begun: dict[str, int] = {}
    since = to_micros(clock.now())
    start = time.monotonic()
    tasks: set[asyncio.Task[None]] = set()
    for number in range(count):
        await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        begun[address_of("half", number)] = to_micros(clock.now())
        task = asyncio.create_task(house.accept("half", number))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    await house.answered()
    first: dict[str, int] = {}
    for found in await house.core.engine.all(_times, {"since": since}):
        address = decode(found["body"].encode(), Reply).to.address
        first[address] = min(found["planned_at"], first.get(address, found["planned_at"]))
    return [(first[address] - at) / 1000 for address, at in begun.items() if address in first]
