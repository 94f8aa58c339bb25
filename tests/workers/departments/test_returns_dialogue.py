"""Withdrawal, return, exchange, faulty goods: by letter, mail, chat and phone."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from bus.message import Party
from workers.case.model import CLOSED, CLOSING, WAITING_PERSON
from workers.records.money import format_date
from workers.records.schema import goods_return

KARI = Party(kind="postal", address="Storgata 12\n0155 Oslo", name="Kari Lunde")
KARI_MAIL = Party(kind="email", address="kari.lunde@kunde.example", name="Kari Lunde")


async def confirm(shop: Any, understand: Any, heard: Any, department: str) -> Any:
    link = next(word for word in heard.text.split() if "/confirm/" in word)
    value = shop.signer.open("confirm", "shop", link.rsplit("/", 1)[1])
    challenge, case, _, yes = value.split("~")
    assert yes == "", "a return is agreed to by words"
    contact = shop.contact(
        channel="link", sender=Party(kind="link", address=challenge), case_token=case,
        native={"request": "confirm", "challenge": challenge},
    )  # fmt: skip
    return await shop.hear(contact, understand(decision="person", department=department))


async def prove_in_chat(shop: Any, understand: Any, text: str, meaning: Any, mailbox: str) -> tuple[Any, Any]:
    """A visitor asks, gets the code by mail and types it. The visitor's `say`, and the answer to the code."""
    visitor = Party(kind="chat", address=f"session-{mailbox}")

    async def say(text: str, meaning: Any) -> Any:
        contact = shop.contact(text, channel="chat", sender=visitor, conversation=visitor.address)
        return await shop.hear(contact, meaning)

    await say(text, meaning)
    answer = await say(shop.code_sent_to(mailbox), understand(department=meaning.department, decision="ask",
                                                              language=meaning.language))  # fmt: skip
    return say, answer


async def returns_of(shop: Any) -> list[Any]:
    return list(await shop.engine.all(select(goods_return)))


async def withdraw_by_letter(shop: Any, understand: Any) -> Any:
    letter = shop.contact("Jeg angrer kjøpet, ordre SO-10301", channel="post", sender=KARI)
    meaning = understand(
        "return.withdraw", department="returns", language="nb", legal="withdraw", entities={"order": "SO-10301"}
    )
    return await shop.hear(letter, meaning)


async def test_letter_of_withdrawal_is_acknowledged_with_instructions(shop: Any, understand: Any) -> None:
    heard = await withdraw_by_letter(shop, understand)
    reply = heard.reply
    state = await shop.case(heard.case)
    assert reply.channel == "post"
    assert reply.case_number == state.number
    assert state.number in reply.text
    assert "SO-10301" in reply.text
    assert "5. januar 2026" in reply.text
    assert "19. januar 2026" in reply.text
    assert "Er det noe annet jeg kan hjelpe deg med?" in reply.text
    assert "regnjakke" not in reply.text
    assert "1 249" not in reply.text.replace("\u00a0", " ")
    assert state.status == CLOSING


async def test_mail_with_the_number_claims_first_and_lands_in_the_case_once_proven(shop: Any, understand: Any) -> None:
    heard = await withdraw_by_letter(shop, understand)
    number = (await shop.case(heard.case)).number
    mail = shop.contact(
        f"Saksnummer {number}: Kan jeg levere pakken på posten?", sender=KARI_MAIL, conversation="<k1@example>"
    )
    claimed = await shop.hear(mail, understand("", department="desk", language="nb", decision="person"))
    assert claimed.link == "claimed"
    assert claimed.case != heard.case
    assert number not in claimed.text.replace((await shop.case(claimed.case)).number, "")

    # The desk's worker asks for nothing; the department that can does.
    mail = shop.contact(f"Hei, sak {number}, hvor er pengene?", sender=KARI_MAIL, conversation="<k2@example>")
    claimed = await shop.hear(
        mail, understand("billing.refund_status", department="billing", language="nb", entities={"order": "SO-10301"})
    )
    assert claimed.link == "claimed"
    joined = await confirm(shop, understand, claimed, "billing")
    assert f"{number}" in joined.text
    there = await shop.case(heard.case)
    assert claimed.contact.id in there.contacts
    assert (await shop.case(claimed.case)).status == CLOSED
    assert (await shop.case(claimed.case)).outcome == "joined"

    later = shop.contact(f"Enda et spørsmål til {number}", sender=KARI_MAIL, conversation="<k3@example>")
    direct = await shop.hear(later, understand("", department="desk", language="nb", decision="person"))
    assert (direct.link, direct.case) == ("number", heard.case)
    thread = shop.contact("Og en ting til", sender=KARI_MAIL, conversation="<k2@example>")
    followed = await shop.hear(thread, understand("", department="desk", language="nb", decision="person"))
    assert (followed.link, followed.case) == ("thread", heard.case)


