"""What is particular to the embedded engine: leases, wake-ups, several engines on one folder, its limits."""

import asyncio
import queue
import shutil
import sqlite3
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import bindparam, insert, select, update

from bus.delivery.outcome import Outcome, Write
from bus.errors import PermanentError, StorageFull
from bus.log import embedded, embedded_groups
from bus.log.embedded import EmbeddedEngine
from bus.log.embedded_retention import ONCE_KEEP_DAYS
from bus.log.port import Delivery, Fenced, Record
from bus.log.tables import log_member, log_once, log_partition, log_progress, timer
from bus.log.topics import topic
from bus.message import Party, Reply
from bus.store.port import Effect
from bus.store.sqlite_writer import Job
from bus.testing.clock import FakeClock

TOPIC = "test.contacts"
PATIENCE_S = 30.0


def _records(count: int, prefix: str = "r", topic_name: str = TOPIC) -> list[Record]:
    return [Record(topic=topic_name, key=f"k{n}", value=b"%d" % n, id=f"{prefix}{n}") for n in range(count)]


async def _second(engine: EmbeddedEngine, clock: FakeClock) -> EmbeddedEngine:
    return await EmbeddedEngine.open(engine.folder, clock=clock)


class TestLeases:
    async def test_a_silent_member_loses_its_seat_after_the_lease_and_not_before(
        self, engine: EmbeddedEngine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await engine.append(_records(40))
        dead = await _second(engine, clock)
        # As if its process hung: no heartbeat any more.
        monkeypatch.setattr(dead, "_tick", lambda: None)
        dead._writer._tick = None
        silent = await dead.subscribe("g", [TOPIC], member="silent")
        held = await silent.fetch(100, 1.0)
        alive = await engine.subscribe("g", [TOPIC], member="alive")
        clock.advance(embedded_groups.LEASE_S - 0.5)
        await alive.fetch(100, 0)
        assert len(alive.generations) == 4
        clock.advance(embedded_groups.LEASE_S)
        await alive.fetch(100, 0.5)
        assert len(alive.generations) == 8
        results = await dead.apply([Effect(outcome=Outcome(), source=Delivery.of("g", record)) for record in held])
        assert {result.reason for result in results} == {"fenced"}
        # It comes back as a new member when it wakes up.
        await silent.fetch(100, 0.5)
        assert len(silent.generations) == 4
        await dead.close()

    async def test_members_of_an_earlier_boot_are_gone_at_once(self, engine: EmbeddedEngine, clock: FakeClock) -> None:
        gone = await engine.subscribe("g", [TOPIC], member="gone")
        await engine.apply([_change_boot()])
        # Its heartbeat may even lie in the future: the clock of that boot had run longer.
        here = await engine.subscribe("g", [TOPIC], member="here")
        await here.fetch(1, 0)
        assert len(here.generations) == 8
        await gone.close()

    async def test_heartbeats_do_not_need_the_event_loop(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded_groups, "LEASE_S", 0.8)
        monkeypatch.setattr(embedded, "HEARTBEAT_S", 0.1)
        engine = await EmbeddedEngine.open(tmp_path)
        await engine.create_schema()
        await engine.subscribe("g", [TOPIC], member="m")
        before = await engine.one(select(log_member.c.heartbeat))
        beats = threading.Semaphore(0)
        beat = engine._groups.beat

        def counted(*given: Any) -> None:
            beat(*given)
            beats.release()

        monkeypatch.setattr(engine._groups, "beat", counted)
        # Waiting for a thread blocks the loop, for longer than the lease; this is what is tested.
        for _ in range(10):
            assert beats.acquire(timeout=PATIENCE_S)
        after = await engine.one(select(log_member.c.heartbeat))
        assert before is not None
        assert after is not None
        assert after["heartbeat"] - before["heartbeat"] > 800_000
        await engine.close()

    async def test_a_loop_that_stands_still_for_long_gives_its_seats_up(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "HEARTBEAT_S", 0.1)
        monkeypatch.setattr(embedded, "_STALLED_LOOP_S", 0.4)
        engine = await EmbeddedEngine.open(tmp_path)
        await engine.create_schema()
        await engine.subscribe("g", [TOPIC], member="m")
        ticks: queue.Queue[bool] = queue.Queue()
        tick = engine._tick

        def told() -> Job | None:
            job = tick()
            ticks.put(job is not None)
            return job

        engine._writer._tick = told
        # Waiting for a thread blocks the loop. It counts as still when ten ticks in a row were for nothing.
        idle = 0
        while idle < 10:
            idle = 0 if ticks.get(timeout=PATIENCE_S) else idle + 1
        row = await engine.one(select(log_member.c.heartbeat))
        assert row is not None
        assert time.monotonic() * 1e6 - row["heartbeat"] > 700_000
        await engine.close()

    async def test_a_group_is_joined_again_by_a_member_that_was_thrown_out(self, engine: EmbeddedEngine) -> None:
        await engine.append(_records(10))
        subscription = await engine.subscribe("g", [TOPIC], member="m")
        first = await subscription.fetch(100, 1.0)
        old = dict(subscription.generations)
        connection = sqlite3.connect(engine.folder / "bus.sqlite", isolation_level=None)
        connection.execute("DELETE FROM log_member")
        connection.close()
        again = await subscription.fetch(100, 5.0)
        assert sorted(record.id for record in again) == sorted(record.id for record in first)
        assert all(subscription.generations[place] > generation for place, generation in old.items())
        with pytest.raises(Fenced):
            await subscription.commit([Delivery.of("g", record) for record in first])
        await subscription.commit([Delivery.of("g", record) for record in again])


def _change_boot() -> Effect:
    statement = update(log_member).values(boot=bindparam("b_boot"), heartbeat=bindparam("b_beat"))
    return Effect(outcome=Outcome(writes=(Write(statement=statement, params={"b_boot": "other", "b_beat": 10**15}),)))


class TestWakeUp:
    async def test_a_lost_datagram_is_made_good_by_the_poll(self, engine: EmbeddedEngine, clock: FakeClock) -> None:
        other = await _second(engine, clock)
        subscription = await engine.subscribe("g", [TOPIC], member="m")
        await subscription.fetch(1, 0)
        for name in (engine.folder / "wake").iterdir():
            name.unlink()
        fetching = asyncio.create_task(subscription.fetch(10, 20.0))
        await asyncio.sleep(0)
        await other.append(_records(1))
        began = time.monotonic()
        assert len(await fetching) == 1
        assert time.monotonic() - began < 5
        await other.close()

    async def test_sockets_of_dead_processes_are_swept_away(self, engine: EmbeddedEngine) -> None:
        import socket

        stale = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        folder = engine.folder / "wake"
        stale.bind(f"/proc/self/fd/{engine._wake._folder}/1-dead")
        stale.close()
        assert (folder / "1-dead").exists()
        await engine.append(_records(1))
        await engine.append(_records(1))
        assert not (folder / "1-dead").exists()

    async def test_a_folder_with_a_long_path_works(self, tmp_path: Path, clock: FakeClock) -> None:
        folder = tmp_path / ("long" * 30) / ("path" * 30)
        one = await EmbeddedEngine.open(folder, clock=clock)
        await one.create_schema()
        two = await EmbeddedEngine.open(folder, clock=clock)
        subscription = await one.subscribe("g", [TOPIC], member="m")
        fetching = asyncio.create_task(subscription.fetch(10, 20.0))
        await asyncio.sleep(0)
        await two.append(_records(1))
        assert len(await fetching) == 1
        await two.close()
        await one.close()
        assert not list((folder / "wake").iterdir())

    async def test_only_readers_of_the_topic_are_woken(self, engine: EmbeddedEngine) -> None:
        busy = await engine.subscribe("g", [TOPIC], member="m")
        idle = await engine.subscribe("h", ["test.other"], member="m")
        await busy.fetch(1, 0)
        await idle.fetch(1, 0)
        idle._signal.clear()
        await engine.append(_records(1))
        assert not idle._signal._set
        assert busy._signal._set


class TestTwoEngines:
    async def test_counters_and_offsets_stay_right_when_engines_take_turns(
        self, engine: EmbeddedEngine, clock: FakeClock
    ) -> None:
        other = await _second(engine, clock)
        offsets: list[int | None] = []
        for n in range(30):
            offsets += await (engine, other)[n % 2].append(_records(7, prefix=f"{n}-"))
        both = [each.append(_records(5, prefix=f"{n}-{each is other}-")) for n in range(20) for each in (engine, other)]
        await asyncio.gather(*both)
        assert offsets == sorted(set(offsets))  # type: ignore[type-var]
        rows = await engine.all(select(log_partition.c.appended))
        assert sum(row["appended"] for row in rows) == 30 * 7 + 20 * 2 * 5
        behind = await other.lag("g", [TOPIC])
        assert sum(count for count, _ in behind.values()) == 30 * 7 + 20 * 2 * 5
        await other.close()

    async def test_a_topic_first_named_by_an_effect_that_failed_can_be_used_later(self, engine: EmbeddedEngine) -> None:
        never = Write(statement=update(timer).where(timer.c.id == "none").values(due=1), params={}, expect=1)
        emit = tuple(_records(3, topic_name="test.fresh"))
        failed = Effect(outcome=Outcome(emit=emit, writes=(never,)))
        assert [result.reason for result in await engine.apply([failed])] == ["conflict"]
        offsets = await engine.append(_records(3, topic_name="test.fresh"))
        assert len(set(offsets)) == 3
        behind = await engine.lag("g", ["test.fresh"])
        assert sum(count for count, _ in behind.values()) == 3

    async def test_an_undone_append_leaves_no_trace_in_counters(self, engine: EmbeddedEngine) -> None:
        await engine.append(_records(2))
        duplicate = Write(statement=insert(timer), params=_timer("t"))
        outcomes = [Outcome(writes=(duplicate,), emit=tuple(_records(4, prefix=f"{n}-"))) for n in range(5)]
        effects = [Effect(outcome=outcome) for outcome in outcomes]
        assert [result.applied for result in await engine.apply(effects)] == [True, False, False, False, False]
        await engine.append(_records(1, prefix="later"))
        behind = await engine.lag("g", [TOPIC])
        assert sum(count for count, _ in behind.values()) == 2 + 4 + 1
        subscription = await engine.subscribe("g", [TOPIC], member="m")
        assert len(await subscription.fetch(100, 1.0)) == 7


def _timer(name: str) -> dict[str, object]:
    return {"id": name, "due": 0, "tenant": "shop", "topic": "t", "key": "k", "kind": "x", "value": b""}


class TestLimits:
    async def test_append_is_refused_below_the_floor_while_work_goes_on(self, tmp_path: Path, clock: FakeClock) -> None:
        engine = await EmbeddedEngine.open(tmp_path, clock=clock, floor_bytes=shutil.disk_usage(tmp_path).total)
        await engine.create_schema()
        with pytest.raises(StorageFull):
            await engine.append(_records(1))
        (result,) = await engine.apply([Effect(outcome=Outcome(emit=tuple(_records(1))))])
        assert result.applied
        await engine.close()

    @pytest.mark.parametrize(
        "record",
        [
            Record(topic=TOPIC, key="k", value=b"x" * 1_048_577, id="r"),
            Record(topic=TOPIC, key="lone \udcff", value=b"", id="r"),
            Record(topic=TOPIC, key="k", value=b"", id="lone \udcff"),
            Record(topic=TOPIC, key="k", value=b"", id="r", headers={"a": "lone \udcff"}),
            Record(topic=TOPIC, key="k", value="text", id="r"),  # type: ignore[arg-type]
        ],
    )
    async def test_a_record_that_no_log_could_carry_is_refused_alone(
        self, engine: EmbeddedEngine, record: Record
    ) -> None:
        fine = asyncio.ensure_future(engine.append(_records(1)))
        with pytest.raises(PermanentError):
            await engine.append([record])
        assert None not in await fine

    async def test_ids_are_remembered_longer_than_records_and_then_forgotten(
        self, engine: EmbeddedEngine, clock: FakeClock
    ) -> None:
        await engine.append(_records(3000), once=True)
        await engine.retain(clock.now() + timedelta(days=topic(TOPIC).keep_days + 1))
        assert sum(count for count, _ in (await engine.lag("g", [TOPIC])).values()) == 0
        assert set(await engine.append(_records(3000), once=True)) == {None}
        assert await engine.retain(clock.now() + timedelta(days=ONCE_KEEP_DAYS + 1)) == 0
        assert await engine.all(select(log_once)) == []
        assert None not in await engine.append(_records(3), once=True)

    async def test_retention_deletes_thousands_in_slices(self, engine: EmbeddedEngine, clock: FakeClock) -> None:
        await engine.append([Record(topic=TOPIC, key="one", value=b"", id=str(n)) for n in range(3500)])
        assert await engine.retain(clock.now() + timedelta(days=8)) == 3500
        assert await engine.retain(clock.now() + timedelta(days=8)) == 0

    async def test_a_group_that_holds_back_retention_is_named(self, engine: EmbeddedEngine, clock: FakeClock) -> None:
        await engine.append(_records(5))
        for group in ("given-up", "diligent"):
            subscription = await engine.subscribe(group, [TOPIC], member="m")
            fetched = await subscription.fetch(100, 1.0)
            if group == "diligent":
                await subscription.commit([Delivery.of(group, record) for record in fetched])
            await subscription.close()
        with structlog.testing.capture_logs() as lines:
            assert await engine.retain(clock.now() + timedelta(days=6)) == 0
        assert lines == []
        with structlog.testing.capture_logs() as lines:
            assert await engine.retain(clock.now() + timedelta(days=8)) == 0
        assert [(line["group"], line["topic"]) for line in lines] == [("given-up", TOPIC)]

    async def test_a_clock_that_jumped_back_makes_no_holes(self, engine: EmbeddedEngine, clock: FakeClock) -> None:
        clock.advance(86_400 * 20)
        await engine.append([Record(topic=TOPIC, key="one", value=b"new", id="1")])
        clock.advance(-86_400 * 20)
        await engine.append([Record(topic=TOPIC, key="one", value=b"old", id="2")])
        assert await engine.retain(clock.now() + timedelta(days=8)) == 0
        assert await engine.retain(clock.now() + timedelta(days=28)) == 2


class TestReplies:
    async def test_a_planner_decides_what_carries_a_reply(self, tmp_path: Path, clock: FakeClock) -> None:
        def plan(reply: Reply) -> tuple[list[Write], list[Record]]:
            row = Write(statement=insert(timer), params=_timer(reply.id), expect=1)
            return [row], [Record(topic="reply.test", key=reply.case, value=b"planned", id=reply.id)]

        engine = await EmbeddedEngine.open(tmp_path, clock=clock, plan_reply=plan)
        await engine.create_schema()
        reply = Reply(
            id="r-1", tenant="shop", case="k-1", channel="email", account="a", text="Hei", language="nb",
            to=Party(kind="email", address="x@y.example"),
        )  # fmt: skip
        effects = [Effect(outcome=Outcome(replies=(reply,))) for _ in range(2)]
        # The same reply planned twice: the ledger's row says no, and nothing is sent twice.
        assert [result.reason for result in await engine.apply(effects)] == ["", "conflict"]
        offsets = [record.value for n in range(8) for record in await engine.read("reply.test", n)]
        assert offsets == [b"planned"]
        await engine.close()


async def test_everything_is_there_after_reopening(tmp_path: Path, clock: FakeClock) -> None:
    one = await EmbeddedEngine.open(tmp_path, clock=clock)
    await one.create_schema()
    offsets = await one.append(_records(20), once=True)
    subscription = await one.subscribe("g", [TOPIC], member="m")
    fetched = await subscription.fetch(100, 1.0)
    await subscription.commit([Delivery.of("g", record) for record in fetched[::2]])
    await one.close()
    two = await EmbeddedEngine.open(tmp_path, clock=clock)
    again = await (await two.subscribe("g", [TOPIC], member="m")).fetch(100, 1.0)
    assert sorted(record.id for record in again) == sorted(record.id for record in fetched[1::2])
    assert set(await two.append(_records(20), once=True)) == {None}
    (offset,) = await two.append(_records(1, prefix="new"), once=True)
    assert offset is not None
    assert offset > max(offset for offset in offsets if offset is not None)
    assert await two.all(select(log_progress.c.member).where(log_progress.c.member != "m")) == []
    await two.close()
