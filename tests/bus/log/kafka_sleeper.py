"""A member that says what it holds, is stopped from outside, and tries to commit when it is told to."""

import asyncio
import sys

import structlog

from bus.log.kafka import KafkaLog
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import Delivery, Fenced, StoredRecord, TopicPartition


async def _nothing_in_hand(_places: frozenset[TopicPartition]) -> None:
    return None


async def _main(bootstrap: str, prefix: str, topic: str, drain: str) -> None:
    settings = KafkaSettings(
        bootstrap=(bootstrap,), topic_prefix=prefix, replication_floor=1, min_insync_replicas=1,
        session_timeout_s=3.0, heartbeat_s=0.5, drain_s=5.0, rebalance_timeout_s=15.0,
    )  # fmt: skip
    log = KafkaLog(settings)
    subscription = await log.subscribe("g", [topic], member="sleeper", drain=_nothing_in_hand if drain else None)
    found: list[StoredRecord] = []
    while len(found) < 40:
        found += await subscription.fetch(100, 1.0)
    print(*(record.id for record in found), "holding", sep="\n", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    try:
        await subscription.commit([Delivery.of("g", record) for record in found])
        print("committed", flush=True)
    except Fenced:
        print("fenced", flush=True)
    await asyncio.Event().wait()


# Standard output belongs to what is told to the test.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
asyncio.run(_main(*sys.argv[1:]))
