"""The conformance suite of stores that carry a log in the same transaction: what `bus.store.port` promises.

Subclass `StoreConformance` and give it the fixture `engine`. State is kept in rows of `bus.testing.store_rows`.
"""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import bindparam, select, update

from bus.clock import from_micros, to_micros
from bus.delivery.outcome import NOTHING, CancelTimer, Outcome, SetTimer, Write
from bus.log.port import Delivery, Record
from bus.log.tables import timer
from bus.log.topics import reply_topic
from bus.message import Party, Reply, decode
from bus.store.port import Effect
from bus.testing.log_records import TARGET, TOPIC, records, records_of, take
from bus.testing.store_rows import bumped, effect, ignored, lengthened, new, put, record, removed

__all__ = ["StoreConformance"]

_bump = (
    update(timer)
    .where(timer.c.id == bindparam("b_id"), timer.c.due == bindparam("b_version"))
    .values(due=timer.c.due + 1, value=bindparam("b_value"))
)
_all = select(timer).order_by(timer.c.id)
_one = select(timer.c.id, timer.c.due, timer.c.value).where(timer.c.id == bindparam("id"))
_some = select(timer.c.id, timer.c.due)
_listed = select(timer.c.id).where(timer.c.id.in_(bindparam("ids", expanding=True))).order_by(timer.c.id)


