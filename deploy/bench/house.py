"""A house to measure: doors in this process, workers in processes of their own, as many as there are cores."""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import bindparam, func, select

from bus.adapter.hosting import contact_record
from bus.clock import to_micros
from bus.delivery.ledger import send_ledger
from bus.log.kafka_settings import KafkaSettings
from bus.store.postgres_settings import PostgresSettings
from deploy.bench.contacts import contact
from deploy.bench.rows import Missing
from deploy.bench.servers import broker, database
from deploy.core import Core, open_core
from deploy.kafka.topics import apply_plan, declared_topics
from deploy.settings import ProductSettings, load
from workers.records.demo import load_demo

__all__ = ["House", "open_house"]

CORES = len(os.sched_getaffinity(0))

_AT_ONCE = 64
"""Contacts accepted at the same time: as many doors are busy."""
_GIVE_UP_S = 300.0
_LOOK_S = 0.02
_STOP_S = 30.0
_TOLD = 2_000
"""Characters of what a worker said last, told when it ends."""

_fresh = (
    (send_ledger.c.channel == "email")
    & (send_ledger.c.state == "planned")
    & (send_ledger.c.changed_at >= bindparam("since"))
)
_planned = select(func.count().label("n")).where(_fresh)
_answered = select(func.count(func.distinct(send_ledger.c.case_id)).label("n")).where(_fresh)
"""Nobody sends here, so what is planned stays planned. Only one contact in three leads to a second reply (a code), so
the cheap count is asked first.
"""


class House:
    """Remembers how many contacts came in since it was opened; `answered` waits until each has a planned reply."""

    def __init__(self, core: Core, config: Path) -> None:
        self.core = core
        self.config = config
        self._words = config.with_name("workers.log")
        self._workers: list[asyncio.subprocess.Process] = []
        self._sent = 0
        self._since = to_micros(core.clock.now())

    @property
    def pids(self) -> Sequence[int]:
        """Of the worker processes."""
        return [worker.pid for worker in self._workers]

    async def start_workers(self) -> None:
        """One process per core with all groups."""
        with self._words.open("ab") as words:
            for _ in range(CORES):
                self._workers.append(
                    await asyncio.create_subprocess_exec(
                        sys.executable,
                        *("-m", "deploy.cli", "workers", "run", "all", "--config", str(self.config)),
                        stdout=asyncio.subprocess.DEVNULL,
                        stderr=words,
                    )
                )

    async def stop_workers(self) -> None:
        """Drain and end them."""
        workers, self._workers = self._workers, []
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(signal.SIGTERM)
        for worker in workers:
            try:
                async with asyncio.timeout(_STOP_S):
                    await worker.wait()
            except TimeoutError:
                worker.kill()
                await worker.wait()

    async def accept(self, name: str, number: int) -> None:
        """One contact, durable when this returns."""
        made = contact(name, number, self.core.clock.now(), tenant=self.core.settings.tenant)
        self._sent += 1
        await self.core.door.append([contact_record(made)], once=True)

    async def accept_all(self, name: str, count: int) -> None:
        """As fast as the doors take them."""
        numbers = iter(range(count))

        async def door() -> None:
            for number in numbers:
                await self.accept(name, number)

        await asyncio.gather(*(door() for _ in range(_AT_ONCE)))

    async def answered(self, within_s: float = _GIVE_UP_S) -> None:
        """Until every contact accepted so far has a planned reply. Raises Missing when that takes too long."""
        ends = time.monotonic() + within_s
        while True:
            done = await self._count(_planned)
            if done >= self._sent:
                done = await self._count(_answered)
            if done >= self._sent:
                return
            if any(worker.returncode is not None for worker in self._workers):
                raise Missing(f"a worker process ended: {self._words.read_text(errors='replace')[-_TOLD:]}")
            if time.monotonic() > ends:
                raise Missing(f"{self._sent} contacts were not answered within {within_s:.0f} s, {done} were")
            await asyncio.sleep(_LOOK_S)

    async def _count(self, statement: Any) -> int:
        row = await self.core.engine.one(statement, {"since": self._since})
        return row["n"] if row is not None else 0

    def processor_s(self) -> float:
        """Seconds of processor time that the workers have used so far."""
        # User and system time are the 14th and 15th field of proc(5), the 12th and 13th behind the name.
        fields = [_stat(pid) for pid in self.pids]
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Resident memory of the workers together."""
        return sum(int(_stat(pid)[21]) for pid in self.pids) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def descriptors(self) -> int:
        """Open files and sockets of the workers together."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids)


def _stat(pid: int) -> Sequence[str]:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()


@asynccontextmanager
async def open_house(bus: str) -> AsyncGenerator[House]:
    """A fresh house on the engine `bus`, with the demo's customers and no workers yet."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="contactbus-bench-")))
        sections = {"product": f'data = "{folder}/data"\nlog_level = "ERROR"'}
        if bus == "kafka":
            kafka = await stack.enter_async_context(broker())
            postgres = await stack.enter_async_context(database())
            sections |= _distributed(kafka, postgres)
            await _make_topics(kafka)
        config = folder / "contactbus.toml"
        config.write_text("\n".join(f"[{name}]\n{text}\n" for name, text in sections.items()), encoding="utf-8")
        layers = load(config, dict(os.environ), {})
        settings: ProductSettings = layers.section("product", ProductSettings)
        core = await open_core(layers, settings, public_url="http://127.0.0.1", doors=True)
        parts = [asyncio.ensure_future(part()) for part in core.parts.values()]
        house = House(core, config)
        try:
            await load_demo(core.engine, core.clock)
            yield house
        finally:
            await house.stop_workers()
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            await core.close()


def _distributed(kafka: KafkaSettings, postgres: PostgresSettings) -> dict[str, str]:
    return {
        "bus": 'engine = "kafka"',
        "kafka": (
            f"bootstrap = {list(kafka.bootstrap)}\ntopic_prefix = '{kafka.topic_prefix}'\n"
            f"replication_floor = {kafka.replication_floor}\nmin_insync_replicas = {kafka.min_insync_replicas}"
        ),
        "postgres": f'dsn = "{postgres.dsn}"\nowner_dsn = "{postgres.owner_dsn}"',
    }


async def _make_topics(kafka: KafkaSettings) -> None:
    names = declared_topics(ProductSettings().channels)
    await apply_plan(kafka, names)
