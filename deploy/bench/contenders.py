"""One contender of `bench kafka`, in a process of its own: reads a topic, decodes each contact, commits.

    python -m deploy.bench.contenders NAME BOOTSTRAP TOPIC-PREFIX RECORDS

Prints one JSON object. The clock begins after a tenth of the records, so that joining the group and importing count
for nobody. All of them read the same records of the same topic from the same broker and decode them into the same type.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from bus.message import Contact, decode

__all__ = ["CONTENDERS", "PARTITIONS", "TOPIC"]

TOPIC = "bench.contacts"
PARTITIONS = 12


class Meter:
    """Processor and wall time between the first tenth and the last of so many records."""

    def __init__(self, records: int) -> None:
        self._records = records
        self._skipped = records // 10
        self._seen = 0
        self._began = self._ended = (0.0, 0.0)
        self.ended = asyncio.Event()

    def count(self, records: int = 1) -> None:
        """So many were handled."""
        before, self._seen = self._seen, self._seen + records
        if before < self._skipped <= self._seen:
            self._skipped = self._seen
            self._began = time.process_time(), time.perf_counter()
        if self._seen >= self._records and not self.ended.is_set():
            self.ended.set()

    def stop(self) -> dict[str, float]:
        """Everything is handled and committed."""
        counted = self._seen - self._skipped
        processor = time.process_time() - self._began[0]
        wall = time.perf_counter() - self._began[1]
        return {"records": counted, "us": processor / counted * 1e6, "rate": counted / wall}


async def ours(bootstrap: str, prefix: str, records: int) -> dict[str, float]:
    """The product: fetch, lane per key, decision, progress with what is unfinished, commit of the watermark."""
    from bus.delivery.outcome import NOTHING, Outcome
    from bus.log.distributed import DistributedEngine
    from bus.log.kafka import KafkaLog
    from bus.log.kafka_settings import KafkaSettings
    from bus.log.port import StoredRecord
    from bus.store.port import Effect
    from deploy.bench.given import Finishing, runner_of

    meter = Meter(records)
    settings = KafkaSettings(
        bootstrap=tuple(bootstrap.split(",")), topic_prefix=prefix, replication_floor=1, min_insync_replicas=1
    )

    class Work:
        group = f"bench-{uuid.uuid4().hex[:8]}"
        topics = (TOPIC,)

        async def prepare(self, batch: Sequence[StoredRecord]) -> None:
            return None

        async def handle(self, record: StoredRecord) -> Outcome:
            decode(record.value, Contact)
            return NOTHING

    async def finish(effects: Sequence[Effect]) -> None:
        meter.count(len(effects))

    # The product's own engine, with a store that has nothing to keep: what PostgreSQL costs is `bench path`'s to say.
    store: Any = Finishing(finish)
    engine = DistributedEngine(KafkaLog(settings), store, relays=False)
    runner = runner_of(Work(), engine, engine)
    running = asyncio.create_task(runner.run())
    ended = asyncio.create_task(meter.ended.wait())
    await asyncio.wait([running, ended], return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    runner.stop()
    await running
    found = meter.stop()
    await engine.close()
    return found


async def aiokafka(bootstrap: str, prefix: str, records: int) -> dict[str, float]:
    """The client alone: a batch, decode each, one commit. No order among many at once, no retry, no lane."""
    from aiokafka import AIOKafkaConsumer

    meter = Meter(records)
    consumer: Any = AIOKafkaConsumer(
        prefix + TOPIC,
        bootstrap_servers=bootstrap,
        group_id=f"{prefix}{uuid.uuid4().hex[:8]}",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        while not meter.ended.is_set():
            batches = await consumer.getmany(timeout_ms=1000, max_records=1000)
            for batch in batches.values():
                for message in batch:
                    decode(message.value, Contact)
                meter.count(len(batch))
            await consumer.commit()
        return meter.stop()
    finally:
        await consumer.stop()


def _faststream(
    policy: str, *, batch: bool = False, typed: bool = False
) -> Callable[[str, str, int], Coroutine[Any, Any, dict[str, float]]]:
    """`typed`: the handler names its type and FastStream decodes, as its documentation shows; else its bare bones."""

    async def measure(bootstrap: str, prefix: str, records: int) -> dict[str, float]:
        from fast_depends.msgspec import MsgSpecSerializer
        from faststream import AckPolicy
        from faststream.kafka import KafkaBroker

        meter = Meter(records)
        # Without a line of log per message, and the quicker of its two ways to decode.
        broker = KafkaBroker(bootstrap, logger=None, apply_types=typed, serializer=MsgSpecSerializer())

        async def one(message: Any) -> None:
            decode(message, Contact)
            meter.count()

        async def many(messages: Any) -> None:
            for message in messages:
                decode(message, Contact)
            meter.count(len(messages))

        async def many_typed(messages: list[Contact]) -> None:
            meter.count(len(messages))

        async def undecoded(message: Any) -> Any:
            return message.body

        options: dict[str, Any] = {} if typed else {"decoder": undecoded}
        if batch:
            options["max_records"] = 1000
        broker.subscriber(
            prefix + TOPIC,
            group_id=f"{prefix}{uuid.uuid4().hex[:8]}",
            auto_offset_reset="earliest",
            ack_policy=AckPolicy[policy],
            batch=batch,
            **options,
        )(many_typed if typed else many if batch else one)
        await broker.start()
        try:
            await meter.ended.wait()
            return meter.stop()
        finally:
            await broker.stop()

    return measure


CONTENDERS: dict[str, Callable[[str, str, int], Coroutine[Any, Any, dict[str, float]]]] = {
    "contactbus": ours,
    "aiokafka": aiokafka,
    "faststream-first": _faststream("ACK_FIRST"),
    "faststream-ack": _faststream("ACK"),
    "faststream-batch": _faststream("ACK", batch=True),
    "faststream-batch-typed": _faststream("ACK", batch=True, typed=True),
}


if __name__ == "__main__":
    name, bootstrap, prefix, records = sys.argv[1:5]
    print(json.dumps(asyncio.run(CONTENDERS[name](bootstrap, prefix, int(records)))))
