"""Who waits to be called back and gets in touch in another case is not called; nobody else is forgotten."""

from typing import Any

import pytest

from bus.message import Party
from workers.case import events, merging
from workers.case.changes import Draft
from workers.case.coming_back import waiting_for_a_call

JONAS = Party(kind="phone", address="+49305550144")
GRETE = Party(kind="email", address="grete.ohlsen@kunde.example", name="Grete Ohlsen")
TOM = Party(kind="email", address="tom.baker@customer.example", name="Tom Baker")
ELSEWHERE = Party(kind="email", address="jonas@elsewhere.example")


async def asked(shop: Any, understand: Any, sender: Party = JONAS) -> str:
    call = shop.contact(
        channel="phone", sender=sender, conversation=f"CA{shop.count}",
        native={"request": "callback", "callback_number": sender.address},
    )  # fmt: skip
    return (await shop.hear(call, understand("escalation.call_back", department="desk"))).case


async def writes(shop: Any, understand: Any, sender: Party, text: str = "Hallo", **more: Any) -> str:
    shop.clock.advance(60)
    heard = await shop.hear(
        shop.contact(text, sender=sender, **more), understand("", department="desk", decision="person")
    )
    await shop.pass_time(seconds=1)
    return heard.case


async def one_human(shop: Any, address: Party) -> None:
    """The desk has found out that two people are one."""
    jonas = await merging.find_person(shop.engine, "shop", f"phone:{JONAS.address}")
    other = await merging.find_person(shop.engine, "shop", f"email:{address.address}")
    merged = await merging.merge(
        shop.engine, "shop", other, jonas, actor="Mina", reason="said so", now=shop.clock.now()
    )
    await shop.apply(merged)


async def test_a_second_call_ends_the_call_back_of_the_first_and_keeps_its_promise(shop: Any, understand: Any) -> None:
    case = await asked(shop, understand)
    promised = (await shop.case(case)).open_promises()
    other = await writes(shop, understand, JONAS, channel="phone", conversation="CA-other")
    assert other != case
    state = await shop.case(case)
    assert state.callback is None
    assert state.open_promises() == promised
    ended = (await shop.timeline(case))[-1]
    assert isinstance(ended, events.CallBackEnded)
    assert (ended.how, ended.other) == ("elsewhere", (await shop.case(other)).number)


async def test_after_a_merge_any_address_of_the_person_does(shop: Any, understand: Any) -> None:
    await writes(shop, understand, ELSEWHERE, "Guten Tag")
    case = await asked(shop, understand)
    await writes(shop, understand, ELSEWHERE, "Noch einmal ich")
    assert (await shop.case(case)).callback is not None
    await one_human(shop, ELSEWHERE)
    await writes(shop, understand, ELSEWHERE, "Hat sich erledigt")
    assert (await shop.case(case)).callback is None


@pytest.mark.parametrize("more", [{"automatic": True}, {"native": {"request": "ended"}}])
async def test_a_machine_or_a_dead_line_is_nobody_who_came_back(shop: Any, understand: Any, more: Any) -> None:
    case = await asked(shop, understand)
    await writes(shop, understand, JONAS, channel="phone", conversation="CA-other", **more)
    assert (await shop.case(case)).callback is not None


async def test_neither_somebody_else_nor_what_was_said_before_the_wish(shop: Any, understand: Any) -> None:
    early = shop.contact("Guten Tag", channel="phone", sender=JONAS, conversation="CA-early")
    shop.clock.advance(5)
    case = await asked(shop, understand)
    await writes(shop, understand, GRETE)
    await shop.hear(early, understand("", department="desk", decision="person"))
    await shop.pass_time(seconds=1)
    assert (await shop.case(case)).callback is not None


async def test_whoever_proves_to_be_somebody_who_waits_has_come_back(shop: Any, understand: Any) -> None:
    """A chat window is nobody's until the code of the address on file is typed into it."""
    mail = await writes(shop, understand, TOM)
    draft = Draft(await shop.case(mail), shop.clock.now())
    draft.tell(events.CallBackAsked(at=draft.now, actor="customer", number="+442079460000"))
    await shop.apply(draft.outcome())
    assert [row["id"] for row in await waiting_for_a_call(shop.engine, "shop")] == [mail]
    shop.clock.advance(60)
    chat: dict[str, Any] = {"channel": "chat", "sender": Party(kind="chat", address="v-1"), "conversation": "s-1"}
    meaning = understand("billing.wrong_price", language="en", entities={"order": "SO-10388"})
    await shop.hear(shop.contact("Wrong price, SO-10388", **chat), meaning)
    await shop.pass_time(seconds=1)
    assert (await shop.case(mail)).callback is not None
    code = shop.code_sent_to(TOM.address)
    await shop.hear(shop.contact(code, **chat), understand(language="en", decision="ask"))
    await shop.pass_time(seconds=1)
    assert (await shop.case(mail)).callback is None
    assert await waiting_for_a_call(shop.engine, "shop") == []
