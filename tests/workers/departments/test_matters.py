"""Several matters of one customer: a case each, nothing forgotten, on every channel."""

from typing import Any

import pytest
from sqlalchemy import select

from bus.message import Party
from workers.case import events
from workers.case.contacts import contact_cases, is_done
from workers.case.model import CLOSED, CLOSING, WAITING_PERSON
from workers.case.rebuild import rebuild
from workers.case.schema import contact_case
from workers.case.work import Entity, Matter

GRETE = Party(kind="email", address="grete.ohlsen@kunde.example", name="Grete Ohlsen")
TEXT = "Die Lampe aus SO-10234 kam zerbrochen an. Außerdem wurde SO-10234 doppelt abgebucht."


def both(understand: Any, language: str = "de") -> Any:
    """A broken delivery, and a double charge."""
    order = Entity(kind="order", value="SO-10234")
    charge = Matter(
        label="billing.duplicate_charge", confidence=0.95, department="billing", entities=(order,)
    )  # fmt: skip
    return understand(
        "return.damaged_or_wrong_item", department="returns", language=language, entities={"order": "SO-10234"},
        also=(charge,),
    )  # fmt: skip


def chat(shop: Any, text: str, **more: Any) -> Any:
    return shop.contact(text, channel="chat", sender=Party(kind="chat", address="s1"), conversation="s1", **more)


async def siblings(shop: Any, case: str) -> list[Any]:
    state = await shop.case(case)
    return [await shop.case(other) for other in state.siblings]


async def same_from_events(shop: Any, case: str) -> None:
    assert rebuild(await shop.timeline(case)) == await shop.case(case)


@pytest.mark.parametrize("language", ["de", "nb", "en"])
@pytest.mark.parametrize(("channel", "kind"), [("email", "email"), ("post", "postal")])
async def test_a_mail_with_two_matters_gets_two_cases_and_an_answer_to_each(
    shop: Any, understand: Any, language: str, channel: str, kind: str
) -> None:
    letter = shop.contact(TEXT, channel=channel, sender=Party(kind=kind, address="x@y.example"), conversation="<t@x>")
    heard = await shop.hear(letter, both(understand, language))
    main = await shop.case(heard.case)
    (other,) = await siblings(shop, heard.case)
    assert other.siblings == (main.id,)
    assert main.number != other.number
    assert (main.procedure.name, other.procedure.name) == ("damaged_or_wrong_item", "disputed_charge")
    assert other.procedure.facts["order"] == "SO-10234"
    own = [reply for reply in heard.replies if reply.channel == channel and reply.kind != "notice"]
    first, second = own
    assert first.case == main.id
    assert main.number in first.text
    assert other.number in first.text
    assert (second.case, second.case_number) == (other.id, other.number)
    rows = await shop.engine.all(select(contact_case).where(contact_case.c.contact == letter.id))
    assert {(row["matter"], row["case_id"]) for row in rows} == {(0, main.id), (1, other.id)}
    for case in (main.id, other.id):
        await same_from_events(shop, case)


async def test_the_same_trouble_with_three_orders_gets_a_case_each(shop: Any, understand: Any) -> None:
    """The label alone does not tell them apart."""
    orders = ("SO-10388", "SO-10420")
    also = tuple(
        Matter(
            label="billing.duplicate_charge", confidence=0.95, department="billing",
            entities=(Entity(kind="order", value=order),),
        )
        for order in orders
    )  # fmt: skip
    meaning = understand("billing.duplicate_charge", entities={"order": "SO-10234"}, also=also)
    mail = shop.contact("Dreimal doppelt abgebucht", sender=GRETE, conversation="<t@x>")
    heard = await shop.hear(mail, meaning)
    others = await siblings(shop, heard.case)
    assert [other.procedure.facts["order"] for other in others] == list(orders)
    assert len({heard.case, *(other.id for other in others)}) == 3
    own = [reply for reply in heard.replies if reply.kind != "notice"]
    assert {reply.case for reply in own} == {heard.case, *(other.id for other in others)}
    assert await shop.work(heard.item) == []


async def test_the_same_contact_twice_parts_once(shop: Any, understand: Any) -> None:
    mail = shop.contact(TEXT, sender=GRETE, conversation="<t@x>")
    heard = await shop.hear(mail, both(understand))
    assert await shop.work(heard.item) == []
    assert len(await siblings(shop, heard.case)) == 1


async def test_a_contact_is_done_when_all_its_cases_are(shop: Any, understand: Any) -> None:
    mail = shop.contact("Wann offen? Und SO-10234 ist doppelt abgebucht.", sender=GRETE, conversation="<t@x>")
    order = Entity(kind="order", value="SO-10234")
    charge = Matter(label="billing.duplicate_charge", confidence=0.9, department="billing", entities=(order,))
    heard = await shop.hear(mail, understand("info.opening_hours", department="support", also=(charge,)))
    (found,) = (await contact_cases(shop.engine, "shop", [mail.id])).values()
    assert [each.number for each in found] == [
        (await shop.case(heard.case)).number, (await siblings(shop, heard.case))[0].number
    ]  # fmt: skip
    assert not is_done(found)
    bye = shop.contact("Danke, das war's", sender=GRETE, case_token=heard.case, conversation="<t@x>")
    await shop.hear(bye, understand("talk.thanks_done", department="support", done=True))
    (found,) = (await contact_cases(shop.engine, "shop", [mail.id])).values()
    assert [each.status == CLOSED for each in found] == [True, False]
    assert not is_done(found)
    await shop.pass_time(days=8)
    (found,) = (await contact_cases(shop.engine, "shop", [mail.id])).values()
    assert is_done(found)


