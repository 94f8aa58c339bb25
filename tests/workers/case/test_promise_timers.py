"""A promise made in words has a clock: whoever made it, people are told when its time has come."""

from datetime import timedelta
from typing import Any

from bus.message import Party
from workers.case import commands
from workers.case.events import PromiseBroken

ANNA = Party(kind="email", address="anna.becker@kunde.example", name="Anna Becker")


async def answered(shop: Any, understand: Any) -> Any:
    """A mail and its answer, which has not been reported on."""
    heard = await shop.hear(
        shop.contact("Wann haben Sie offen?", sender=ANNA), understand("info.opening_hours", department="support")
    )
    assert heard.reply.kind == "answer"
    return heard


async def due(shop: Any, case: str) -> list[str]:
    return [event.what for event in await shop.timeline(case) if isinstance(event, PromiseBroken)]


async def test_an_answer_that_got_lost_is_asked_after_when_its_four_hours_are_over(shop: Any, understand: Any) -> None:
    heard = await answered(shop, understand)
    await shop.deliver(heard.replies, "failed", permanent=True)
    state = await shop.case(heard.case)
    assert state.awaits_person()
    assert state.due == shop.clock.now() + timedelta(hours=4)
    await shop.pass_time(hours=3.9)
    assert await due(shop, heard.case) == []
    await shop.pass_time(hours=0.1)
    assert await due(shop, heard.case) == ["answer"]


async def test_a_promise_that_was_kept_in_time_is_not_asked_after(shop: Any, understand: Any) -> None:
    heard = await answered(shop, understand)
    await shop.deliver(heard.replies, "failed", permanent=True)
    state = await shop.case(heard.case)
    await shop.apply(commands.reply(state, text="Wir rufen Sie an.", actor="Frau Weber", now=shop.clock.now()))
    await shop.pass_time(hours=5)
    assert await due(shop, heard.case) == []


async def test_a_case_that_could_not_be_closed_is_asked_after(shop: Any, understand: Any) -> None:
    deliver = shop.deliver

    async def doubtful(replies: Any) -> None:
        await deliver(replies, "unknown")

    shop.deliver = doubtful
    heard = await answered(shop, understand)
    # The notice runs out while nobody knows whether the answer arrived.
    await shop.pass_time(days=30)
    assert (await shop.case(heard.case)).awaits_person()
    assert await due(shop, heard.case) == []
    await shop.pass_time(days=1)
    assert await due(shop, heard.case) == ["answer"]


async def test_the_promise_of_a_person_has_one_timer_at_its_time(shop: Any, understand: Any) -> None:
    heard = await shop.hear(
        shop.contact("Bitte ein Mensch", sender=ANNA, conversation="<a@x>"),
        understand("escalation.human", department="support", request_person=True),
    )
    first = (await shop.case(heard.case)).open_promises()[0].until
    reminders = [timer for timer in shop.timers.values() if b'"promise"' in timer.value]
    assert [timer.due for timer in reminders] == [first]
