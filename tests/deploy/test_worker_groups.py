"""Groups of workers as processes: started together, kept alive, told to leave, gone in time."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bus.clock import SystemClock
from bus.delivery.outcome import NOTHING, Outcome
from bus.delivery.runner import WorkerRunner
from bus.http import HttpServer
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.log.topics import work_topic
from bus.telemetry import Metrics
from deploy import process as process_module
from deploy.core import open_core
from deploy.departments import GROUPS, build, topics_by_group
from deploy.groups import InLanes, Share
from deploy.herd import _Child  # pyright: ignore[reportPrivateUsage]
from deploy.process import Process
from deploy.settings import ProductSettings, load

LEAVES_S = 25.0


async def eventually(probe: Callable[[], Awaitable[Any]], what: str, timeout: float = 40) -> Any:
    ends = time.monotonic() + timeout
    while not (found := await probe()):
        assert time.monotonic() < ends, f"in vain: {what}"
        await asyncio.sleep(0.1)
    return found


class Counting:
    """A worker that counts what it is given."""

    group = "billing"
    topics = (work_topic("billing", "live"), work_topic("billing", "deferred"))

    def __init__(self, hang: bool = False) -> None:
        self.seen: Counter[str] = Counter()
        self.hang = hang

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        pass

    async def handle(self, record: StoredRecord) -> Outcome:
        self.seen[record.id] += 1
        if self.hang:
            await asyncio.Event().wait()
        return NOTHING


def records(topic: str, count: int) -> list[Record]:
    return [Record(topic=topic, key=f"k{n % 7}", value=b"{}", id=f"{topic}/{n}") for n in range(count)]


async def test_members_that_take_different_lanes_are_one_group_and_take_each_record_once(tmp_path: Path) -> None:
    clock = SystemClock()
    engine = await EmbeddedEngine.open(tmp_path, clock=clock)
    await engine.create_schema()
    live, deferred = Counting.topics
    await engine.append([*records(live, 40), *records(deferred, 40)])
    workers = [Counting(), Counting(), Counting()]
    parts = [InLanes(workers[0], ("live",)), InLanes(workers[1], ("deferred",)), workers[2]]
    assert [list(part.topics) for part in parts] == [[live], [deferred], [live, deferred]]

    def runner(number: int) -> WorkerRunner:
        return WorkerRunner(
            parts[number], log_port=engine, store=engine, clock=clock, metrics=Metrics(), member=f"m{number}",
            desk_case=lambda record, reason: NOTHING, jitter=random.Random(1),
        )  # fmt: skip

    runners = [runner(0), runner(1)]
    tasks = [asyncio.create_task(each.run()) for each in runners]

    async def done() -> bool:
        return sum(sum(worker.seen.values()) for worker in workers) >= 80

    await eventually(done, "every record")
    # The file changes: somebody else takes both lanes from here on, and repeats nothing.
    for each in runners:
        each.stop()
    await asyncio.gather(*tasks)
    assert set(workers[0].seen) == {f"{live}/{n}" for n in range(40)}
    assert set(workers[1].seen) == {f"{deferred}/{n}" for n in range(40)}
    await engine.append([Record(topic=deferred, key="k", value=b"{}", id="later")])
    last = runner(2)
    task = asyncio.create_task(last.run())

    async def one_more() -> bool:
        return bool(workers[2].seen)

    await eventually(one_more, "the new record")
    last.stop()
    await task
    assert workers[2].seen == {"later": 1}
    assert set((workers[0].seen + workers[1].seen).values()) == {1}
    await engine.close()


async def test_topics_are_those_of_the_built_workers(tmp_path: Path) -> None:
    core = await open_core(load(None, {}, {}), ProductSettings(data=str(tmp_path)), public_url="http://127.0.0.1")
    named = topics_by_group(("email",))
    for group in GROUPS:
        if group != "triage":
            # Triage learns when it is built; what it reads is a constant of its class.
            assert named[group] == tuple(build(core, group).topics), group
    from workers.triage.worker import TriageWorker

    assert named["triage"] == tuple(TriageWorker.topics)
    assert named["send-email"] == ("reply.email",)
    await core.close()


async def test_a_worker_that_hangs_does_not_keep_the_process_beyond_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "DRAIN_S", 3.0)
    monkeypatch.setattr(process_module, "_LEAVE_S", 1.0)
    core = await open_core(load(None, {}, {}), ProductSettings(data=str(tmp_path)), public_url="http://127.0.0.1")
    worker = Counting(hang=True)
    live = worker.topics[0]
    await core.engine.append(records(live, 1))

    async def ready() -> dict[str, str]:
        return await process.readiness()

    process = Process(
        core, channels=(), workers=[worker], http=HttpServer("127.0.0.1", 0, metrics=core.metrics, readiness=ready),
        desk_case=lambda record, reason: NOTHING,
    )  # fmt: skip
    await process.start()

    async def in_hand() -> bool:
        return bool(worker.seen)

    await eventually(in_hand, "the record in hand")
    assert await ready() == {}
    began = time.monotonic()
    stopping = asyncio.create_task(process.stop())

    async def draining() -> bool:
        return await ready() == {"process": "draining"}

    await eventually(draining, "nobody is sent here any more")
    await stopping
    assert time.monotonic() - began < 4.0
    again = await EmbeddedEngine.open(tmp_path)
    lag = await again.lag("billing", [live])
    assert sum(behind for behind, _ in lag.values()) == 1, "it is somebody else's now, not lost"
    await again.close()


class House:
    """Commands on one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: list[asyncio.subprocess.Process] = []

    async def start(self, *arguments: str) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
        """A command that goes on; returns with its ready line."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", *arguments, "--data", str(self.folder / "data"), "--json",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.running.append(process)
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 90)
        assert line, f"{arguments} ended with {await process.wait()}"
        return process, json.loads(line)

    async def cli(self, *arguments: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.cli", *arguments, "--data", str(self.folder / "data"), "--json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 90)
        assert process.returncode == 0, err.decode()
        return json.loads(out)

    async def members(self, group: str) -> list[str]:
        return next(row["members"] for row in await self.cli("workers", "list") if row["group"] == group)


@pytest_asyncio.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    opened = House(tmp_path)
    yield opened
    for process in opened.running:
        if process.returncode is None:
            process.kill()
            await process.wait()


def pid_of(member: str) -> int:
    return int(member.rpartition("-")[2])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_group_of_two_processes_is_kept_alive_listed_drained_and_stopped(house: House) -> None:
    every = ", ".join(f'"{name}"' for name in GROUPS if name not in ("desk", "desk-files"))
    groups = house.folder / "groups.toml"
    groups.write_text(
        f'[groups.people]\nworkers = ["desk", "desk-files"]\nmembers = 2\n[groups.rest]\nworkers = [{every}]\n'
    )
    parent, ready = await house.start("workers", "run", "people", "--groups", str(groups))
    assert (ready["ready"], ready["group"]) == (True, "people")
    names = {member["member"] for member in ready["members"]}
    assert len(names) == 2
    assert {tuple(member["workers"]) for member in ready["members"]} == {("desk", "desk-files")}
    assert set(await house.members("desk")) == names
    assert await house.members("intake") == []

    # One dies; another takes its place.
    dead = sorted(names)[0]
    os.kill(pid_of(dead), signal.SIGKILL)

    async def replaced() -> set[str]:
        return set(await house.members("desk-files")) - names

    await eventually(replaced, "a new process in the place of the dead one")

    # One is told to leave; it is not started again.
    (new,) = await replaced()
    assert await house.cli("workers", "drain", new) == [{"member": new, "left": True}]

    async def ended() -> bool:
        return not alive(pid_of(new))

    await eventually(ended, "the process that left its groups to end")
    (other,) = names - {dead}
    assert other in await house.members("desk")
    assert parent.returncode is None

    parent.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(parent.wait(), LEAVES_S) == 0
    assert not alive(pid_of(other))
    assert other not in await house.members("desk")


async def test_a_process_that_was_let_go_is_not_started_again_however_it_ends() -> None:
    dies = "import sys; print('ready', flush=True); sys.stdin.read(); sys.exit(1)"
    child = _Child(Share(group="front", workers=("intake",)), (sys.executable, "-c", dies))
    kept = asyncio.create_task(child.keep())
    assert await asyncio.wait_for(child.ready, 30) == b"ready\n"
    child.release()
    await asyncio.wait_for(kept, 10)


async def test_nobody_is_left_behind_when_the_parent_is_killed(house: House) -> None:
    parent, ready = await house.start("workers", "run", "desk-files", "--members", "2")
    pids = [pid_of(member["member"]) for member in ready["members"]]
    assert all(map(alive, pids))
    parent.kill()
    await parent.wait()

    async def gone() -> bool:
        return not any(map(alive, pids))

    await eventually(gone, "the children to leave", LEAVES_S)


_TWICE = """
import asyncio, sys
from deploy.stopping import Stop

async def main():
    stop = Stop(last_words=lambda: print("killed", flush=True))
    if sys.argv[1] == "busy":
        stop.in_hand()
    print("up", flush=True)
    await stop.wait()
    print("told", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_second_signal_ends_a_process_at_once_and_an_idle_one_ends_at_the_first() -> None:
    for state, expected in (("busy", 128 + signal.SIGTERM), ("idle", 0)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _TWICE, state, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        if state == "busy":
            assert await process.stdout.readline() == b"told\n"
            assert process.returncode is None
            process.send_signal(signal.SIGTERM)
        assert await process.stdout.readline() == b"killed\n"
        assert await asyncio.wait_for(process.wait(), 5) == expected
