"""What people see of the queue when there is more than fits on a page."""

from typing import Any

from bus.message import Party
from bus.store.port import Effect
from workers.case import events
from workers.case.changes import Draft
from workers.case.model import Question
from workers.case.rules import Open
from workers.desk.reading import QUEUE_LIMIT, Reading


async def test_cases_whose_customer_has_the_word_push_nobody_out_who_waits(shop: Any, understand: Any) -> None:
    now = shop.clock.now()
    effects: list[Effect] = []
    for number in range(QUEUE_LIMIT):
        draft = Draft(None, now)
        draft.do(Open(id=f"k-{number}", tenant="shop", number=f"{number:014}", person="", channel="email"))
        draft.tell(events.Assigned(at=now, to="mina"))
        draft.tell(events.QuestionAsked(at=now, question=Question(kind="request", asked_at=now)))
        effects.append(Effect(outcome=draft.outcome()))
    await shop.engine.apply(effects)
    shop.clock.advance(60)
    sender = Party(kind="email", address="neu@kunde.example")
    asks = understand("other.out_of_scope", department="desk", decision="person")
    waiting = await shop.hear(shop.contact("Hallo", sender=sender), asks)
    rows = await Reading(store=shop.engine, clock=shop.clock).queue("shop", "waiting")
    assert len(rows) == QUEUE_LIMIT
    assert rows[0].id == waiting.case