class StoreConformance:
    """Subclass it and give the fixture `engine`: a fresh engine that is both log and store."""

    @pytest.fixture
    def engine(self) -> Any:
        """The engine under test."""
        raise NotImplementedError("a conformance suite needs the fixture `engine`")

    async def settle(self, engine: Any) -> None:
        """Wait until the engine has nothing left to append. For one that appends in the transaction: at once."""

    async def _emitted(self, engine: Any) -> list[str]:
        await self.settle(engine)
        return [record.id for record in await records_of(engine, TARGET)]

    # Reading.

    async def test_what_is_applied_is_read(self, engine: Any) -> None:
        (result,) = await engine.apply([effect(new("ä", 3))])
        assert result.applied
        row = await engine.one(_one, {"id": "ä"})
        assert row is not None
        assert (row["id"], row["due"], row["value"]) == ("ä", 3, b"")
        assert dict(row) == {"id": "ä", "due": 3, "value": b""}
        assert await engine.one(_one, {"id": "nobody"}) is None
        assert [row["id"] for row in await engine.all(_all)] == ["ä"]

    async def test_reads_by_many_keys(self, engine: Any) -> None:
        await engine.apply([effect(*(new(f"n{n}", n) for n in range(3000)))])
        found = await engine.by_keys(_some, timer.c.id, [f"n{n}" for n in range(0, 6000, 2)])
        assert sorted(row["due"] for row in found) == list(range(0, 3000, 2))
        assert await engine.by_keys(_some, timer.c.id, []) == []
        listed = await engine.all(_listed, {"ids": ["n2", "n1", "x"]})
        assert [row["id"] for row in listed] == ["n1", "n2"]
        assert [row["id"] for row in await engine.all(_listed, {"ids": ["n7"]})] == ["n7"]

    async def test_conflicting_inserts_are_resolved_as_declared(self, engine: Any) -> None:
        await engine.apply([effect(put("a", 1))])
        await engine.apply([effect(put("a", 2, value=b"new"))])
        (kept,) = await engine.apply([effect(ignored("a", 9))])
        (guarded,) = await engine.apply([effect(ignored("a", 9, expect=1))])
        assert kept.applied
        assert (guarded.applied, guarded.reason) == (False, "conflict")
        row = await engine.one(_one, {"id": "a"})
        assert (row["due"], row["value"]) == (2, b"new")

    # One transaction, each effect whole or not at all.

    async def test_a_failing_guard_undoes_its_own_effect_alone(self, engine: Any) -> None:
        await engine.apply([effect(new("a"), new("b"))])
        stale, fresh = bumped("b", 7), bumped("a", 0)
        results = await engine.apply(
            [
                effect(fresh, emit=(record("first"),)),
                effect(new("c"), stale, new("d"), emit=(record("second"),)),
                effect(new("e"), emit=(record("third"),)),
            ]
        )
        assert [result.applied for result in results] == [True, False, True]
        assert results[1].reason == "conflict"
        assert [(row["id"], row["due"]) for row in await engine.all(_all)] == [("a", 1), ("b", 0), ("e", 0)]
        assert await self._emitted(engine) == ["first", "third"]

    async def test_two_effects_that_guard_the_same_version_only_one_applies(self, engine: Any) -> None:
        await engine.apply([effect(new("a"))])
        bumps = [
            effect(Write(statement=_bump, params={"b_id": "a", "b_version": 0, "b_value": b"%d" % n}, expect=1))
            for n in range(5)
        ]
        results = await engine.apply(bumps)
        assert [result.applied for result in results] == [True, False, False, False, False]
        row = await engine.one(_one, {"id": "a"})
        assert (row["due"], row["value"]) == (1, b"0")

    async def test_a_row_that_exists_is_a_conflict_and_a_broken_statement_is_invalid(self, engine: Any) -> None:
        await engine.apply([effect(new("a"))])
        broken = new("n")
        broken = Write(statement=broken.statement, params={**broken.params, "kind": None})
        missing = {"b_id": "a"}
        results = await engine.apply(
            [
                effect(new("a"), emit=(record("twice"),)),
                effect(broken, emit=(record("null"),)),
                effect(Write(statement=_bump, params=missing), emit=(record("missing"),)),
                effect(new("lone \ud800 surrogate")),
                effect(emit=(Record(topic=TARGET, key="\ud800", value=b"", id="surrogate"),)),
                effect(emit=(Record(topic=TARGET, key="k", value="text", id="no bytes"),)),  # type: ignore[arg-type]
                effect(new("fine"), emit=(record("fine"),)),
            ]
        )
        assert [result.reason for result in results] == ["conflict", *["invalid"] * 5, ""]
        assert all(result.detail for result in results if not result.applied)
        assert [row["id"] for row in await engine.all(_all)] == ["a", "fine"]
        assert await self._emitted(engine) == ["fine"]

    async def test_effects_and_writes_are_applied_in_the_order_given(self, engine: Any) -> None:
        def add(text: str) -> Write:
            return lengthened("a", text)

        come, gone = new("a", expect=1), removed("a", expect=1)
        # Each of these works only after the one before: a store that sorts writes by statement fails here.
        results = await engine.apply(
            [effect(come, add("1"), gone), effect(come, gone, come), effect(add("2"), add("3"))]
        )
        assert [result.applied for result in results] == [True, True, True]
        assert [row["key"] for row in await engine.all(_all)] == ["k23"]

    # Progress of groups, in the same transaction.

    async def test_an_effect_finishes_its_delivery_and_a_failed_one_does_not(self, engine: Any) -> None:
        await engine.append(records(20))
        subscription = await engine.subscribe("g", [TOPIC], member="m")
        fetched = await take(subscription, 20)
        stale = bumped("none", 0)
        results = await engine.apply(
            [
                effect(*((stale,) if n % 4 == 0 else ()), emit=(record(r.id, r.key),), source=Delivery.of("g", r))
                for n, r in enumerate(fetched)
            ]
        )
        failed = [record for n, record in enumerate(fetched) if n % 4 == 0]
        assert [result.applied for result in results] == [n % 4 != 0 for n in range(20)]
        behind = await engine.lag("g", [TOPIC])
        assert sum(count for count, _ in behind.values()) == len(failed)
        await subscription.close()
        again = await take(await engine.subscribe("g", [TOPIC], member="m2"), len(failed))
        assert sorted(record.id for record in again) == sorted(record.id for record in failed)
        assert sorted(await self._emitted(engine)) == sorted({r.id for r in fetched} - {r.id for r in failed})

    async def test_a_delivery_is_finished_once(self, engine: Any) -> None:
        await engine.append(records(1))
        subscription = await engine.subscribe("g", [TOPIC], member="m")
        (fetched,) = await take(subscription, 1)
        twice = effect(emit=(record("out"),), source=Delivery.of("g", fetched))
        first = await engine.apply([twice, twice])
        (later,) = await engine.apply([twice])
        assert [result.reason for result in (*first, later)] == ["", "duplicate", "duplicate"]
        assert await self._emitted(engine) == ["out"]

    async def test_an_effect_of_a_lost_partition_is_fenced_and_others_go_on(self, engine: Any) -> None:
        await engine.append(records(60))
        one = await engine.subscribe("g", [TOPIC], member="one")
        fetched = await take(one, 60)
        two = await engine.subscribe("g", [TOPIC], member="two")
        await two.fetch(0, 0)
        lost = {place.partition for place in two.generations}
        results = await engine.apply(
            [effect(new(r.id), emit=(record(r.id, r.key),), source=Delivery.of("g", r)) for r in fetched]
        )
        assert lost
        assert [result.reason for result in results] == ["fenced" if r.partition in lost else "" for r in fetched]
        kept = sorted(record.id for record in fetched if record.partition not in lost)
        assert sorted(await self._emitted(engine)) == kept
        assert sorted(row["id"] for row in await engine.all(_all)) == kept

    async def test_what_a_closed_member_still_decides_is_fenced(self, engine: Any) -> None:
        await engine.append(records(5))
        subscription = await engine.subscribe("g", [TOPIC], member="m")
        fetched = await take(subscription, 5)
        await subscription.close()
        results = await engine.apply([effect(new(r.id), source=Delivery.of("g", r)) for r in fetched])
        assert {result.reason for result in results} == {"fenced"}
        assert await engine.all(_all) == []

    async def test_an_outcome_of_nothing_finishes_its_delivery(self, engine: Any) -> None:
        await engine.append(records(3))
        subscription = await engine.subscribe("g", [TOPIC], member="m")
        fetched = await take(subscription, 3)
        await engine.apply([Effect(outcome=NOTHING, source=Delivery.of("g", record)) for record in fetched])
        assert set((await engine.lag("g", [TOPIC])).values()) == {(0, 0.0)}
        assert await engine.apply([]) == []

    # Timers and replies.

    async def test_timers_are_set_moved_and_forgotten_with_the_state(self, engine: Any) -> None:
        due = datetime(2026, 3, 1, 8, 0, 0, 5, tzinfo=UTC)

        def set_timer(name: str, at: datetime) -> SetTimer:
            return SetTimer(id=name, due=at, topic="case.timer", key="k", kind="hold", value=b"v", tenant="shop")

        def timers(*changes: SetTimer | CancelTimer, writes: tuple[Write, ...] = ()) -> Effect:
            return Effect(outcome=Outcome(writes=writes, timers=changes))

        await engine.apply([timers(set_timer("a", due), set_timer("b", due))])
        later = from_micros(to_micros(due) + 60_000_000)
        await engine.apply([timers(set_timer("a", later), CancelTimer(id="b"), CancelTimer(id="unknown"))])
        rows = await engine.all(_all)
        assert [(row["id"], from_micros(row["due"]), row["value"], row["topic"]) for row in rows] == [
            ("a", later, b"v", "case.timer")
        ]
        stale = bumped("none", 0)
        await engine.apply([timers(CancelTimer(id="a"), set_timer("c", due), writes=(stale,))])
        assert [row["id"] for row in await engine.all(_all)] == ["a"]

    async def test_a_reply_travels_on_the_topic_of_its_channel(self, engine: Any) -> None:
        reply = Reply(
            id="r-1", tenant="shop", case="k-1", channel="email", account="a", text="Grüße", language="de",
            to=Party(kind="email", address="x@y.example"),
        )  # fmt: skip
        await engine.apply([Effect(outcome=Outcome(replies=(reply,)))])
        await self.settle(engine)
        (record,) = await records_of(engine, reply_topic("email"))
        assert (record.id, record.key, record.headers["tenant"]) == ("r-1", "k-1", "shop")
        assert decode(record.value, Reply) == reply
