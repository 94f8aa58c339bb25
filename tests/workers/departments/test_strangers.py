"""Whoever has not proved to be the customer learns nothing and moves nothing, whatever is asked and however."""

from typing import Any

import pytest
from sqlalchemy import select

from bus.message import Party
from workers.case.schema import challenge

STRANGER = Party(kind="email", address="mallory@elsewhere.example", name="Mallory")

SECRETS = ("49,90", "Lindenweg", "grete.ohlsen", "4411", "Schreibtischlampe", "24. Dezember", "Ohlsen")
"""What the company knows of Grete Ohlsen and her order."""


def says_nothing(text: str) -> bool:
    return not any(secret in text for secret in SECRETS)


ASKS = [
    ("billing.duplicate_charge", "billing"),
    ("billing.charge_question", "billing"),
    ("billing.refund_status", "billing"),
    ("order.status", "support"),
    ("return.exchange", "returns"),
    ("return.withdraw", "returns"),
    ("return.damaged_or_wrong_item", "returns"),
]


@pytest.mark.parametrize(("intent", "department"), ASKS)
@pytest.mark.parametrize("number", ["SO-10234", "RE-20234"])
async def test_a_stranger_with_an_order_number_gets_nothing(
    shop: Any, understand: Any, intent: str, department: str, number: str
) -> None:
    meaning = understand(intent, department=department, entities={"order": number})
    mail = shop.contact(f"Was ist mit {number}?", sender=STRANGER, conversation="<x@y>")
    heard = await shop.hear(mail, meaning)
    assert says_nothing(heard.text)
    assert "/confirm/" not in heard.text
    code_mail = next(reply for reply in heard.replies if reply.to.address == "grete.ohlsen@kunde.example")
    assert "Mallory" not in code_mail.text
    assert "/confirm/" not in code_mail.text
    yes = shop.contact("Ja bitte", sender=STRANGER, conversation="<x@y>")
    answer = await shop.hear(yes, understand("talk.yes", department=department, answer="yes"))
    assert says_nothing(answer.text)
    assert await shop.refunds() == []
    assert (await shop.case(heard.case)).proof == "none"


async def test_an_order_that_does_not_exist_is_answered_in_the_same_words(shop: Any, understand: Any) -> None:
    texts = []
    for number in ("SO-10234", "SO-99999"):
        mail = shop.contact("Wo ist meine Bestellung?", sender=STRANGER)
        heard = await shop.hear(mail, understand("order.status", department="support", entities={"order": number}))
        wrong = shop.contact("000000", sender=STRANGER, case_token=heard.case)
        refused = await shop.hear(wrong, understand(department="support", decision="ask"))
        number_of_case = (await shop.case(heard.case)).number
        texts.append(tuple(text.replace(number_of_case, "#") for text in (heard.text, refused.text)))
    assert texts[0] == texts[1]


async def test_the_owner_typing_the_code_elsewhere_helps_no_stranger(shop: Any, understand: Any) -> None:
    meaning = understand("order.status", department="support", entities={"order": "SO-10234"})
    heard = await shop.hear(shop.contact("Wo ist SO-10234?", sender=STRANGER, conversation="<x@y>"), meaning)
    code = shop.code_sent_to("grete.ohlsen@kunde.example")
    owner = Party(kind="email", address="grete.ohlsen@kunde.example")
    # She answers the code mail, whose Reply-To carries the stranger's case.
    await shop.hear(
        shop.contact(code, sender=owner, case_token=heard.case), understand(department="support", decision="ask")
    )
    assert (await shop.case(heard.case)).proof == "none"
    again = shop.contact("Und?", sender=STRANGER, conversation="<x@y>")
    assert says_nothing((await shop.hear(again, understand(department="support", decision="ask"))).text)


