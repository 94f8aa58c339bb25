"""Many keys at once, each in its order: ten thousand records of which each takes up to five milliseconds.

The measurement by which parallel consumers are compared, worked on a hundred ways at once. The log is a list in memory
and the store only counts, so what is left is lanes, hands and the loop.
"""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bus.delivery.outcome import NOTHING, Outcome
from bus.log.partition import partition_of
from bus.log.port import Delivery, Drain, StoredRecord, TopicPartition
from bus.store.port import Effect
from deploy.bench.given import Finishing, runner_of
from deploy.bench.rows import Options, Row, row

__all__ = ["run"]

RECORDS = 10_000
LONGEST_S = 0.005
KEYS = (100, 1_000)
"""With a hundred keys at most a hundred records are worked on at once."""

_TOPIC = "bench.lanes"
_PARTITIONS = 12


class _Given:
    """Subscription and log: records of a topic, handed out as fast as they are asked for."""

    group = "bench"

    def __init__(self, records: Sequence[StoredRecord]) -> None:
        self._left = list(records)
        self.generations: Mapping[TopicPartition, int] = {
            TopicPartition(_TOPIC, number): 1 for number in range(_PARTITIONS)
        }

    async def fetch(
        self, max_records: int, timeout_s: float, *, paused: frozenset[TopicPartition] = frozenset()
    ) -> Sequence[StoredRecord]:
        closed = {place.partition for place in paused}
        taken = [record for record in self._left if record.partition not in closed][:max_records]
        if not taken:
            await asyncio.sleep(timeout_s)
            return []
        gone = {record.offset for record in taken}
        self._left = [record for record in self._left if record.offset not in gone]
        return taken

    async def commit(self, finished: Sequence[Delivery]) -> None:
        return None

    async def close(self) -> None:
        return None

    async def subscribe(
        self, group: str, topics: Sequence[str], *, member: str, drain: Drain | None = None
    ) -> "_Given":
        return self

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the list of a measurement has no {name}")


class _Work:
    """Waits as long as the record says, and watches the order of each key."""

    group = "bench"
    topics = (_TOPIC,)

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self._busy = 0
        self.at_once = 0
        self.out_of_order = 0

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        return None

    async def handle(self, record: StoredRecord) -> Outcome:
        self._busy += 1
        self.at_once = max(self.at_once, self._busy)
        if self._last.get(record.key, -1) >= record.offset:
            self.out_of_order += 1
        self._last[record.key] = record.offset
        await asyncio.sleep(float(record.value))
        self._busy -= 1
        return NOTHING


async def run(options: Options) -> list[Row]:
    """Rows for each number of keys."""
    rows: list[Row] = []
    for keys in KEYS:
        used = time.process_time()
        took, work = await _measure(keys)
        used = time.process_time() - used
        goal = 0.6 if keys == KEYS[0] else None
        rows.append(row(f"{RECORDS:,} records of 0-5 ms, {keys:,} keys", took, "s", at_most=goal, digits=2))
        rows.append(row(f"the same: processor time per record, {keys:,} keys", used / RECORDS * 1e6, "us"))
        rows.append(row(f"the same: most at once, {keys:,} keys", work.at_once, "records", digits=0))
        rows.append(row(f"the same: out of order, {keys:,} keys", work.out_of_order, "records", at_most=0, digits=0))
    return rows


async def _measure(keys: int) -> tuple[float, _Work]:
    chance = random.Random(1)  # noqa: S311  the same records every time
    names = [f"key-{chance.randrange(keys)}" for _ in range(RECORDS)]
    records = [_record(number, name, chance.random() * LONGEST_S) for number, name in enumerate(names)]
    done, ended = 0, asyncio.Event()

    async def finish(effects: Sequence[Effect]) -> None:
        nonlocal done
        done += len(effects)
        if done == RECORDS:
            ended.set()

    work = _Work()
    log: Any = _Given(records)
    runner = runner_of(work, log, Finishing(finish))
    began = time.perf_counter()
    running = asyncio.create_task(runner.run())
    waiting = asyncio.create_task(ended.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    took = time.perf_counter() - began
    waiting.cancel()
    runner.stop()
    await running
    return took, work


def _record(number: int, key: str, takes_s: float) -> StoredRecord:
    return StoredRecord(
        topic=_TOPIC,
        partition=partition_of(key, _PARTITIONS),
        offset=number,
        at=0,
        key=key,
        value=f"{takes_s:.6f}".encode(),
        id=f"r-{number}",
        headers={},
        generation=1,
    )
