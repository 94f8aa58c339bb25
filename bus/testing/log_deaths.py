"""Cases of the log's conformance suite in which processes die: what was acknowledged stays, what was done is done."""

import asyncio
import contextlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import pytest

from bus.log.port import Record, StoredRecord
from bus.log.topics import topic as declared
from bus.testing.log_member import STEPS
from bus.testing.log_records import (
    PATIENCE_S,
    TARGET,
    TOPIC,
    in_order_per_key,
    lines_until,
    records,
    records_of,
    rest_of_lines,
    some_lines,
    without_copies,
)

__all__ = ["DeathCases"]


class DeathCases:
    """Part of `LogConformance`.

    `leaves_copies`: an engine that appends through an outbox may append the same record again after a crash; its
    consumers then see one of it. Any other engine appends each record once.
    """

    opener: str
    leaves_copies = False

    @contextlib.asynccontextmanager
    async def process(self, location: str, *arguments: str) -> AsyncGenerator[asyncio.subprocess.Process]:
        """A process of `bus.testing.log_member`, killed at the end at the latest."""
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bus.testing.log_member", self.opener, location, *arguments, stdout=subprocess.PIPE
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.kill()
            await child.wait()

    async def test_the_work_of_a_killed_process_is_taken_over(self, log: Any, location: str) -> None:
        await log.append(records(40))
        async with self.process(location, "hold", "g", TOPIC, "victim") as child:
            held = await lines_until(child, "holding")
            assert held
            survivor = await log.subscribe("g", [TOPIC], member="survivor")
            found = {record.id for record in await survivor.fetch(100, 0)}
            assert len(survivor.generations) < declared(TOPIC).partitions
            assert len(found) < 40
            child.send_signal(signal.SIGKILL)
            await child.wait()
            began = time.monotonic()
            while len(found) < 40:
                assert time.monotonic() - began < PATIENCE_S
                found |= {record.id for record in await survivor.fetch(100, 0.2)}
        assert found == {record.id for record in records(40)}

    async def test_what_was_acknowledged_survives_sigkill(self, log: Any, location: str) -> None:
        chance = random.Random(11)  # noqa: S311
        acknowledged: set[str] = set()
        for round_ in range(2):
            async with (
                self.process(location, "produce", TOPIC, f"a{round_}", "100000") as one,
                self.process(location, "produce", TOPIC, f"b{round_}", "100000") as two,
            ):
                for child in (one, two):
                    acknowledged.update(await some_lines(child, chance.randrange(1, 400)))
                for child in (one, two):
                    child.send_signal(signal.SIGKILL)
                    acknowledged.update(await rest_of_lines(child))
        found = await records_of(log, TOPIC)
        ids = [record.id for record in found]
        assert len(acknowledged) > 8
        assert len(ids) == len(set(ids))
        assert acknowledged - set(ids) == set()
        assert in_order_per_key(found)

    @pytest.mark.parametrize("step", STEPS)
    async def test_a_crash_between_two_steps_repeats_no_effect_and_loses_none(
        self, log: Any, location: str, step: str
    ) -> None:
        given = records(200)
        await log.append(given)
        for after in (0, 2):
            async with self.process(location, "relay", "g", TOPIC, TARGET, "m", step, str(after)) as child:
                await asyncio.wait_for(child.wait(), PATIENCE_S)
                assert child.returncode == -signal.SIGKILL
        async with self.process(location, "relay", "g", TOPIC, TARGET, "m") as child:
            await self._until_relayed(log, child, len(given))
        found = await self.effects(log)
        assert sorted(record.id for record in found) == sorted(record.id for record in given)
        assert in_order_per_key(found)

    async def test_two_processes_and_random_kills_give_each_record_one_effect_in_order(
        self, log: Any, location: str
    ) -> None:
        chance = random.Random(13)  # noqa: S311
        given = records(1500, keys=40)
        feeding = asyncio.create_task(self._feed(log, given))
        async with self.process(location, "relay", "g", TOPIC, TARGET, "steady") as steady:
            for _ in range(3):
                async with self.process(location, "relay", "g", TOPIC, TARGET, "victim") as victim:
                    await lines_until(victim, "joined")
                    await asyncio.sleep(chance.uniform(0.02, 0.3))
                    victim.send_signal(signal.SIGKILL)
                    await victim.wait()
            await feeding
            await self._until_relayed(log, steady, len(given))
        found = await self.effects(log)
        assert sorted(record.id for record in found) == sorted(record.id for record in given)
        assert in_order_per_key(found)

    async def _feed(self, log: Any, given: Sequence[Record]) -> None:
        for start in range(0, len(given), 20):
            await log.append(given[start : start + 20])

    async def _until_relayed(self, log: Any, child: asyncio.subprocess.Process, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S * 2):
            while len(await self.effects(log)) < count:
                assert child.returncode is None
                await lines_until(child, "idle")

    async def effects(self, log: Any) -> list[StoredRecord]:
        """What the relays emitted."""
        found = await records_of(log, TARGET)
        return without_copies(found) if self.leaves_copies else found
