"""The same offers on PostgreSQL: who begins to wait, is offered, declines; and two rival rounds."""

from datetime import timedelta
from typing import Any

from bus.clock import to_micros
from bus.delivery.outcome import Outcome
from bus.log.port import StoredRecord
from bus.log.topics import CASE_OFFERS
from bus.message import Party, encode
from bus.store.port import Effect
from bus.store.postgres import PostgresStore
from bus.store.postgres_settings import PostgresSettings
from bus.testing.clock import FakeClock
from workers.case import events, model, rules
from workers.case.changes import Draft, load_case
from workers.case.work import Look
from workers.desk.answering import Answering
from workers.desk.live import LiveReading
from workers.desk.offering import OfferWorker
from workers.desk.roster import Roster
from workers.desk.staff import People, Staff

LOOK = StoredRecord(
    topic=CASE_OFFERS, partition=0, offset=1, at=0, key="shop", value=encode(Look(tenant="shop")), id="l", headers={}
)


async def test_offers_on_postgres(postgres_settings: PostgresSettings, clock: FakeClock) -> None:
    store = await PostgresStore.open(postgres_settings, tenant="shop")
    given: dict[str, Any] = {"store": store, "clock": clock}
    worker, roster, answering = OfferWorker(**given), Roster(**given), Answering(**given)

    async def apply(outcome: Outcome) -> bool:
        (result,) = await store.apply([Effect(outcome=outcome)])
        return result.applied

    async def offered(case: str) -> str:
        assert await apply(await worker.handle(LOOK))
        state = await load_case(store, "shop", case)
        assert state is not None
        return state.offered

    for name in ("Ada", "Bo"):
        await People(**given).keep("shop", Staff(name=name, skills={"billing": 2}))
        await roster.say("shop", name, "ready")
        clock.advance(1)
    now = clock.now()
    draft = Draft(None, now)
    draft.do(rules.Open(id="k-1", tenant="shop", number="1", person="p-1", channel="email", language="de"))
    route = model.Route(
        channel="email", account="hilfe", address=Party(kind="email", address="g@kunde.example"), at=now
    )
    draft.do(rules.Receive(received=events.Received(at=now, actor="customer", contact="c-1", route=route)))
    draft.do(rules.HandOver(reason="asked", until=now + timedelta(hours=4)))
    assert await apply(draft.outcome())

    first, second = await worker.handle(LOOK), await worker.handle(LOOK)
    assert [await apply(first), await apply(second)] == [True, False]
    assert await offered("k-1") == "Ada"
    await answering.decline("shop", "k-1", "Ada")
    assert await offered("k-1") == "Bo"
    await answering.accept("shop", "k-1", "Bo")
    assert await offered("k-1") == ""
    taken = await load_case(store, "shop", "k-1")
    assert taken is not None
    assert taken.assignee == "Bo"
    clock.advance(5 * 3600)
    (row,) = await LiveReading(**given).by_risk("shop")
    assert (row.assignee, row.reasons[0].word) == ("Bo", "late")
    ada = await roster.one("shop", "Ada")
    assert ada is not None
    assert ada["seen"] < to_micros(clock.now())
    await store.close()
