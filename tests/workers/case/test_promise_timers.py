"""A promise made in words has a clock: whoever made it, people are told when its time has come."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bus.message import Party
from workers.case import commands
from workers.case.changes import Draft
from workers.case.events import PromiseBroken, PromiseDue, PromiseKept, PromiseMade, PromiseWarned, Reopened
from workers.case.model import CLOSED, Promise
from workers.records.money import format_date
from workers.records.schema import refund

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


async def told(shop: Any, case: str, kind: type) -> list[Any]:
    return [event for event in await shop.timeline(case) if isinstance(event, kind)]


async def asked_for_a_person(shop: Any, understand: Any, *, channel: str = "email", language: str = "de") -> Any:
    kind = {"email": "email", "phone": "phone", "chat": "chat"}[channel]
    address = {"email": ANNA.address, "phone": "+4930555010", "chat": "s-1"}[channel]
    contact = shop.contact(
        "Mensch", channel=channel, sender=Party(kind=kind, address=address), conversation=f"{channel}-1"
    )
    meaning = understand("", department="desk", decision="person", request_person=True, language=language)
    return await shop.hear(contact, meaning)


@pytest.mark.parametrize(
    ("language", "sorry"), [("de", "Das tut uns leid"), ("nb", "Det beklager vi"), ("en", "We're sorry")]
)
async def test_a_broken_promise_is_owned_up_to_once(shop: Any, understand: Any, language: str, sorry: str) -> None:
    heard = await asked_for_a_person(shop, understand, language=language)
    before = await shop.case(heard.case)
    (promise,) = before.open_promises()
    await shop.pass_time(seconds=(promise.until - shop.clock.now()).total_seconds() - 1)
    (warned,) = await told(shop, heard.case, PromiseWarned)
    assert (warned.id, (await shop.case(heard.case)).open_promises()[0].warned) == (promise.id, True)
    assert await due(shop, heard.case) == []
    (letter,) = await shop.pass_time(seconds=1)
    assert (letter.channel, letter.to.address, letter.language) == ("email", ANNA.address, language)
    assert sorry in letter.text
    assert before.number in letter.text
    state = await shop.case(heard.case)
    (renewed,) = state.open_promises()
    assert (renewed.id, renewed.broke, renewed.over) == (promise.id, promise.until, False)
    assert renewed.until > shop.clock.now()
    assert format_date(renewed.until, language) in letter.text
    # On top of the queue by the time that was named first, with a supervisor.
    assert state.supervisor == "promise"
    assert state.due is not None
    assert state.due <= promise.until
    # The new time goes by as well: counted, and no second letter.
    assert await shop.pass_time(days=7) == []
    assert await due(shop, heard.case) == ["answer", "answer"]
    assert await shop.pass_time(days=30) == []
    assert await due(shop, heard.case) == ["answer", "answer"]
    answer = commands.reply(await shop.case(heard.case), text="Hier bin ich.", actor="mia", now=shop.clock.now())
    await shop.apply(answer)
    state = await shop.case(heard.case)
    assert (state.open_promises(), state.due, state.supervisor) == ((), None, "")


async def test_a_timer_that_fires_twice_breaks_a_promise_once(shop: Any, understand: Any) -> None:
    heard = await asked_for_a_person(shop, understand)
    timers = [timer for timer in shop.timers.values() if b'"promise' in timer.value]
    assert len(timers) == 2
    await shop.pass_time(days=3)
    letters = len(shop.sent)
    for timer in timers:
        shop.timers[timer.id] = timer
    await shop.pass_time(seconds=1)
    assert len(await told(shop, heard.case, PromiseBroken)) == 1
    assert len(await told(shop, heard.case, PromiseWarned)) <= 2
    assert len(shop.sent) == letters


async def test_a_caller_who_left_no_other_address_is_called_back(shop: Any, understand: Any) -> None:
    heard = await asked_for_a_person(shop, understand, channel="phone")
    assert await shop.pass_time(minutes=10) == []
    (broken,) = await told(shop, heard.case, PromiseBroken)
    assert (broken.what, broken.told) == ("answer", "")
    (renewed,) = (await shop.case(heard.case)).open_promises()
    assert renewed.what == "callback"


async def test_a_caller_who_wrote_before_gets_a_mail(shop: Any, understand: Any) -> None:
    heard = await asked_for_a_person(shop, understand)
    state = await shop.case(heard.case)
    await shop.apply(commands.reply(state, text="Wir rufen Sie an.", actor="mia", now=shop.clock.now()))
    call = shop.contact(
        "", channel="phone", sender=Party(kind="phone", address="+4930555010"), conversation="CA1",
        case_token=heard.case,
    )  # fmt: skip
    again = await shop.hear(call, understand("", department="desk", decision="person"))
    assert again.case == heard.case
    replies = await shop.pass_time(days=3)
    assert [reply.channel for reply in replies] == ["email"]


async def test_every_road_to_a_promise_warns_when_somebody_can_read_it(shop: Any, understand: Any) -> None:
    """Given on Friday evening for Monday at nine, where nobody knew the office hours: the warning comes on Monday."""
    heard = await asked_for_a_person(shop, understand)
    friday = shop.clock.now() + timedelta(days=(4 - shop.clock.now().weekday()) % 7)
    friday = friday.replace(hour=16, minute=0)
    shop.clock.advance((friday - shop.clock.now()).total_seconds())
    shop.timers.clear()
    monday = friday + timedelta(days=2, hours=16)
    given = commands.promise(
        await shop.case(heard.case), what="Ersatz", until=monday, actor="mia", now=shop.clock.now()
    )
    await shop.apply(given)

    async def warned() -> list[datetime]:
        return [event.at for event in await told(shop, heard.case, PromiseWarned) if event.what == "Ersatz"]

    for hours in (1, 62):
        await shop.pass_time(hours=hours)
        assert await warned() == []
    await shop.pass_time(minutes=30)
    assert await warned() == [monday - timedelta(minutes=30)]


async def test_two_promises_of_one_hour_are_apologised_for_together(shop: Any, understand: Any) -> None:
    heard = await asked_for_a_person(shop, understand)
    state = await shop.case(heard.case)
    until = state.open_promises()[0].until
    await shop.apply(commands.promise(state, what="Ersatz", until=until, actor="mia", now=shop.clock.now()))
    letters = await shop.pass_time(seconds=(until - shop.clock.now()).total_seconds())
    assert len(letters) == 1
    assert sorted(await due(shop, heard.case)) == ["Ersatz", "answer"]
    first, second = (await shop.case(heard.case)).open_promises()
    assert first.until == second.until > shop.clock.now()


async def test_what_the_books_confirm_is_kept_and_what_they_do_not_goes_to_a_person(shop: Any, understand: Any) -> None:
    heard = await shop.hear(
        shop.contact("Wann offen?", sender=ANNA), understand("info.opening_hours", department="support")
    )
    until = shop.clock.now() + timedelta(days=30)
    paid = (await shop.engine.all(select(refund).limit(1)))[0]
    draft = Draft(await shop.case(heard.case), shop.clock.now())
    for name, action in (("kept", f"refund:{paid['id']}"), ("lost", "return:nothing")):
        promise = Promise(id=name, what="refund", by="machine", until=until, action=action)
        draft.tell(PromiseMade(at=shop.clock.now(), promise=promise))
    await shop.apply(draft.outcome())
    await shop.pass_time(days=8)
    state = await shop.case(heard.case)
    assert state.status == CLOSED, "what is under way keeps no case open"
    await shop.pass_time(days=23)
    state = await shop.case(heard.case)
    assert [event.id for event in await told(shop, heard.case, PromiseDue)] == ["lost"]
    assert [event.id for event in await told(shop, heard.case, PromiseKept)] == ["kept"]
    assert await told(shop, heard.case, Reopened)
    assert state.with_person
    assert "lost" in {promise.id for promise in state.open_promises()}
