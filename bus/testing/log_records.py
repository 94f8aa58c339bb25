"""What the cases of the log's conformance suite share: records to append, ways to read them back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bus.log.port import Delivery, Record, StoredRecord, Subscription
from bus.log.topics import topic as declared

__all__ = [
    "OTHER",
    "PATIENCE_S",
    "TARGET",
    "TOPIC",
    "Open",
    "drain",
    "in_order_per_key",
    "lines_until",
    "records",
    "records_of",
    "rest_of_lines",
    "shared",
    "some_lines",
    "take",
    "without_copies",
]

TOPIC = "conformance.in"
OTHER = "conformance.other"
TARGET = "conformance.out"

PATIENCE_S = 30.0
"""How long anything may take before the suite gives up: far more than it should, machines are busy."""

Open = Callable[[], Awaitable[Any]]
"""Opens the engine under test once more, as another process would."""


def records(count: int, *, topic: str = TOPIC, prefix: str = "r", keys: int = 13) -> list[Record]:
    """Records over some keys, numbered in order."""
    return [
        Record(
            topic=topic, key=f"{prefix}-k{n % keys}", value=b"%d" % n, id=f"{prefix}-{n}", headers={"number": str(n)}
        )
        for n in range(count)
    ]


async def drain(subscription: Subscription, *, quiet_s: float = 0.4, commit: bool = True) -> list[StoredRecord]:
    """Fetch until nothing comes for a while, committing each batch."""
    found: list[StoredRecord] = []
    while batch := await subscription.fetch(100, quiet_s):
        found += batch
        if commit:
            await subscription.commit([Delivery.of(subscription.group, record) for record in batch])
    return found


async def records_of(engine: Any, topic: str) -> list[StoredRecord]:
    """Everything that a topic holds, partition by partition."""
    found: list[StoredRecord] = []
    for partition in range(declared(topic).partitions):
        start = 0
        while page := await engine.read(topic, partition, start=start, limit=500):
            found += page
            start = page[-1].offset + 1
    return found


def in_order_per_key(found: Sequence[StoredRecord]) -> bool:
    """Whether the numbers of every key rise."""
    last: dict[str, int] = {}
    for record in found:
        number = int(record.value)
        if number <= last.get(record.key, -1):
            return False
        last[record.key] = number
    return True


async def take(subscription: Subscription, count: int) -> list[StoredRecord]:
    """Fetch until `count` records came, a fetch may bring a part of them, and whatever else is there beyond those."""
    found: list[StoredRecord] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(found) < count:
            found += await subscription.fetch(1000, 1.0)
    return [*found, *await subscription.fetch(1000, 0.05)]


async def shared(*subscriptions: Subscription, partitions: int) -> None:
    """Return when each of these members reads a part of so many partitions: owners change inside `fetch`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for subscription in subscriptions:
                await subscription.fetch(0, 0)
            counts = [len(subscription.generations) for subscription in subscriptions]
            if all(counts) and sum(counts) == partitions:
                return
            await asyncio.sleep(0.01)


def without_copies(found: Sequence[StoredRecord]) -> list[StoredRecord]:
    """The first of each id, as a consumer sees them that knows what it has done. Copies must be alike."""
    first: dict[str, StoredRecord] = {}
    for record in found:
        known = first.setdefault(record.id, record)
        assert (known.key, known.value, known.partition) == (record.key, record.value, record.partition)
    return list(first.values())


async def lines_until(child: asyncio.subprocess.Process, last: str) -> list[str]:
    assert child.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(PATIENCE_S):
        while line := (await child.stdout.readline()).decode().strip():
            if line == last:
                return lines
            lines.append(line)
    raise AssertionError(f"the process ended before it said {last!r}")


async def some_lines(child: asyncio.subprocess.Process, count: int) -> list[str]:
    assert child.stdout is not None
    async with asyncio.timeout(PATIENCE_S):
        return [(await child.stdout.readline()).decode().strip() for _ in range(count)]


async def rest_of_lines(child: asyncio.subprocess.Process) -> list[str]:
    """What a killed process had still said: whole lines only, the last may be torn."""
    assert child.stdout is not None
    rest = (await child.stdout.read()).decode()
    return rest.split("\n")[:-1]
