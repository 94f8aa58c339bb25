"""Dead letters in people's hands: once more, or given up, and never both; and handled by nobody else."""

import asyncio
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete

from bus.delivery.dead_letters import (
    ONLY_GROUP,
    audit_of,
    dead_letter,
    dead_letter_outcome,
    discard,
    list_dead_letters,
    retry,
    show,
    shows_nowhere,
    unseen_letters,
)
from bus.delivery.outcome import NOTHING, Outcome, Write
from bus.errors import PoisonError
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record, StoredRecord
from bus.log.topics import CASE_LOG, CASE_OFFERS, CASE_TIMER, REPLY_STATUS
from bus.message import envelope
from bus.store.port import Effect
from bus.testing.clock import FakeClock


def record(clock: FakeClock, record_id: str, offset: int, topic: str = "in", **more: Any) -> StoredRecord:
    headers = envelope(record_id=record_id, kind="contact", source="s", tenant="shop", at=clock.now(), **more)
    return StoredRecord(
        topic=topic, partition=4, offset=offset, at=0, key="a", value=b"1", id=record_id, headers=headers
    )


async def letter(engine: EmbeddedEngine, clock: FakeClock, record_id: str = "c-1", offset: int = 7, **more: Any) -> str:
    """A dead letter of group `g`; its id."""
    stored = record(clock, record_id, offset, **more)
    outcome = dead_letter_outcome(
        stored, group="g", reason="poison", attempts=1, now=clock.now(), desk_case=lambda record, reason: NOTHING
    )
    known = {row["id"] for row in await list_dead_letters(engine)}
    (result,) = await engine.apply([Effect(outcome=outcome)])
    assert result.applied
    (made,) = [row["id"] for row in await list_dead_letters(engine) if row["id"] not in known]
    return made


async def test_a_record_comes_back_under_a_fresh_id_each_time(engine: EmbeddedEngine, clock: FakeClock) -> None:
    """An inbox has seen the id of the original: under it nobody would handle the record again."""
    first = await letter(engine, clock)
    clock.advance(86_400)
    assert await retry(engine, first, actor="ops", now=clock.now())
    (again,) = await engine.read("in", 4)
    assert (again.id, again.headers["ce_id"], again.value, again.key) == ("c-1~retry-1", "c-1~retry-1", b"1", "a")
    assert again.headers["ce_time"].startswith(clock.now().isoformat()[:19])
    assert again.headers["tenant"] == "shop"
    second = await letter(engine, clock, again.id, offset=again.offset)
    assert await retry(engine, second, actor="ops", now=clock.now())
    assert [record.id for record in await engine.read("in", 4)] == ["c-1~retry-1", "c-1~retry-2"]


async def test_a_record_that_lies_twice_in_the_log_is_given_up_once(engine: EmbeddedEngine, clock: FakeClock) -> None:
    """A relay may append a record again; another record of the same place in another house is another letter."""
    for offset in (7, 8):
        stored = record(clock, "c-1", offset)
        outcome = dead_letter_outcome(
            stored, group="g", reason="poison", attempts=1, now=clock.now(), desk_case=lambda record, reason: NOTHING
        )
        (result,) = await engine.apply([Effect(outcome=outcome)])
        assert result.applied
    assert len(await list_dead_letters(engine)) == 1
    await letter(engine, clock, "c-2", 7)
    assert len(await list_dead_letters(engine)) == 2


async def test_what_shows_in_no_case_is_counted_until_somebody_has_settled_it(
    engine: EmbeddedEngine, clock: FakeClock
) -> None:
    seen = ("contact.received", "contact.identified", "work.billing.live", "reply.email")
    unseen = (CASE_TIMER, CASE_LOG, CASE_OFFERS, REPLY_STATUS, "work.desk.live", "work.desk.deferred")
    for place, topic in enumerate((*seen, *unseen)):
        await letter(engine, clock, f"r-{place}", place, topic=topic)
        clock.advance(1)
    assert [row["topic"] for row in await unseen_letters(engine)] == list(unseen)
    assert {row["topic"] for row in await unseen_letters(engine, "shop")} == {t for t in unseen if shows_nowhere(t)}
    assert await unseen_letters(engine, "another") == []
    first = (await unseen_letters(engine))[0]
    assert (first["group_name"], first["letters"]) == ("g", 1)
    for row in await list_dead_letters(engine):
        assert await discard(engine, row["id"], actor="ops", now=clock.now())
    assert await unseen_letters(engine) == []


