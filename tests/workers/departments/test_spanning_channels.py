"""A customer goes on by any channel with the case number; the number alone opens nothing."""

from typing import Any

from sqlalchemy import select

from bus.clock import to_micros
from bus.message import Party
from bus.store.permission import consent_ledger
from workers.case import merging
from workers.case.model import CLOSED

GRETE = Party(kind="postal", name="Grete Ohlsen", address="Lindenweg 4\n10969 Berlin")
CALLER = Party(kind="phone", address="+49305550101")
SECRETS = ("49,90", "Lindenweg", "4411", "49 Euro")


async def test_from_a_letter_to_the_chat_to_the_phone_with_one_number(shop: Any, understand: Any) -> None:
    asks = understand("billing.duplicate_charge", entities={"order": "SO-10234"})
    letter = shop.contact("SO-10234 wurde doppelt abgebucht.", channel="post", sender=GRETE, conversation="L1")
    first = await shop.hear(letter, asks)
    case = await shop.case(first.case)
    number = case.number
    assert number in first.text

    visitor = Party(kind="chat", address="v1")

    async def type(text: str, meaning: Any) -> Any:
        return await shop.hear(shop.contact(text, channel="chat", sender=visitor, conversation="v1"), meaning)

    vague = understand("", department="desk", decision="person")
    # Whoever knows the number is asked who he is, in a case of his own.
    asked = await type(f"Es geht um meinen Brief, Vorgang {number[:4]} {number[4:]}", asks)
    assert asked.link == "claimed"
    assert asked.case != case.id
    assert not any(secret in asked.text for secret in SECRETS)
    code = shop.code_sent_to("grete.ohlsen@kunde.example")
    joined = await type(code, understand(decision="ask"))
    assert number in joined.text
    assert "49,90" in joined.text
    state = await shop.case(case.id)
    assert set(state.routes) == {"post", "chat"}
    assert (await shop.case(asked.case)).status == CLOSED

    async def call(text: str, meaning: Any, **native: str) -> Any:
        said = shop.contact(text, channel="phone", sender=CALLER, conversation="CA7", native=native)
        return await shop.hear(said, meaning)

    # On the phone the number is keyed in. The caller's own number, though on file, proves nothing.
    keyed = await call(number, vague, digits=number, case_number=number)
    assert keyed.link == "claimed"
    spoken = " ".join(reply.text for reply in keyed.replies if reply.channel == "phone")
    assert not any(secret in spoken for secret in SECRETS)
    named = await call("SO-10234", understand(department="billing", decision="accept", answering=True,
                                              entities={"order": "SO-10234"}))  # fmt: skip
    code = shop.code_sent_to("grete.ohlsen@kunde.example")
    proved = await call(code, understand(department="billing", decision="ask"), digits=code)
    state = await shop.case(case.id)
    assert set(state.routes) == {"post", "chat", "phone"}
    assert (await shop.case(keyed.case)).outcome == "joined"
    assert any(reply.case == case.id for reply in proved.replies)
    assert named.case == keyed.case
    assert state.number == number


async def test_the_number_from_a_stranger_opens_nothing_on_any_channel(shop: Any, understand: Any) -> None:
    asks = understand("billing.duplicate_charge", entities={"order": "SO-10234"})
    first = await shop.hear(shop.contact("doppelt", channel="post", sender=GRETE, conversation="L1"), asks)
    state = await shop.case(first.case)
    for channel, kind, address in (
        ("email", "email", "m@elsewhere.example"), ("chat", "chat", "m1"), ("phone", "phone", "+49305559999"),
        ("post", "postal", "Mallory\nWeg 1\n10115 Berlin"),
    ):  # fmt: skip
        contact = shop.contact(
            f"Vorgang {state.number}",
            channel=channel,
            sender=Party(kind=kind, address=address),
            conversation=f"m-{kind}",
        )
        heard = await shop.hear(contact, asks)
        assert (heard.link, heard.case == state.id) == ("claimed", False)
        own = [reply.text for reply in heard.replies if reply.to.address == address]
        assert own
        assert not any(secret in text for text in own for secret in SECRETS)
    assert (await shop.case(first.case)).version == state.version


async def test_stop_holds_for_everybody_who_is_the_same_human_being(shop: Any, understand: Any) -> None:
    grete = await merging.find_person(shop.engine, "shop", "grete.ohlsen@kunde.example")
    work = Party(kind="email", address="grete@arbeit.example")
    heard = await shop.hear(shop.contact("Hallo", sender=work), understand("talk.greeting", department="support"))
    other = (await shop.case(heard.case)).person
    outcome = await merging.merge(shop.engine, "shop", other, grete, actor="mia", reason="x", now=shop.clock.now())
    assert (await shop.apply(outcome)).applied
    at = to_micros(shop.clock.now())
    stop = understand("sales.stop_contacting_me", department="sales", stop_contact=True)
    await shop.hear(shop.contact("Keine Werbung mehr", sender=work), stop)
    rows = await shop.engine.all(select(consent_ledger))
    assert {grete, other} <= {row["person"] for row in rows if row["evidence"] != "" and row["at"] >= at}