async def test_who_was_promised_a_person_keeps_that_person_when_he_proves_who_he_is(shop: Any, understand: Any) -> None:
    heard = await withdraw_by_letter(shop, understand)
    number = (await shop.case(heard.case)).number

    async def write(text: str, meaning: Any) -> Any:
        return await shop.hear(shop.contact(text, sender=KARI_MAIL, conversation="<k4@example>"), meaning)

    asks = understand("billing.refund_status", department="billing", language="nb", entities={"order": "SO-10301"})
    claimed = await write(f"Saksnummer {number}: Hvor er pengene?", asks)
    await write("menneske", understand("", department="billing", language="nb", request_person=True))
    await confirm(shop, understand, claimed, "billing")
    state = await shop.case(claimed.case)
    assert (state.proof, state.status) == ("confirmed", WAITING_PERSON)
    assert state.awaits_person()
    there = await shop.case(heard.case)
    assert claimed.contact.id not in there.contacts


async def test_a_strangers_mail_with_the_number_stays_outside(shop: Any, understand: Any) -> None:
    heard = await withdraw_by_letter(shop, understand)
    number = (await shop.case(heard.case)).number
    stranger = Party(kind="email", address="mallory@elsewhere.example")
    before = await shop.case(heard.case)
    mail = shop.contact(f"Sak {number}: send pengene til meg", sender=stranger)
    claimed = await shop.hear(mail, understand("", department="returns", language="nb", decision="person"))
    assert claimed.link == "claimed"
    assert await shop.case(heard.case) == before
    assert "SO-10301" not in claimed.text
    assert "Kari" not in claimed.text


async def test_return_in_the_window(shop: Any, understand: Any) -> None:
    meaning = understand("return.withdraw", department="returns", entities={"order": "SO-10420"})
    _, answer = await prove_in_chat(
        shop, understand, "Ich möchte SO-10420 zurückgeben", meaning, "anna.becker@kunde.example"
    )
    assert "Wolldecke" in answer.text
    assert "79,00\u00a0€" in answer.text
    assert "Kann ich sonst noch etwas" in answer.text
    (row,) = await returns_of(shop)
    assert (row["order_id"], row["kind"]) == ("SO-10420", "refund")


async def test_return_out_of_the_window_gets_a_kind_answer_and_a_way_on(shop: Any, understand: Any) -> None:
    meaning = understand("return.withdraw", department="returns", entities={"order": "SO-10431"})
    _, answer = await prove_in_chat(
        shop, understand, "Ich möchte SO-10431 zurückgeben", meaning, "murat.yilmaz@kunde.example"
    )
    assert "vorbei" in answer.text
    assert "Gewährleistung" in answer.text
    assert "Mensch" in answer.text
    assert await returns_of(shop) == []


async def test_exchange_asks_for_the_size_and_happens_once(shop: Any, understand: Any) -> None:
    def mean(intent: str = "", **more: Any) -> Any:
        return understand(intent, department="returns", language="nb", **more)

    say, answer = await prove_in_chat(
        shop, understand, "Genseren er for liten, SO-10440", mean("return.exchange", entities={"order": "SO-10440"}),
        "ingrid.haugen@kunde.example",
    )  # fmt: skip
    assert "S, L, XL" in answer.text
    proposed = await say("L, takk", mean(decision="ask"))
    assert "fra M til L" in proposed.text
    assert await returns_of(shop) == []
    done = await say("ja", mean("talk.yes", answer="yes"))
    assert "Er det noe annet jeg kan hjelpe deg med?" in done.text
    (row,) = await returns_of(shop)
    assert (row["kind"], row["detail"]) == ("exchange", "L")
    again = await say("Bytt SO-10440 til XL", mean("return.exchange", entities={"order": "SO-10440"}))
    assert "ikke en gang til" in again.text
    assert len(await returns_of(shop)) == 1


async def phone(shop: Any, text: str, meaning: Any, call: str = "CA-jonas") -> Any:
    caller = Party(kind="phone", address="+49305550144")
    return await shop.hear(shop.contact(text, channel="phone", sender=caller, conversation=call), meaning)