async def test_a_deadline_that_has_passed_does_not_travel_on(engine: EmbeddedEngine, clock: FakeClock) -> None:
    soon = await letter(engine, clock, "c-1", 1, deadline=clock.now() + timedelta(seconds=60))
    late = await letter(engine, clock, "c-2", 2, deadline=clock.now() + timedelta(days=2))
    clock.advance(3600)
    for each in (soon, late):
        assert await retry(engine, each, actor="ops", now=clock.now())
    assert ["deadline" in record.headers for record in await engine.read("in", 4)] == [False, True]


async def test_each_letter_is_settled_once_and_it_is_known_by_whom(engine: EmbeddedEngine, clock: FakeClock) -> None:
    one = await letter(engine, clock)
    assert await discard(engine, one, actor="grit", now=clock.now())
    assert not await retry(engine, one, actor="olav", now=clock.now())
    assert [(row["actor"], row["action"]) for row in await audit_of(engine, one)] == [("grit", "discarded")]
    row = await show(engine, one)
    assert row is not None
    assert row["state"] == "discarded"
    assert await engine.read("in", 4) == []


async def test_only_the_group_that_gave_it_up_handles_it_again(
    engine: EmbeddedEngine, clock: FakeClock, member: Any
) -> None:
    handled: list[str] = []

    async def decide(stored: StoredRecord) -> Outcome:
        handled.append(stored.id)
        return Outcome(emit=(Record(topic="out", key=stored.key, value=stored.value, id=f"out/{stored.id}"),))

    headers = {ONLY_GROUP: "another"}
    await engine.append(
        [
            Record(topic="in", key="a", value=b"theirs", id="r-1", headers=headers),
            Record(topic="in", key="a", value=b"ours", id="r-2", headers={ONLY_GROUP: "g"}),
        ]
    )
    async with member(decide) as m:
        await m.came("ours")
        assert handled == ["r-2"]
        assert sum(count for count, _ in (await engine.lag("g", ["in"])).values()) == 0
        # What follows from it is everybody's again.
        (emitted,) = await m.records()
        assert ONLY_GROUP not in emitted.headers


async def give_up(stored: StoredRecord) -> Outcome:
    raise PoisonError("x")


async def test_a_letter_that_is_refused_is_written_as_soon_as_it_can_be(engine: EmbeddedEngine, member: Any) -> None:
    asked = 0

    def desk_case(record: StoredRecord, reason: str) -> Outcome:
        nonlocal asked
        asked += 1
        # A statement without its parameters: no store can apply it.
        return (
            Outcome(
                writes=(Write(statement=delete(dead_letter).where(dead_letter.c.id == bindparam("b_id")), params={}),)
            )
            if asked < 4
            else NOTHING
        )

    await engine.append(
        [Record(topic="in", key="a", value=b"1", id="r-1"), Record(topic="in", key="b", value=b"2", id="r-2")]
    )
    async with member(give_up, desk_case=desk_case) as m:

        async def both() -> bool:
            return len(await list_dead_letters(engine)) == 2

        await m.until(both)
        assert asked < 20


async def test_a_letter_is_written_even_if_its_case_cannot_be_made(engine: EmbeddedEngine, member: Any) -> None:
    def desk_case(record: StoredRecord, reason: str) -> Outcome:
        raise KeyError("a fault of the program")

    await engine.append([Record(topic="in", key="a", value=b"1", id="r-1")])
    async with member(give_up, desk_case=desk_case) as m:

        async def written() -> bool:
            return [row["record_id"] for row in await list_dead_letters(engine)] == ["r-1"]

        await m.until(written)


async def test_a_record_that_names_no_tenant_is_shown_under_the_one_whose_log_it_is(
    engine: EmbeddedEngine, member: Any
) -> None:
    """A foreign hand wrote it. A store that keeps tenants apart would refuse a letter of nobody, and free no key."""

    async def refuse(record: StoredRecord) -> Outcome:
        raise PoisonError("no contact")

    await engine.append([Record(topic="in", key="a", value=b"1", id="r-1")])
    async with member(refuse):
        while not await list_dead_letters(engine):
            await asyncio.sleep(0.01)
    (row,) = await list_dead_letters(engine)
    assert row["tenant"] == "shop"
