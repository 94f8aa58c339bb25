"""A disputed charge from the first word to the closed case, on mail, chat and phone."""

from typing import Any

from bus.log.port import StoredRecord
from bus.message import Party, encode
from workers.case.events import Acted
from workers.case.model import CLOSED
from workers.case.work import WorkItem
from workers.dialogue.proof import token_value

GRETE = Party(kind="email", address="grete.ohlsen@kunde.example", name="Grete Ohlsen")
TOM = Party(kind="chat", address="session-tom")


def link_in(text: str) -> str:
    return next(word for word in text.split() if word.startswith("http://shop.test/confirm/"))


async def confirm(shop: Any, understand: Any, heard: Any) -> Any:
    """The customer opens the link and presses the button."""
    token = link_in(heard.text).rsplit("/", 1)[1]
    value = shop.signer.open("confirm", "shop", token)
    challenge, case, number, yes = value.split("~")
    assert value == token_value(challenge, case, number, yes=bool(yes))
    assert number == (await shop.case(case)).number
    contact = shop.contact(
        channel="link", sender=Party(kind="link", address=challenge), case_token=case,
        native={"request": "confirm", "challenge": challenge},
    )  # fmt: skip
    return await shop.hear(contact, understand(decision="person", department="billing"))


async def test_duplicate_charge_by_mail(shop: Any, understand: Any) -> None:
    first = shop.contact(
        "Auf meinem Kontoauszug taucht Ihre Bestellung SO-10234 gleich zweimal auf.", sender=GRETE,
        conversation="<m1@example>", subject="Doppelt abgebucht",
    )  # fmt: skip
    heard = await shop.hear(first, understand("billing.duplicate_charge", entities={"order": "SO-10234"}))
    assert heard.link == "new"
    assert heard.reply.to.address == GRETE.address
    assert "digitale Assistent" in heard.text
    assert "49,90" not in heard.text
    assert await shop.refunds() == []

    confirmed = await confirm(shop, understand, heard)
    assert confirmed.case == heard.case
    assert confirmed.reply.channel == "email"
    assert confirmed.reply.in_reply_to == "<m1@example>"
    assert "49,90\u00a0€" in confirmed.text
    assert "5. Januar 2026" in confirmed.text
    assert "Kann ich sonst noch etwas für Sie tun?" in confirmed.text
    (refunded,) = await shop.refunds()
    assert (refunded["amount"], refunded["currency"], refunded["reason"]) == (4990, "EUR", "duplicate")
    assert refunded["charge_id"] == "CH-10234-2"

    thanks = shop.contact("Nein, danke!", sender=GRETE, case_token=heard.case, conversation="<m3@example>")
    bye = await shop.hear(thanks, understand("talk.thanks_done", answer="no", done=True))
    assert bye.link == "token"
    assert bye.reply.kind == "survey"
    assert (await shop.case(heard.case)).status == CLOSED
    acted = [event for event in await shop.timeline(heard.case) if isinstance(event, Acted)]
    assert [(event.action, event.amount) for event in acted] == [("refund", 4990)]
    assert acted[0].rules == ("charge.duplicate",)


async def test_a_link_works_once(shop: Any, understand: Any) -> None:
    first = shop.contact("Doppelt abgebucht: SO-10234", sender=GRETE, conversation="<m1@example>")
    heard = await shop.hear(first, understand("billing.duplicate_charge", entities={"order": "SO-10234"}))
    await confirm(shop, understand, heard)
    again = await confirm(shop, understand, heard)
    assert again.replies == []
    assert len(await shop.refunds()) == 1


async def test_asking_again_gets_a_kind_answer_and_no_second_refund(shop: Any, understand: Any) -> None:
    for _ in range(2):
        mail = shop.contact("SO-10234 wurde doppelt abgebucht", sender=GRETE)
        heard = await shop.hear(mail, understand("billing.duplicate_charge", entities={"order": "SO-10234"}))
        answer = await confirm(shop, understand, heard)
    assert "schon erledigt" in answer.text
    assert len(await shop.refunds()) == 1


async def chat(shop: Any, understand: Any, text: str, meaning: Any, **more: Any) -> Any:
    contact = shop.contact(text, channel="chat", sender=TOM, conversation="session-tom", **more)
    return await shop.hear(contact, meaning)