async def test_in_the_chat_one_comes_after_the_other_and_before_anything_else(shop: Any, understand: Any) -> None:
    order = Entity(kind="order", value="SO-10234")
    charge = Matter(label="billing.duplicate_charge", confidence=0.95, department="billing", entities=(order,))
    first = await shop.hear(
        chat(shop, "Wann habt ihr offen? Und übrigens: SO-10234 wurde doppelt abgebucht."),
        understand("info.opening_hours", department="support", also=(charge,)),
    )
    (other,) = await siblings(shop, first.case)
    assert "9 bis 19 Uhr" in first.text
    assert "eine doppelte Abbuchung" in first.text
    assert other.number in first.text
    assert "sonst noch etwas" not in first.text
    assert (await shop.case(first.case)).status == CLOSED
    yes = await shop.hear(chat(shop, "Ja bitte"), understand("talk.yes", answer="yes"))
    assert yes.case == other.id
    code = shop.code_sent_to(GRETE.address)
    proposed = await shop.hear(chat(shop, code), understand(decision="ask"))
    # What was said of it at first is known: nobody has to say it again.
    assert "49,90" in proposed.text
    assert "digitale Assistent" not in yes.text + proposed.text
    await same_from_events(shop, other.id)


async def test_a_matter_that_waits_may_be_left(shop: Any, understand: Any) -> None:
    charge = Matter(label="billing.duplicate_charge", confidence=0.95, department="billing")
    first = await shop.hear(
        chat(shop, "Wann offen? Und doppelt abgebucht."),
        understand("info.opening_hours", department="support", also=(charge,)),
    )
    (other,) = await siblings(shop, first.case)
    no = await shop.hear(chat(shop, "Nein"), understand("talk.no", answer="no"))
    assert no.case == other.id
    assert "Kann ich sonst noch etwas" in no.text
    state = await shop.case(other.id)
    assert (state.status, state.outcome, state.procedure) == (CLOSING, "withdrawn", None)


async def test_a_matter_whose_turn_never_comes_is_a_persons(shop: Any, understand: Any) -> None:
    charge = Matter(label="billing.duplicate_charge", confidence=0.95, department="billing")
    asks = understand("order.status", department="support", entities={"order": "SO-10420"}, also=(charge,))
    first = await shop.hear(chat(shop, "Wo ist SO-10420? Und doppelt abgebucht."), asks)
    spoken = next(reply for reply in first.replies if reply.channel == "chat")
    (other,) = await siblings(shop, first.case)
    assert other.number in spoken.text
    assert "nicht verloren" in spoken.text
    await shop.pass_time(minutes=31)
    state = await shop.case(other.id)
    assert state.status == WAITING_PERSON
    assert state.awaits_person()


async def test_proof_given_for_one_counts_for_the_other_of_the_same_writer(shop: Any, understand: Any) -> None:
    asks = understand("order.status", department="support", entities={"order": "SO-10234"})
    first = await shop.hear(chat(shop, "Wo ist SO-10234?"), asks)
    charge = understand("billing.duplicate_charge", entities={"order": "SO-10234"})
    await shop.hear(chat(shop, shop.code_sent_to(GRETE.address)), understand(department="support", decision="ask"))
    also = Matter(
        label="billing.duplicate_charge", confidence=0.95, department="billing", entities=charge.entities
    )  # fmt: skip
    again = understand("info.opening_hours", department="support", also=(also,))
    more = await shop.hear(chat(shop, "Und wann offen? Und doppelt abgebucht!"), again)
    assert more.case == first.case
    sent = len(shop.sent)
    yes = await shop.hear(chat(shop, "Ja"), understand("talk.yes", answer="yes"))
    assert "49,90" in yes.text
    assert all(reply.kind != "notice" for reply in shop.sent[sent:])


