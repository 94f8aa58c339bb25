"""Looking a batch up ahead changes what is asked of the store, and nothing of what is decided."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bus.log.embedded import EmbeddedEngine
from bus.log.topics import lane_of, work_topic
from bus.message import Party, decode
from bus.store.ahead import FRESH_S, Ahead, Question
from bus.testing.clock import FakeClock
from workers.billing.worker import BillingWorker
from workers.case.changes import _snapshots
from workers.case.schema import cases
from workers.case.work import Identified, WorkItem
from workers.dialogue.ahead import QUESTIONS
from workers.intake.worker import _BATCH
from workers.records import SqlRecords
from workers.records import ahead as records_ahead
from workers.records.demo import load_demo

TENANT = "shop"
FORESEEN = {id(question.asked): str(question.column) for question in QUESTIONS}


class Counting:
    """A store that notes which foreseen selects it was asked one by one."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self.asked: list[str] = []
        self.batches = 0

    async def all(self, statement: Any, params: Mapping[str, Any] | None = None) -> Any:
        self._note(statement)
        return await self._engine.all(statement, params)

    async def one(self, statement: Any, params: Mapping[str, Any] | None = None) -> Any:
        self._note(statement)
        return await self._engine.one(statement, params)

    async def by_keys(self, statement: Any, column: Any, keys: Sequence[str], params: Any = None) -> Any:
        self.batches += 1
        return await self._engine.by_keys(statement, column, keys, params)

    async def apply(self, effects: Any) -> Any:
        return await self._engine.apply(effects)

    def _note(self, statement: Any) -> None:
        if id(statement) in FORESEEN:
            self.asked.append(FORESEEN[id(statement)])


async def items_of(shop: Any, understand: Any) -> list[WorkItem]:
    """Writers with an address on file and without, orders by each of their numbers, and one that does not exist."""
    writers = ("grete.ohlsen@kunde.example", "kari.lunde@kunde.example", "a@b.example", "c@d.example", "e@f.example")
    named = ({"order": "SO-10234"}, {}, {"invoice": "RE-20234"}, {"receipt": "R-77120"}, {"order": "SO-99999"})
    items: list[WorkItem] = []
    for address, entities in zip(writers, named, strict=True):
        contact = shop.contact("Zweimal abgebucht.", sender=Party(kind="email", address=address))
        record = await shop.hear_intake(contact)
        who = decode(record.value, Identified)
        understood = understand("billing.duplicate_charge", entities=entities)
        items.append(
            WorkItem(contact=contact, case=who.case, person=who.person, understanding=understood, link=who.link)
        )
    return items


async def test_a_batch_is_decided_alike_and_asks_nothing_twice(shop: Any, understand: Any, clock: FakeClock) -> None:
    items = await items_of(shop, understand)
    topic = work_topic("billing", lane_of("email"))
    batch = [shop.stored(topic, item.case, item) for item in items]
    found: dict[bool, Any] = {}
    for prepared in (False, True):
        store: Any = Counting(shop.engine)
        worker = BillingWorker(
            store=store, clock=clock, pack=shop.pack, signer=shop.signer, public_url="http://shop.test"
        )
        if prepared:
            await worker.prepare(batch)
            assert store.batches <= 8, "a statement per kind of question, not per contact"
        found[prepared] = [await worker.handle(record) for record in batch], store.asked
    assert found[True][0] == found[False][0]
    assert found[False][1], "alone each contact asks"
    assert found[True][1] == []


async def test_orders_are_found_by_each_of_their_numbers(engine: EmbeddedEngine, clock: FakeClock) -> None:
    await load_demo(engine, clock)
    store: Any = Counting(engine)
    ahead = Ahead(store, clock, QUESTIONS)
    numbers = ("so 10234", "SO-10301", "RE-20234", "r77120", "SO-99999", "")
    await records_ahead.look_ahead(ahead, TENANT, numbers=numbers, people=())
    for number in numbers:
        assert await SqlRecords(ahead).find_order(TENANT, number) == await SqlRecords(engine).find_order(TENANT, number)
    assert store.asked == []
    await SqlRecords(ahead).find_order("another-tenant", "SO-10234")
    assert store.asked != [], "an answer for one tenant is none for another"


async def test_an_answer_is_believed_for_a_moment_only(engine: EmbeddedEngine, clock: FakeClock) -> None:
    await load_demo(engine, clock)
    store: Any = Counting(engine)
    ahead = Ahead(store, clock, QUESTIONS)
    await records_ahead.look_ahead(ahead, TENANT, numbers=["SO-10234"], people=())
    clock.advance(FRESH_S / 2)
    assert await SqlRecords(ahead).find_order(TENANT, "SO-10234")
    assert store.asked == []
    clock.advance(FRESH_S)
    assert await SqlRecords(ahead).find_order(TENANT, "SO-10234")
    assert store.asked == ["orders.id"]


LOOK_UPS = [
    *((question.many, question.column, question.given) for question in QUESTIONS),
    *_BATCH.values(),
    (_snapshots, cases.c.id, ("tenant",)),
]


@pytest.mark.parametrize(("statement", "column", "given"), LOOK_UPS, ids=lambda value: str(value)[-24:])
async def test_many_keys_are_looked_up_and_no_table_is_read(
    engine: EmbeddedEngine, statement: Any, column: Any, given: Sequence[str]
) -> None:
    """A million cases must not make a batch slower: the whole index is named, up to the keys."""
    seen: list[str] = []
    connection = engine._reads._connection
    connection.set_trace_callback(seen.append)
    await engine.by_keys(statement, column, ["a", "b", "c"], dict.fromkeys(given, "x"))
    connection.set_trace_callback(None)
    (text,) = [each for each in seen if each.startswith("SELECT")]
    plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]
    searched = [step for step in plan if step.startswith("SEARCH")]
    assert any(f"{column.name}=?" in step for step in searched), plan
    assert not [step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step], plan


def test_every_question_says_where_its_key_stands() -> None:
    for question in QUESTIONS:
        assert isinstance(question, Question)
        assert question.label in {column.name for column in question.many.selected_columns}
