"""Whole dialogues in customers' own words, understood by the real triage."""

from pathlib import Path
from typing import Any

import pytest_asyncio

from bus.log.topics import CONTACT_IDENTIFIED
from bus.message import Party, decode
from workers.case.model import CLOSED
from workers.case.work import Identified, WorkItem
from workers.triage.worker import TriageWorker


@pytest_asyncio.fixture
async def say(shop: Any, learned: Path) -> Any:
    """Contact in, replies out: intake, triage and department for real."""
    triage = TriageWorker(store=shop.engine, clock=shop.clock, pack=shop.pack, data_dir=learned)

    async def take(contact: Any) -> Any:
        found = await shop.hear_intake(contact)
        who = decode(found.value, Identified)
        outcome = await shop.take(triage, shop.stored(CONTACT_IDENTIFIED, who.case, who))
        item = decode(outcome.emit[0].value, WorkItem)
        return who.case, await shop.work(item), item

    return take


def chat(shop: Any, session: str, text: str) -> Any:
    return shop.contact(text, channel="chat", sender=Party(kind="chat", address=session), conversation=session)


async def test_german_mail_of_a_double_charge_in_own_words(shop: Any, say: Any) -> None:
    grete = Party(kind="email", address="grete.ohlsen@kunde.example", name="Grete Ohlsen")
    text = (
        "Guten Tag,\n\nauf dem Auszug meiner Karte steht Ihr Haus mit SO-10234 gleich zweimal, je 49,90 Euro. "
        "Gekauft habe ich aber nur einmal. Können Sie das bitte klären?\n\nFreundliche Grüße\nGrete Ohlsen"
    )
    case, (asked,), _ = await say(shop.contact(text, sender=grete, conversation="<g1@x>", subject="Kartenauszug"))
    link = next(word for word in asked.text.split() if "/confirm/" in word)
    challenge = shop.signer.open("confirm", "shop", link.rsplit("/", 1)[1]).partition("~")[0]
    pressed = shop.contact(
        channel="link", sender=Party(kind="link", address=challenge), case_token=case, language="en",
        native={"request": "confirm", "challenge": challenge},
    )  # fmt: skip
    _, (refunded,), _ = await say(pressed)
    assert refunded.language == "de"
    assert "49,90\u00a0€" in refunded.text
    assert "Kann ich sonst noch etwas für Sie tun?" in refunded.text
    _, (bye,), _ = await say(shop.contact("Nein, danke.", sender=grete, case_token=case, conversation="<g2@x>"))
    assert bye.kind == "survey"
    assert (await shop.case(case)).status == CLOSED
    assert [row["amount"] for row in await shop.refunds()] == [4990]


async def test_english_chat_about_a_wrong_price(shop: Any, say: Any) -> None:
    first = "Hi, the shelf said 19.99 but I was charged 24.99 at the till. My receipt is R-77120"
    case, replies, _ = await say(chat(shop, "tom", first))
    assert {reply.channel for reply in replies} == {"chat", "email"}
    _, (proposed,), _ = await say(chat(shop, "tom", shop.code_sent_to("tom.baker@customer.example")))
    assert "£5.00" in proposed.text
    assert "teapot: £24.99" in proposed.text
    _, (done,), _ = await say(chat(shop, "tom", "yes please, do that"))
    assert "Is there anything else I can do for you?" in done.text
    _, (bye,), _ = await say(chat(shop, "tom", "no that's all, thanks"))
    assert bye.kind == "survey"
    assert (await shop.case(case)).outcome == "refunded"
    assert [row["amount"] for row in await shop.refunds()] == [500]


async def test_norwegian_exchange_remembers_the_size_over_the_proof(shop: Any, say: Any) -> None:
    case, _, _ = await say(chat(shop, "ingrid", "Jeg vil bytte genseren til størrelse L, ordre SO-10440"))
    _, (proposed,), _ = await say(chat(shop, "ingrid", f"koden er {shop.code_sent_to('ingrid.haugen@kunde.example')}"))
    assert "fra M til L" in proposed.text
    _, (done,), _ = await say(chat(shop, "ingrid", "ja takk"))
    assert "Er det noe annet jeg kan hjelpe deg med?" in done.text
    assert (await shop.case(case)).outcome == "exchanged"


async def test_a_new_subject_in_the_middle_is_followed(shop: Any, say: Any) -> None:
    _, (asked,), item = await say(chat(shop, "anna", "Wo ist mein Paket?"))
    assert item.understanding.intent.startswith("order.")
    assert "Bestellnummer" in asked.text
    _, (answered,), _ = await say(chat(shop, "anna", "Wann habt ihr denn geöffnet?"))
    assert "9 bis 19 Uhr" in answered.text


async def test_what_nobody_can_make_sense_of_is_asked_once_and_then_a_persons(shop: Any, say: Any) -> None:
    _, (asked,), _ = await say(chat(shop, "x", "qxzv wrrgl blorp"))
    assert asked.kind == "question"
    assert not asked.handover
    _, (person,), _ = await say(chat(shop, "x", "zzkrw bmpf"))
    assert person.handover