async def test_one_click_says_who_writes_for_both_matters_and_yes_for_its_own_alone(shop: Any, understand: Any) -> None:
    """Two messages, each with its own link: whoever has used one need not use the other to be known."""
    heard = await shop.hear(shop.contact(TEXT, sender=GRETE, conversation="<t@x>"), both(understand))
    (other,) = await siblings(shop, heard.case)
    assert other.pending.kind == "proof"
    links = {
        reply.case: next(word for word in reply.text.split() if "/confirm/" in word)
        for reply in heard.replies
        if "/confirm/" in reply.text
    }
    assert set(links) == {heard.case, other.id}

    async def press(case: str, department: str) -> Any:
        value = shop.signer.open("confirm", "shop", links[case].rsplit("/", 1)[1])
        challenge, of_case, number, _ = value.split("~")
        assert (of_case, number) == (case, (await shop.case(case)).number)
        contact = shop.contact(
            channel="link", sender=Party(kind="link", address=challenge), case_token=case,
            native={"request": "confirm", "challenge": challenge},
        )  # fmt: skip
        return await shop.hear(contact, understand(decision="person", department=department))

    answers = (await press(heard.case, "returns")).replies
    assert {reply.case for reply in answers} == {heard.case, other.id}
    assert {reply.to.address for reply in answers} == {GRETE.address}
    proposed = next(reply for reply in answers if reply.case == other.id)
    assert "49,90" in proposed.text
    assert (await shop.case(other.id)).proof == "confirmed"
    assert [refund for refund in await shop.refunds() if refund["case_id"] == other.id] == [], "nobody said yes to that"
    await press(other.id, "billing")
    (refunded,) = [refund for refund in await shop.refunds() if refund["case_id"] == other.id]
    assert refunded["reason"] == "duplicate"
    for case in (heard.case, other.id):
        await same_from_events(shop, case)


async def test_a_click_says_nothing_for_a_matter_of_somebody_else(shop: Any, understand: Any) -> None:
    """The other matter waits for the proof of another address by then: it goes on waiting."""
    heard = await shop.hear(shop.contact(TEXT, sender=GRETE, conversation="<t@x>"), both(understand))
    (other,) = await siblings(shop, heard.case)
    stranger = Party(kind="email", address="stranger@elsewhere.example")
    text = shop.contact("Und?", sender=stranger, conversation="<t@y>", case_token=other.id)
    await shop.hear(text, understand("", department="billing", decision="ask"))
    mine = next(reply.text for reply in heard.replies if reply.case == heard.case and "/confirm/" in reply.text)
    link = next(word for word in mine.split() if "/confirm/" in word)
    challenge = shop.signer.open("confirm", "shop", link.rsplit("/", 1)[1]).partition("~")[0]
    contact = shop.contact(
        channel="link", sender=Party(kind="link", address=challenge), case_token=heard.case,
        native={"request": "confirm", "challenge": challenge},
    )  # fmt: skip
    await shop.hear(contact, understand(decision="person", department="returns"))
    assert (await shop.case(heard.case)).proof == "confirmed"
    assert (await shop.case(other.id)).proof == "none"


async def test_a_mail_in_the_middle_about_something_else_is_a_case_of_its_own(shop: Any, understand: Any) -> None:
    asks = understand("order.status", department="support", entities={"order": "SO-10234"})
    heard = await shop.hear(shop.contact("Wo ist SO-10234?", sender=GRETE, conversation="<t@x>"), asks)
    before = (await shop.case(heard.case)).pending
    other = shop.contact("SO-10234 wurde doppelt abgebucht", sender=GRETE, conversation="<t@x>")
    more = await shop.hear(other, understand("billing.duplicate_charge", entities={"order": "SO-10234"}))
    (sibling,) = await siblings(shop, heard.case)
    assert more.reply.case == sibling.id
    state = await shop.case(heard.case)
    assert (state.procedure.name, state.pending) == ("order_status", before)
    assert sibling.procedure.name == "disputed_charge"
    assert [type(event) for event in await shop.timeline(heard.case)].count(events.Parted) == 1
    await same_from_events(shop, heard.case)


async def test_in_the_chat_another_department_is_followed_and_the_first_matter_comes_back(
    shop: Any, understand: Any
) -> None:
    asks = understand("billing.duplicate_charge", entities={"order": "SO-10234"})
    first = await shop.hear(chat(shop, "SO-10234 doppelt"), asks)
    hours = await shop.hear(chat(shop, "Wann habt ihr offen?"), understand("info.opening_hours", department="support"))
    assert "9 bis 19 Uhr" in hours.text
    assert "eine doppelte Abbuchung" in hours.text
    back = await shop.hear(chat(shop, "Ja"), understand("talk.yes", answer="yes"))
    assert back.case == first.case
    assert "Code" in back.text
    (sibling,) = await siblings(shop, first.case)
    assert sibling.status == CLOSED
    for case in (first.case, sibling.id):
        await same_from_events(shop, case)


async def test_in_the_chat_a_procedure_that_was_interrupted_goes_on_with_what_it_knew(
    shop: Any, understand: Any
) -> None:
    asks = understand("order.status", department="support", entities={"order": "SO-10234"})
    first = await shop.hear(chat(shop, "Wo ist SO-10234?"), asks)
    hours = await shop.hear(chat(shop, "Wann offen?"), understand("info.opening_hours", department="support"))
    assert hours.case == first.case
    assert "9 bis 19 Uhr" in hours.text
    assert "den Stand einer Bestellung" in hours.text
    assert [each.name for each in (await shop.case(first.case)).paused] == ["order_status"]
    back = await shop.hear(chat(shop, "Ja gern"), understand("talk.yes", department="support", answer="yes"))
    assert "Code" in back.text
    state = await shop.case(first.case)
    assert (state.paused, state.procedure.facts["order"]) == ((), "SO-10234")
    await same_from_events(shop, first.case)
