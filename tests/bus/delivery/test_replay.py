"""Replay: last week's records decided again, without a trace, and beside what was decided then."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import select

from bus.delivery.ledger import plan, send_ledger
from bus.delivery.outcome import Outcome, SetTimer
from bus.delivery.replay import Range, Replayed, replay
from bus.errors import PoisonError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.log.tables import timer
from bus.message import Party, Reply
from bus.store.port import Effect
from bus.testing.clock import FakeClock


class Judge:
    """A worker whose rule can be corrected."""

    group = "judge"
    topics: Sequence[str] = ("in",)

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.answer = "no"
        self.lane = "work.billing.live"
        self.prepared = 0

    async def prepare(self, batch: Sequence[StoredRecord]) -> None:
        self.prepared += len(batch)

    async def handle(self, record: StoredRecord) -> Outcome:
        if record.value == b"poison":
            raise PoisonError("secret words")
        value = msgspec.json.encode({"answer": self.answer, "record": record.id})
        due = self.clock.now()
        return Outcome(
            emit=(Record(topic=self.lane, key=record.key, value=value, id=f"w/{record.id}"),),
            replies=(reply(f"r-{record.id}-{self.answer}"),),
            timers=(
                SetTimer(id=f"t-{record.id}", due=due, topic="in", key=record.key, kind="x", value=b"", tenant="shop"),
            ),
        )


def reply(reply_id: str) -> Reply:
    return Reply(
        id=reply_id, tenant="shop", case="k-1", channel="email", account="a",
        to=Party(kind="email", address="grete@kunde.example"), text="Guten Tag", language="de",
    )  # fmt: skip


def elsewhere(topic: str) -> tuple[str, ...]:
    return ("work.billing.live", "work.returns.live") if topic.startswith("work.") else (topic,)


async def all_of(engine: EmbeddedEngine, worker: Judge, wanted: Range) -> list[Replayed]:
    found = replay(worker, log_port=engine, store=engine, topics=worker.topics, wanted=wanted, elsewhere=elsewhere)
    return sorted([each async for each, _ in found], key=lambda each: each.offset)


async def decided_once(engine: EmbeddedEngine, worker: Judge, clock: FakeClock) -> None:
    """What a running member would have done."""
    for partition in range(8):
        for record in await engine.read("in", partition):
            outcome = await worker.handle(record)
            rows, records = plan(outcome.replies[0], clock.now())
            await engine.apply([Effect(outcome=Outcome(writes=tuple(rows), emit=(*outcome.emit, *records)))])


def record(value: str) -> Record:
    return Record(topic="in", key=f"k{value}", value=value.encode(), id=f"c{value}")


async def heads(engine: EmbeddedEngine) -> list[Any]:
    """Everything that a decision could have changed."""
    found: list[Any] = [
        [await engine.all(select(send_ledger.c.reply, send_ledger.c.state)), await engine.all(select(timer.c.id))]
    ]
    for topic in ("in", "work.billing.live", "work.returns.live", "reply.email"):
        for partition in range(8):
            found.append([stored.id for stored in await engine.read(topic, partition)])
    return found


async def test_the_same_decision_is_no_difference_and_nothing_is_done(engine: EmbeddedEngine, clock: FakeClock) -> None:
    worker = Judge(clock)
    await engine.append([record(str(n)) for n in range(5)])
    await decided_once(engine, worker, clock)
    before = await heads(engine)
    found = await all_of(engine, worker, Range(start=clock.now() - timedelta(days=1)))
    assert [each.record for each in found] == [f"c{n}" for n in range(5)]
    assert not any(each.different for each in found)
    assert found[0].group == "shadow/judge"
    assert [each.was for each in found[0].replies] == ["planned"]
    assert (found[0].timers, found[0].writes) == (("set t-c0",), 0)
    assert worker.prepared == 5
    assert await heads(engine) == before


async def test_a_corrected_rule_shows_where_it_would_have_decided_otherwise(
    engine: EmbeddedEngine, clock: FakeClock
) -> None:
    worker = Judge(clock)
    await engine.append([record("1")])
    await decided_once(engine, worker, clock)
    worker.answer, worker.lane = "yes", "work.returns.live"
    (found,) = await all_of(engine, worker, Range(ids=frozenset({"c1"})))
    assert found.different
    assert [each.was for each in found.replies] == ["absent"]
    (emitted,) = found.emitted
    assert (emitted.topic, emitted.was, emitted.differs) == ("work.returns.live", "work.billing.live", ("answer",))


async def test_only_the_records_of_the_range_are_decided(engine: EmbeddedEngine, clock: FakeClock) -> None:
    worker = Judge(clock)
    moments: list[datetime] = []
    for number in range(4):
        moments.append(clock.now())
        await engine.append([record(str(number))])
        clock.advance(60)
    found = await all_of(engine, worker, Range(start=moments[1], end=moments[3]))
    assert [each.record for each in found] == ["c1", "c2"]
    found = await all_of(engine, worker, Range(start=moments[1], ids=frozenset({"c0", "c3"})))
    assert [each.record for each in found] == ["c3"]


async def test_a_record_that_fails_now_is_reported_and_the_others_go_on(
    engine: EmbeddedEngine, clock: FakeClock
) -> None:
    await engine.append([record("1"), record("poison"), record("2")])
    found = await all_of(engine, Judge(clock), Range(start=clock.now()))
    assert sorted((each.record, each.failed) for each in found) == [("c1", ""), ("c2", ""), ("cpoison", "poison")]
    assert "secret" not in str(found)


async def test_a_group_at_work_does_not_notice(engine: EmbeddedEngine, clock: FakeClock, member: Any) -> None:
    async def decide(stored: StoredRecord) -> Outcome:
        return Outcome(emit=(Record(topic="out", key=stored.key, value=stored.value, id=f"out/{stored.id}"),))

    await engine.append([record(str(n)) for n in range(20)])
    async with member(decide) as m:
        replayed = asyncio.create_task(all_of(engine, Judge(clock), Range(start=clock.now())))

        async def all_came() -> bool:
            return len(await m.records()) == 20

        await m.until(all_came)
        assert len(await replayed) == 20
    assert sum(count for count, _ in (await engine.lag("g", ["in"])).values()) == 0
