"""A chat left silent by its representative: apology and reason in the customer's language, within each minute."""

from typing import Any

import pytest

from bus.message import Party, decode
from workers.case import commands, events, rules
from workers.case.work import CaseTimer

WAITS = {
    "de": ("Bitte entschuldigen Sie", "in Gesprächen", "Rückruf"),
    "nb": ("Beklager at du må vente", "opptatt i samtaler", "ring meg"),
    "en": ("sorry to keep you waiting", "talking to other customers", "call me"),
}


async def waiting(shop: Any, understand: Any, language: str) -> Any:
    contact = shop.contact("?", channel="chat", sender=Party(kind="chat", address="v-1"), conversation="v-1")
    return await shop.hear(contact, understand("", language=language, department="desk", request_person=True))


@pytest.mark.parametrize("language", ["de", "nb", "en"])
async def test_who_waits_hears_apology_and_reason_each_minute(shop: Any, understand: Any, language: str) -> None:
    heard = await waiting(shop, understand, language)
    assert heard.reply.handover
    assert await shop.pass_time(seconds=46) == []
    (first,) = await shop.pass_time(seconds=10)
    apology, reason, offer = WAITS[language]
    assert (first.kind, first.language, first.to.address) == ("hold", language, "v-1")
    assert apology in first.text
    assert reason in first.text
    await shop.deliver([first], "delivered")
    texts = [first.text]
    for _ in range(2):
        await shop.pass_time(seconds=45)
        (reply,) = await shop.pass_time(seconds=10)
        await shop.deliver([reply], "delivered")
        texts.append(reply.text)
    assert len(set(texts)) == 3
    assert offer in texts[-1]
    assert (await shop.case(heard.case)).supervisor == "hold"


async def test_a_person_in_the_chat_gives_the_reason(shop: Any, understand: Any) -> None:
    heard = await waiting(shop, understand, "de")
    state = await shop.case(heard.case)
    await shop.apply(commands.reply(state, text="Guten Tag, ich bin Mina.", actor="Mina", now=shop.clock.now()))
    state = await shop.case(heard.case)
    assert state.hold is None
    await shop.apply(commands.hold(state, reason="stock", actor="Mina", now=shop.clock.now()))
    await shop.pass_time(seconds=45)
    (reply,) = await shop.pass_time(seconds=10)
    assert "Lager" in reply.text
    assert (await shop.case(heard.case)).hold.returns == 1
    with pytest.raises(rules.Refused, match="reason"):
        commands.hold(state, reason="lunch", actor="Mina", now=shop.clock.now())


async def test_who_would_rather_be_called_is_promised_it_and_waits_no_more(shop: Any, understand: Any) -> None:
    heard = await waiting(shop, understand, "de")
    contact = shop.contact("Rückruf", channel="chat", sender=Party(kind="chat", address="v-1"), conversation="v-1")
    again = await shop.hear(contact, understand("escalation.call_back", department="desk"))
    assert again.case == heard.case
    assert "rufen Sie spätestens" in again.text
    state = await shop.case(heard.case)
    assert state.hold is None
    assert [promise.what for promise in state.open_promises()] == ["callback"], "one time is told, and one is kept"
    assert await shop.pass_time(seconds=120) == []


async def test_a_timer_fired_by_a_process_whose_clock_is_ahead_is_not_lost(shop: Any, understand: Any) -> None:
    wants = understand("", department="desk", decision="person", request_person=True)
    visitor = Party(kind="chat", address="ahead")
    heard = await shop.hear(shop.contact("Mensch!", channel="chat", sender=visitor, conversation="ahead"), wants)
    (timer,) = [each for each in shop.timers.values() if each.key == heard.case and b'"hold"' in each.value]
    shop.clock.advance((timer.due - shop.clock.now()).total_seconds() - 0.4)
    record = shop.stored(timer.topic, timer.key, decode(timer.value, CaseTimer))
    early = await shop.take(shop.workers["case"], record)
    assert early.writes == (), "for who fires too early it means nothing"
    record.headers["ce_time"] = timer.due.isoformat()
    assert (await shop.take(shop.workers["case"], record)).writes
    (warned,) = [event for event in await shop.timeline(heard.case) if isinstance(event, events.HoldWarned)]
    assert warned.at == timer.due
