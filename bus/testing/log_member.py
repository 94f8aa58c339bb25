"""A process of its own that produces or consumes, for conformance suites to kill.

    python -m bus.testing.log_member OPENER LOCATION produce TOPIC PREFIX COUNT
    python -m bus.testing.log_member OPENER LOCATION hold GROUP TOPIC MEMBER
    python -m bus.testing.log_member OPENER LOCATION relay GROUP TOPIC TARGET MEMBER [CRASH_STEP CRASH_AFTER]

OPENER is `module:function`, an async function from LOCATION to an engine. What is durable is said on standard output,
one line each, so that the suite can hold the engine to what it acknowledged.
"""

import asyncio
import importlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from bus.delivery.outcome import Outcome
from bus.log.port import Delivery, Record, StoredRecord
from bus.store.port import Effect

__all__ = ["STEPS", "opener_of"]

STEPS = ("fetched", "submitted", "applied")
"""Between these a relay can be told to die: records in hand, transaction under way, transaction durable."""

_KEYS = 17
"""Keys that a producer spreads its records over: several per partition, several partitions."""


def opener_of(name: str) -> Callable[[str], Awaitable[Any]]:
    """The function that `module:function` names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


async def _produce(engine: Any, topic: str, prefix: str, count: str) -> None:
    async def one(number: int) -> None:
        record_id = f"{prefix}-{number}"
        record = Record(topic=topic, key=f"{prefix}-key-{number % _KEYS}", value=b"%d" % number, id=record_id)
        await engine.append([record])
        _say(record_id)

    # Several at a time, but in order per key.
    for start in range(0, int(count), _KEYS):
        await asyncio.gather(*(one(number) for number in range(start, min(start + _KEYS, int(count)))))


async def _hold(engine: Any, group: str, topic: str, member: str) -> None:
    subscription = await engine.subscribe(group, [topic], member=member)
    while not (records := await subscription.fetch(1000, 1.0)):
        pass
    for record in records:
        _say(record.id)
    _say("holding")
    await asyncio.Event().wait()


async def _relay(
    engine: Any, group: str, topic: str, target: str, member: str, step: str = "", after: str = "0"
) -> None:
    subscription = await engine.subscribe(group, [topic], member=member)
    _say("joined")
    rounds = 0
    while True:
        records = await subscription.fetch(20, 1.0)
        if not records:
            _say("idle")
            continue
        rounds += 1
        last = rounds > int(after)
        _die_at("fetched", step, last)
        work = asyncio.ensure_future(engine.apply(_effects(group, target, records)))
        # One turn of the loop: the transaction is handed over, its end is not known.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        _die_at("submitted", step, last)
        await work
        _die_at("applied", step, last)


def _effects(group: str, target: str, records: Sequence[StoredRecord]) -> list[Effect]:
    return [
        Effect(
            outcome=Outcome(emit=(Record(topic=target, key=record.key, value=record.value, id=record.id),)),
            source=Delivery.of(group, record),
        )
        for record in records
    ]


def _die_at(here: str, step: str, last: bool) -> None:
    if last and here == step:
        os.kill(os.getpid(), signal.SIGKILL)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


_ROLES: dict[str, Callable[..., Awaitable[None]]] = {"produce": _produce, "hold": _hold, "relay": _relay}


async def _main(opener: str, location: str, role: str, *arguments: str) -> None:
    engine = await opener_of(opener)(location)
    try:
        await _ROLES[role](engine, *arguments)
    finally:
        await engine.close()


if __name__ == "__main__":
    # Standard output belongs to what is acknowledged.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_main(*sys.argv[1:]))