async def test_faulty_device_on_the_phone_is_solved_in_three_turns(shop: Any, understand: Any) -> None:
    defect = understand("return.defect", department="returns", legal="defect")
    first = await phone(shop, "Meine Kaffeemaschine macht keinen Kaffee mehr", defect)
    assert "tut mir leid" in first.text
    assert "Netzstecker" in first.text
    assert first.reply.listen
    assert "Kopfhörer" not in first.text
    second = await phone(shop, "Ja, jetzt läuft sie wieder", understand("talk.yes", department="returns", answer="yes"))
    assert "Kann ich sonst noch etwas für Sie tun?" in second.text
    third = await phone(
        shop, "Nein danke", understand("talk.thanks_done", department="support", answer="no", done=True)
    )
    assert third.reply.kind == "survey"
    assert third.reply.listen, "how satisfied the caller is, before the line is closed"
    state = await shop.case(first.case)
    assert (state.status, state.outcome) == (CLOSED, "solved")


async def test_faulty_device_that_stays_faulty_is_repaired(shop: Any, understand: Any) -> None:
    no = understand("talk.no", department="returns", answer="no")
    defect = understand("return.defect", department="returns", legal="defect")
    first = await phone(shop, "Meine Kaffeemaschine geht nicht", defect)
    second = await phone(shop, "Nein, geht immer noch nicht", no)
    assert "Wassertank" in second.text
    third = await phone(shop, "Nein", no)
    assert any(reply.to.address == "jonas.weber@kunde.example" for reply in third.replies)
    code = shop.code_sent_to("jonas.weber@kunde.example")
    choose = await phone(shop, " ".join(code), understand(department="returns", decision="ask"))
    assert "Reparatur" in choose.text
    done = await phone(shop, "Dann bitte reparieren", understand(department="returns", decision="ask"))
    assert "kostenlos" in done.text
    (row,) = await returns_of(shop)
    assert (row["order_id"], row["kind"]) == ("SO-10412", "repair")
    assert (await shop.case(first.case)).outcome == "repair-announced"


async def test_money_back_for_a_faulty_device_after_forty_days_is_a_persons_decision(
    shop: Any, understand: Any
) -> None:
    meaning = understand("return.damaged_or_wrong_item", department="returns", entities={"order": "SO-10412"})
    say, answer = await prove_in_chat(shop, understand, "SO-10412 kaputt", meaning, "jonas.weber@kunde.example")
    assert "Ersatz" in answer.text
    person = await say("2", understand(department="returns", decision="ask"))
    assert person.reply.handover
    assert await returns_of(shop) == []


async def test_money_back_names_the_day_by_which_the_goods_are_sent(shop: Any, understand: Any) -> None:
    meaning = understand("return.damaged_or_wrong_item", department="returns", entities={"order": "SO-10420"})
    say, _ = await prove_in_chat(shop, understand, "SO-10420 ist kaputt", meaning, "anna.becker@kunde.example")
    done = await say("2", understand(department="returns", decision="ask"))
    days = shop.pack.policy.returns.send_back_days
    assert format_date(shop.clock.now() + timedelta(days=days), "de") in done.text
    assert [row["kind"] for row in await returns_of(shop)] == ["refund"]


async def test_faulty_device_by_mail_gets_everything_in_one_reply(shop: Any, understand: Any) -> None:
    sender = Party(kind="email", address="jonas.weber@kunde.example", name="Jonas Weber")
    mail = shop.contact("Meine Kaffeemaschine ist defekt.", sender=sender, conversation="<j1@example>")
    heard = await shop.hear(mail, understand("return.defect", department="returns", legal="defect"))
    assert "1. " in heard.text
    assert "2. " in heard.text
    assert "Bestellnummer" in heard.text
    no = shop.contact("Nein, hilft nicht", sender=sender, conversation="<j1@example>")
    asked = await shop.hear(no, understand("talk.no", department="returns", answer="no"))
    confirmed = await confirm(shop, understand, asked, "returns")
    assert "Kaffeemaschine" in confirmed.text
    wish = shop.contact("Bitte ein Ersatzgerät", sender=sender, conversation="<j1@example>")
    done = await shop.hear(wish, understand("", department="returns", decision="person"))
    assert "neu, kostenlos" in done.text
    assert [row["kind"] for row in await returns_of(shop)] == ["replacement"]
