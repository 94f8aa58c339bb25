"""Parked keys: what a fault keeps from being handled waits in order, and nothing else waits with it."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Column, Integer, Table, Text, bindparam, select, update

from bus.delivery.dead_letters import list_dead_letters
from bus.delivery.outcome import Outcome, Write
from bus.delivery.parking import ParkedRecord, parked, postpone, release
from bus.errors import PermanentError, TransientError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.store.port import Effect, Result
from bus.store.schema import SQLITE, metadata
from bus.store.sql import insert_ignore
from bus.testing.clock import FakeClock

LANE_S = 31
"""A little more than the back-off in the lane."""

version = metadata.tables.get("test_version")
if version is None:
    version = Table(
        "test_version",
        metadata,
        Column("key", Text, primary_key=True),
        Column("value", Integer, nullable=False),
        info=SQLITE,
    )
_begin = insert_ignore(version, ["key"])
_step = (
    update(version)
    .where(version.c.key == bindparam("b_key"), version.c.value == bindparam("b_was"))
    .values(value=version.c.value + 1)
)


class Fault:
    """A service that is away for some keys or records, until it is mended; notes every attempt."""

    def __init__(self, *wanted: str) -> None:
        self.wanted = set(wanted)
        self.tried: list[str] = []
        self.failed = 0
        self.error: Exception = TransientError("away")

    async def decide(self, record: StoredRecord) -> Outcome:
        self.tried.append(record.value.decode())
        if not self.wanted.isdisjoint({record.key, record.value.decode(), record.topic}):
            self.failed += 1
            raise self.error
        return out(record)


def out(record: StoredRecord) -> Outcome:
    return Outcome(emit=(Record(topic="out", key=record.key, value=record.value, id=f"out/{record.id}"),))


def record(value: str, **headers: str) -> Record:
    """Its key is the first letter."""
    return Record(topic="in", key=value[0], value=value.encode(), id=value, headers=headers)


async def rows(engine: EmbeddedEngine) -> list[str]:
    found = await engine.all(select(parked.c.value).order_by(parked.c.log_offset))
    return [bytes(row["value"]).decode() for row in found]


async def behind(engine: EmbeddedEngine) -> int:
    return sum(count for count, _ in (await engine.lag("g", ["in"])).values())


async def are_parked(engine: EmbeddedEngine, m: Any, *values: str) -> None:
    """Wait until just these are parked."""

    async def there() -> bool:
        return await rows(engine) == list(values)

    await m.until(there)


async def get_parked(engine: EmbeddedEngine, m: Any, clock: FakeClock, fault: Fault, *values: str) -> None:
    """Let the time in the lane pass from the first failure on, and wait until just these are parked."""
    await m.until(lambda: fault.failed)
    clock.advance(LANE_S)
    await are_parked(engine, m, *values)


async def test_a_key_is_parked_and_released_in_order_while_others_go_on(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("a")
    await engine.append([record("a1"), record("a2"), record("b1")])
    async with member(fault.decide) as m:
        await m.came("b1")
        await get_parked(engine, m, clock, fault, "a1", "a2")
        await engine.append([record("a3"), record("b2")])
        await m.came("b1", "b2")
        await are_parked(engine, m, "a1", "a2", "a3")
        # Everything is finished for the log, although three records wait.
        assert await behind(engine) == 0
        assert "a2" not in fault.tried
        fault.wanted.clear()
        clock.advance(300)
        await m.came("b1", "b2", "a1", "a2", "a3")
        await engine.append([record("a4")])
        await m.came("b1", "b2", "a1", "a2", "a3", "a4")
    assert await rows(engine) == []


async def test_each_attempt_in_vain_is_kept_and_the_distances_grow(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("a")
    await engine.append([record("a1")])
    distances: list[int] = []
    async with member(fault.decide) as m:
        await get_parked(engine, m, clock, fault, "a1")
        for _ in range(6):
            row = await engine.one(select(parked))
            assert row is not None
            assert row["reason"] == "transient"
            wait_s = row["not_before"] / 1e6 - clock.now().timestamp()
            distances.append(round(wait_s))
            attempts = row["attempts"]
            clock.advance(wait_s + 1)

            async def tried_again(attempts: int = attempts) -> bool:
                found = await engine.one(select(parked.c.attempts))
                return found is not None and found["attempts"] > attempts

            await m.until(tried_again)
    assert max(distances) <= 300
    assert distances[-1] >= 2 * distances[0]


async def test_at_the_limit_a_person_gets_it_and_the_key_goes_on(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("a1")
    await engine.append([record("a1"), record("a2")])
    async with member(fault.decide) as m:
        await get_parked(engine, m, clock, fault, "a1", "a2")
        clock.advance(4 * 3600)
        await m.came("a2")
        assert m.desk == [("a1", "transient")]
    (letter,) = await list_dead_letters(engine)
    assert letter["record_id"] == "a1"
    assert letter["attempts"] > 2
    assert await rows(engine) == []


async def test_what_proves_permanent_when_tried_again_is_a_dead_letter_at_once(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("a1")
    await engine.append([record("a1"), record("a2")])
    async with member(fault.decide) as m:
        await get_parked(engine, m, clock, fault, "a1", "a2")
        fault.error = PermanentError("never")
        clock.advance(60)
        await m.came("a2")
    assert m.desk == [("a1", "permanent")]


async def test_a_live_record_behind_a_parked_one_goes_to_a_person_when_it_cannot_wait(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("a")
    await engine.append([record("a1")])
    async with member(fault.decide) as m:
        await get_parked(engine, m, clock, fault, "a1")
        soon = (clock.now() + timedelta(seconds=5)).isoformat()
        late = (clock.now() + timedelta(hours=1)).isoformat()
        await engine.append([record("a2", deadline=soon), record("a3", deadline=late)])
        await m.until(lambda: m.desk)
        await are_parked(engine, m, "a1", "a3")
        assert m.desk == [("a2", "deadline")]


async def test_a_parked_record_never_waits_past_its_deadline(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("a")
    deadline = clock.now() + timedelta(seconds=200)
    await engine.append([record("a1", deadline=deadline.isoformat())])
    async with member(fault.decide) as m:
        await get_parked(engine, m, clock, fault, "a1")
        attempts = 0

        async def tried_again() -> bool:
            row = await engine.one(select(parked.c.attempts))
            return bool(m.desk) or (row is not None and row["attempts"] > attempts)

        while not m.desk:
            row = await engine.one(select(parked.c.not_before, parked.c.attempts))
            if row is not None:
                attempts = row["attempts"]
                assert row["not_before"] / 1e6 <= deadline.timestamp()
                clock.advance(row["not_before"] / 1e6 - clock.now().timestamp() + 0.001)
            await m.until(tried_again)
        assert m.desk == [("a1", "deadline")]
        assert clock.now() <= deadline


async def test_the_next_member_does_not_let_a_later_record_overtake(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("a")
    await engine.append([record("a1"), record("a2")])
    async with member(fault.decide) as m:
        await get_parked(engine, m, clock, fault, "a1", "a2")
        await m.crash()
    fault.wanted.clear()
    await engine.append([record("a3"), record("b1")])
    async with member(fault.decide, name="m2") as m:
        await m.came("b1")
        await are_parked(engine, m, "a1", "a2", "a3")
        clock.advance(300)
        await m.came("b1", "a1", "a2", "a3")


async def test_a_crash_between_two_releases_leaves_the_rest_in_order(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("a")
    await engine.append([record(f"a{n}") for n in range(1, 6)])
    async with member(fault.decide) as m:
        await get_parked(engine, m, clock, fault, *(f"a{n}" for n in range(1, 6)))
        fault.wanted.clear()

        async def only_two(stored: StoredRecord) -> Outcome:
            if stored.value == b"a3":
                await m.crash()
            return out(stored)

        m.worker.handle = only_two
        clock.advance(300)
        await m.came("a1", "a2")
        assert await rows(engine) == ["a3", "a4", "a5"]
    async with member(Fault().decide) as m:
        # Its time was over when the first of them was tried: nobody has to wait again.
        await m.came("a1", "a2", "a3", "a4", "a5")


async def test_a_parked_record_whose_guard_fails_is_decided_again(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("a")

    async def decide(stored: StoredRecord) -> Outcome:
        done = await fault.decide(stored)
        row = await engine.one(select(version.c.value).where(version.c.key == "a"))
        was = row["value"] if row is not None else 0
        if fault.tried.count("a1") < 12:
            was += 1
        writes = (
            Write(statement=_begin, params={"key": "a", "value": 0}),
            Write(statement=_step, params={"b_key": "a", "b_was": was}, expect=1),
        )
        return Outcome(writes=writes, emit=done.emit)

    await engine.append([record("a1"), record("a2")])
    async with member(decide) as m:
        await get_parked(engine, m, clock, fault, "a1", "a2")
        fault.wanted.clear()
        fault.tried.clear()
        clock.advance(300)
        await m.came("a1", "a2")
    row = await engine.one(select(version.c.value).where(version.c.key == "a"))
    assert row is not None
    assert row["value"] == 2


async def test_only_one_member_can_take_a_record_out(engine: EmbeddedEngine, clock: FakeClock, member: Any) -> None:
    fault = Fault("a")
    await engine.append([record("a1")])
    async with member(fault.decide) as m:
        await get_parked(engine, m, clock, fault, "a1")
    row = await engine.one(select(parked))
    assert row is not None
    held = ParkedRecord(
        topic="in", partition=row["partition"], offset=row["log_offset"], at=0, key="a", value=b"a1", id="a1",
        headers={}, attempts=row["attempts"], first_failed_at=None,
    )  # fmt: skip
    first, second = await engine.apply(
        [Effect(outcome=Outcome(writes=(release("g", held),), emit=out(held).emit)) for _ in range(2)]
    )
    assert (first.applied, second.applied, second.reason) == (True, False, "conflict")
    now = clock.now()
    (late,) = await engine.apply(
        [Effect(outcome=Outcome(writes=(postpone("g", held, attempts=9, until=now, failed_at=now, reason="x"),)))]
    )
    assert not late.applied
    async with member(Fault().decide) as m:
        await m.came("a1")


async def test_what_another_member_released_under_our_hands_frees_the_key(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    """A member that was stopped and woke up goes on with what it holds; its row can be released only once."""
    fault = Fault("a")
    await engine.append([record("a1")])
    async with member(fault.decide) as m:
        await get_parked(engine, m, clock, fault, "a1")
        row = await engine.one(select(parked))
        assert row is not None
        held = ParkedRecord(
            topic="in", partition=row["partition"], offset=row["log_offset"], at=0, key="a", value=b"a1", id="a1",
            headers={}, attempts=row["attempts"], first_failed_at=None,
        )  # fmt: skip
        theirs = Outcome(writes=(release("g", held),), emit=out(held).emit)
        assert (await engine.apply([Effect(outcome=theirs)]))[0].applied
        fault.wanted.clear()
        await engine.append([record("a2")])
        await are_parked(engine, m, "a2")
        clock.advance(300)
        await m.came("a1", "a2")
        await m.until(lambda: not m.gauge("lanes"))
        await engine.append([record("a3")])
        await m.came("a1", "a2", "a3")


async def test_keys_of_one_name_on_two_topics_do_not_wait_for_each_other(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    fault = Fault("in")
    await engine.append([record("a1")])
    async with member(fault.decide, topics=("in", "in.live")) as m:
        await get_parked(engine, m, clock, fault, "a1")
        await engine.append([Record(topic="in.live", key="a", value=b"live", id="live")])
        await m.came("live")
        await are_parked(engine, m, "a1")


class Doubling:
    """An engine that finds records finished already, as an inbox does when another member was a moment faster."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self.parked_elsewhere: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def apply(self, effects: list[Effect]) -> list[Result]:
        results: list[Result] = []
        for effect in effects:
            (result,) = await self._engine.apply([effect])
            known = effect.source is not None and effect.source.id in self.parked_elsewhere
            results.append(Result(applied=False, reason="duplicate") if known else result)
        return results


async def test_a_record_that_another_member_has_parked_meanwhile_is_not_overtaken(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    """This member learns only by "duplicate" that the record lies in the table."""
    fault = Fault("a")
    port = Doubling(engine)
    port.parked_elsewhere.add("a1")
    await engine.append([record("a1"), record("a2")])
    async with member(fault.decide, port=port) as m:
        await get_parked(engine, m, clock, fault, "a1", "a2")
        assert await m.records() == []
        fault.wanted.clear()
        clock.advance(300)
        await m.came("a1", "a2")


async def test_parked_keys_are_counted_for_operators(engine: EmbeddedEngine, clock: FakeClock, member: Any) -> None:
    fault = Fault("a", "b")
    await engine.append([record("a1"), record("a2"), record("b1")])
    async with member(fault.decide) as m:
        await m.until(lambda: {"a1", "b1"} <= set(fault.tried))
        await get_parked(engine, m, clock, fault, "a1", "a2", "b1")

        await m.until(lambda: m.gauge("parked_keys") == 2)
        assert m.gauge("oldest_parked_seconds") >= LANE_S