async def test_wrong_price_in_chat_needs_code_and_yes(shop: Any, understand: Any) -> None:
    def mean(intent: str = "", **more: Any) -> Any:
        return understand(intent, language="en", **more)

    first = await chat(
        shop, understand, "The till charged me more than the shelf said, receipt R-77120",
        mean("billing.wrong_price", entities={"receipt": "R-77120"}),
    )  # fmt: skip
    assert {reply.channel for reply in first.replies} == {"chat", "email"}
    chat_reply = next(reply for reply in first.replies if reply.channel == "chat")
    assert "tom.baker" not in chat_reply.text
    assert "5.00" not in chat_reply.text
    assert chat_reply.listen
    mail = next(reply for reply in first.replies if reply.channel == "email")
    assert mail.to.address == "tom.baker@customer.example"
    assert "/confirm/" not in mail.text

    code = shop.code_sent_to("tom.baker@customer.example")
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    refused = await chat(shop, understand, wrong, mean(decision="ask"))
    assert "5.00" not in refused.text

    proposed = await chat(shop, understand, f"it is {code[:3]} {code[3:]}", mean(decision="ask"))
    assert "£5.00" in proposed.text
    assert "card ending in 9033" in proposed.text
    assert await shop.refunds() == []

    unsure = await chat(shop, understand, "hmm", mean(decision="ask"))
    assert "yes or no" in unsure.text
    done = await chat(shop, understand, "yes please", mean("talk.yes", answer="yes"))
    assert "£5.00" in done.text
    assert "Is there anything else I can do for you?" in done.text
    (refunded,) = await shop.refunds()
    assert (refunded["amount"], refunded["reason"], refunded["charge_id"]) == (500, "price_difference", "CH-10388-1")

    bye = await chat(shop, understand, "no thanks", mean("talk.thanks_done", answer="no", done=True))
    assert bye.reply.kind == "survey"
    assert (await shop.case(first.case)).status == CLOSED


async def test_no_means_no(shop: Any, understand: Any) -> None:
    def mean(intent: str = "", **more: Any) -> Any:
        return understand(intent, language="en", **more)

    meaning = mean("billing.wrong_price", entities={"order": "SO-10388"})
    await chat(shop, understand, "Wrong price, SO-10388", meaning)
    code = shop.code_sent_to("tom.baker@customer.example")
    await chat(shop, understand, code, mean(decision="ask"))
    answer = await chat(shop, understand, "no", mean("talk.no", answer="no"))
    assert "leave everything as it is" in answer.text
    assert await shop.refunds() == []


async def test_too_many_wrong_codes_go_to_a_person(shop: Any, understand: Any) -> None:
    meaning = understand("billing.wrong_price", language="en", entities={"order": "SO-10388"})
    first = await chat(shop, understand, "Wrong price, SO-10388", meaning)
    code = shop.code_sent_to("tom.baker@customer.example")
    for step in range(3):
        wrong = f"{(int(code) + 1 + step) % 10**6:06d}"
        answer = await chat(shop, understand, wrong, understand(language="en", decision="ask"))
    assert any(reply.handover for reply in answer.replies)
    assert (await shop.case(first.case)).with_person
    late = await chat(shop, understand, code, understand(language="en", decision="ask"))
    assert late.replies == []
    assert (await shop.case(first.case)).proof == "none"


async def test_a_code_runs_out(shop: Any, understand: Any) -> None:
    meaning = understand("billing.wrong_price", language="en", entities={"order": "SO-10388"})
    first = await chat(shop, understand, "Wrong price, SO-10388", meaning)
    code = shop.code_sent_to("tom.baker@customer.example")
    shop.clock.advance(16 * 60)
    await chat(shop, understand, code, understand(language="en", decision="ask"))
    assert (await shop.case(first.case)).proof == "none"


async def test_two_cases_of_one_order_at_the_same_moment_pay_once(shop: Any, understand: Any) -> None:
    """Both are decided before either is applied: the guard lets one through, the other is decided again."""
    works = []
    for session in ("one", "two"):
        visitor = Party(kind="chat", address=session)

        def words(text: str, visitor: Any = visitor) -> Any:
            return shop.contact(text, channel="chat", sender=visitor, conversation=visitor.address)

        meaning = understand("billing.wrong_price", language="en", entities={"order": "SO-10388"})
        await shop.hear(words("Wrong price on SO-10388"), meaning)
        code = shop.code_sent_to("tom.baker@customer.example")
        proposed = await shop.hear(words(code), understand(language="en", decision="ask"))
        assert "£5.00" in proposed.text
        works.append((proposed, words("yes")))
    yes = understand("talk.yes", language="en", answer="yes")
    items = [
        WorkItem(contact=contact, case=proposed.case, person=proposed.item.person, understanding=yes)
        for proposed, contact in works
    ]
    records = [stored(item) for item in items]
    worker = shop.workers["billing"]
    await worker.prepare(records)
    outcomes = [await worker.handle(record) for record in records]
    results = [await shop.apply(outcome) for outcome in outcomes]
    assert sorted(result.applied for result in results) == [False, True]
    assert {result.reason for result in results if not result.applied} == {"conflict"}
    loser = next(item for item, result in zip(items, results, strict=True) if not result.applied)
    (answer,) = await shop.work(loser)
    assert "has been done already" in answer.text
    assert len(await shop.refunds()) == 1


def stored(item: WorkItem) -> StoredRecord:
    return StoredRecord(
        topic="work.billing.live", partition=0, offset=1, at=0, key=item.case, value=encode(item), id=item.case,
        headers={},
    )  # fmt: skip