async def test_a_caller_number_proves_nothing(shop: Any, understand: Any) -> None:
    caller = Party(kind="phone", address="+49305550101")
    call = shop.contact("Ich wurde doppelt belastet", channel="phone", sender=caller, conversation="CA1")
    heard = await shop.hear(call, understand("billing.duplicate_charge"))
    spoken = next(reply for reply in heard.replies if reply.channel == "phone")
    assert says_nothing(spoken.text)
    assert "http" not in spoken.text
    code = shop.code_sent_to("grete.ohlsen@kunde.example")
    keyed = shop.contact("", channel="phone", sender=caller, conversation="CA1", native={"digits": code})
    proposed = await shop.hear(keyed, understand(decision="ask"))
    assert "49 Euro und 90 Cent" in proposed.text
    # The same number in another call is somebody else until proven.
    other = shop.contact("Ja", channel="phone", sender=caller, conversation="CA2", native={"digits": ""})
    new = await shop.hear(other, understand("billing.duplicate_charge", answer="yes"))
    assert new.case != heard.case
    assert says_nothing(next(reply for reply in new.replies if reply.channel == "phone").text)
    assert await shop.refunds() == []


async def test_another_customer_with_proof_does_not_see_it_either(shop: Any, understand: Any) -> None:
    visitor = Party(kind="chat", address="session-anna")

    async def say(text: str, meaning: Any) -> Any:
        return await shop.hear(shop.contact(text, channel="chat", sender=visitor, conversation="session-anna"), meaning)

    await say(
        "SO-10420 wurde doppelt abgebucht", understand("billing.duplicate_charge", entities={"order": "SO-10420"})
    )
    code = shop.code_sent_to("anna.becker@kunde.example")
    explained = await say(code, understand(decision="ask"))
    assert "79,00" in explained.text
    asked = await say("Und SO-10234?", understand("billing.duplicate_charge", entities={"order": "SO-10234"}))
    assert says_nothing(asked.text)
    assert "SO-10234" in asked.text
    assert await shop.refunds() == []


async def test_nobody_floods_a_mailbox_with_codes(shop: Any, understand: Any) -> None:
    meaning = understand("order.status", department="support", entities={"order": "SO-10234"})
    for count in range(10):
        sender = Party(kind="email", address=f"mallory{count}@elsewhere.example")
        await shop.hear(shop.contact("Wo ist SO-10234?", sender=sender), meaning)
    mails = [reply for reply in shop.sent if reply.to.address == "grete.ohlsen@kunde.example"]
    assert 0 < len(mails) <= 6


async def test_the_code_is_stored_nowhere(shop: Any, understand: Any) -> None:
    meaning = understand("order.status", department="support", entities={"order": "SO-10234"})
    heard = await shop.hear(shop.contact("Wo ist SO-10234?", sender=STRANGER), meaning)
    code = shop.code_sent_to("grete.ohlsen@kunde.example")
    rows = await shop.engine.all(select(challenge))
    assert code not in repr(rows)
    assert code not in repr(await shop.timeline(heard.case))


async def test_the_answer_goes_to_the_address_that_proved_itself_whoever_wrote_last(shop: Any, understand: Any) -> None:
    grete = Party(kind="email", address="grete.ohlsen@kunde.example")
    meaning = understand("billing.duplicate_charge", entities={"order": "SO-10234"})
    heard = await shop.hear(shop.contact("SO-10234 doppelt", sender=grete, conversation="<g@x>"), meaning)
    # She forwards our mail, and somebody answers it: the token in Reply-To is genuine.
    forwarded = shop.contact("Was soll ich damit?", sender=STRANGER, case_token=heard.case, conversation="<m@x>")
    await shop.hear(forwarded, understand(decision="person"))
    link = next(word for word in heard.text.split() if "/confirm/" in word)
    name = shop.signer.open("confirm", "shop", link.rsplit("/", 1)[1]).partition("~")[0]
    pressed = shop.contact(
        channel="link", sender=Party(kind="link", address=name), case_token=heard.case,
        native={"request": "confirm", "challenge": name},
    )  # fmt: skip
    answer = await shop.hear(pressed, understand(decision="accept"))
    assert answer.replies
    assert {reply.to.address for reply in answer.replies} == {"grete.ohlsen@kunde.example"}
