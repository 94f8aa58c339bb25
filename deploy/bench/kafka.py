"""What a record costs on Kafka, from the broker to its committed place, beside what else one could use in Python.

Every contender is a process of its own on the same broker, topic and records. The figure is processor time per record:
on a busy machine a rate tells of the neighbours.
"""

import asyncio
import importlib.util
import json
import sys
from datetime import UTC, datetime

import click
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bus.log.kafka import KafkaLog
from bus.log.kafka_settings import KafkaSettings
from bus.log.port import Record
from bus.message import encode, envelope
from deploy.bench.contacts import contact
from deploy.bench.contenders import PARTITIONS, TOPIC
from deploy.bench.rows import Missing, Options, Row, row
from deploy.bench.servers import broker

__all__ = ["run"]

RECORDS = 30_000
RECORDS_ACKNOWLEDGED = 1_500
"""A commit per message is some hundred messages a second."""
KEYS = 500
ROUNDS = 3
"""The best of so many counts: neighbours on the machine only ever make it worse."""

_APPEND = 1_000
_GIVE_UP_S = 180.0


async def run(options: Options) -> list[Row]:
    """Our own figure, the peers', and the ratios."""
    async with broker() as settings:
        await _fill(settings)
        bare = await _best("aiokafka", settings, RECORDS)
        ours = await _best("contactbus", settings, RECORDS)
        rows = [
            row("contactbus: fetch, decode, lane, decision, commit", ours["us"], "us/record", at_most=35),
            row("contactbus: rate", ours["rate"], "records/s", digits=0),
            row("aiokafka alone, a batch and one commit", bare["us"], "us/record"),
            row("contactbus to aiokafka alone", ours["us"] / bare["us"], "times", at_most=4, digits=2),
        ]
        if importlib.util.find_spec("faststream") is None:
            click.echo("FastStream is not installed: `pip install faststream[kafka]` measures it too.", err=True)
            return rows
        first = await _best("faststream-first", settings, RECORDS)
        each = await _best("faststream-ack", settings, RECORDS_ACKNOWLEDGED)
        batch = await _best("faststream-batch", settings, RECORDS)
        typed = await _best("faststream-batch-typed", settings, RECORDS)
        return [
            *rows,
            row("FastStream per message, acknowledged first (may lose)", first["us"], "us/record"),
            row("FastStream per message, acknowledged after", each["us"], "us/record"),
            row("FastStream per batch, typed as documented (no order, no retry)", typed["us"], "us/record"),
            row("FastStream per batch, its bare bones", batch["us"], "us/record"),
            row(
                "FastStream per message, first, to contactbus", first["us"] / ours["us"], "times", at_least=3, digits=2
            ),
            row(
                "FastStream per message, after, to contactbus", each["us"] / ours["us"], "times", at_least=30, digits=1
            ),
            row("contactbus to FastStream per batch, typed", ours["us"] / typed["us"], "times", at_most=1, digits=2),
            row("contactbus to FastStream per batch, bare", ours["us"] / batch["us"], "times", digits=2),
        ]


async def _fill(settings: KafkaSettings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=",".join(settings.bootstrap))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(settings.topic_prefix + TOPIC, PARTITIONS, 1)])
    finally:
        await admin.close()
    now = datetime.now(UTC)
    log = KafkaLog(settings)
    try:
        for start in range(0, RECORDS, _APPEND):
            await log.append([_record(number, now) for number in range(start, start + _APPEND)])
    finally:
        await log.close()


def _record(number: int, now: datetime) -> Record:
    message = contact("kafka", number, now)
    headers = envelope(record_id=message.id, kind="contact", source="bench", tenant=message.tenant, at=now)
    return Record(topic=TOPIC, key=f"shop/case-{number % KEYS}", value=encode(message), id=message.id, headers=headers)


async def _best(name: str, settings: KafkaSettings, records: int) -> dict[str, float]:
    found = [await _contend(name, settings, records) for _ in range(ROUNDS)]
    return min(found, key=lambda each: each["us"])


async def _contend(name: str, settings: KafkaSettings, records: int) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "deploy.bench.contenders",
        name,
        ",".join(settings.bootstrap),
        settings.topic_prefix,
        str(records),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_GIVE_UP_S):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Missing(f"the measurement of {name} did not end within {_GIVE_UP_S:.0f} s") from None
    if process.returncode:
        raise Missing(f"the measurement of {name} failed; its own words stand above")
    return json.loads(out)
