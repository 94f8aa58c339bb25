"""E-mail through the real SMTP door to the real mailbox of the customer."""

import asyncio
import re
from typing import Any

import aiohttp

GRETE = "grete.ohlsen@kunde.example"


async def confirm(text: str) -> None:
    """Open the confirmation link of a mail as a browser would, and press its button."""
    link = re.search(r"http://\S+/confirm/\S+", text)
    assert link is not None, text
    async with aiohttp.ClientSession() as browser:
        page = await browser.get(link[0])
        assert page.status == 200
        pressed = await browser.post(link[0])
        assert pressed.status == 200


async def refunds(product: Any) -> list[dict[str, Any]]:
    """Everything that was paid back."""
    return [
        event
        for case in await product.cases()
        for event in await product.timeline(case["id"])
        if event["kind"] == "acted" and "refund" in str(event)
    ]


async def test_a_double_charge_is_confirmed_refunded_once_and_closed(product: Any, tools: Any) -> None:
    await product.send(
        tools.mail(
            f"Grete Ohlsen <{GRETE}>",
            "Komische Abrechnung",
            "Moin,\n\nbeim Durchsehen meiner Kreditkartenübersicht ist mir aufgefallen, dass ihr den Einkauf "
            "SO-10234 zwei Mal eingezogen habt. Das kann ja nicht stimmen, einmal reicht mir völlig.\n\n"
            "Viele Grüße\nGrete Ohlsen",
        )
    )
    (first,) = await product.mails_to(GRETE)
    assert "49,90" not in first.text, "nothing is read out before proof"
    await confirm(first.text)

    _, second = await product.mails_to(GRETE, 2)
    assert "49,90" in second.text
    if not await refunds(product):
        await product.send(tools.mail(f"Grete Ohlsen <{GRETE}>", "Re: " + second.subject, "Ja, bitte.", answers=second))
        *_, second = await product.mails_to(GRETE, 3)
    assert "Kann ich sonst noch etwas für Sie tun" in second.text
    assert re.search(r"49,90\s*€", second.text)
    assert re.search(r"\d{1,2}\.\s?(\d{1,2}\.|\w+)\s?\d{4}|\d{1,2}\. \w+", second.text), "a date is named"
    assert len(await refunds(product)) == 1

    await product.send(tools.mail(f"Grete Ohlsen <{GRETE}>", "Re: " + second.subject, "Nein, danke!", answers=second))

    async def closed() -> bool:
        return all(case["status"] == "closed" for case in await product.cases())

    await tools.eventually(closed, 30, "the case to be closed")
    cases = await product.cases()
    assert len(cases) == 1
    assert cases[0]["language"] == "de"
    assert len(await refunds(product)) == 1
    mails = product.mailbox.sent_to(GRETE)
    assert all(mail.references or mail is mails[0] for mail in mails[1:]), "one thread"


async def test_a_stranger_with_someone_elses_order_number_learns_and_gets_nothing(product: Any, tools: Any) -> None:
    stranger = "fremder@anderswo.example"
    await product.send(
        tools.mail(
            f"Fremder <{stranger}>",
            "Bestellung SO-10234",
            "Guten Tag, die Bestellung SO-10234 wurde doppelt abgebucht, bitte überweisen Sie mir das Geld zurück.",
        )
    )
    (answer,) = await product.mails_to(stranger)
    for secret in ("49,90", "Grete", "Ohlsen", GRETE, "Lindenweg"):
        assert secret not in answer.text
    assert await refunds(product) == []


async def test_the_same_mail_three_times_is_one_contact_and_one_answer(product: Any, tools: Any) -> None:
    mail = tools.mail("Grete Ohlsen <grete.ohlsen@kunde.example>", "Frage", "Wo bleibt meine Bestellung SO-10234?")
    for _ in range(3):
        await product.send(mail)
    await product.mails_to(GRETE)
    # A different question afterwards: when it is answered, a second answer to the first would have come too.
    await product.send(
        tools.mail("Jonas Weber <jonas.weber@kunde.example>", "Frage", "Wann haben Sie samstags geöffnet?")
    )
    await product.mails_to("jonas.weber@kunde.example")
    assert len(product.mailbox.sent_to(GRETE)) == 1
    contacts = await product.cli("contacts", "list")
    assert len(contacts) == 2


async def test_automatic_mail_and_poison_are_kept_and_not_answered_while_others_go_on(product: Any, tools: Any) -> None:
    away = tools.mail("Bot <bot@kunde.example>", "Automatische Antwort", "Ich bin bis Montag nicht im Haus.")
    away["Auto-Submitted"] = "auto-replied"
    await product.send(away)
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(2000))
    await product.send(
        b"From: Gift <gift@kunde.example>\r\nTo: hilfe@shop.example\r\nSubject: =?utf-8?q?=FF=FE?=\r\n"
        b"Message-ID: <poison@kunde.example>\r\n" + nested,
        sender="gift@kunde.example",
    )
    await product.send(
        tools.mail("Grete Ohlsen <grete.ohlsen@kunde.example>", "Frage", "Wo bleibt meine Bestellung SO-10234?")
    )
    await product.mails_to(GRETE)
    contacts = {contact["sender"]["address"]: contact for contact in await product.cli("contacts", "list")}
    assert contacts["bot@kunde.example"]["automatic"] is True
    assert contacts["gift@kunde.example"]["quality"]["status"] in ("degraded", "unreadable")
    assert product.mailbox.sent_to("bot@kunde.example") == ()

    automatic = [case for case in await product.cases() if case["outcome"] == "automatic"]
    assert [case["status"] for case in automatic] == ["closed"], "nothing is left open that nobody asked for"

    async def poison_has_a_case() -> bool:
        return any(case["status"] == "waiting-person" for case in await product.cases())

    await tools.eventually(poison_has_a_case, 20, "a case at the desk for the poison mail")


async def test_the_product_says_what_is_missing_without_a_relay(product: Any) -> None:
    """With the relay gone, replies wait and readiness says so; when it is back they go out."""
    address = product.mailbox.address
    await product.mailbox.close()

    async def not_ready() -> bool:
        async with aiohttp.ClientSession() as http, http.get(product.url + "/readyz") as answer:
            return answer.status == 503 and "email" in (await answer.json())["missing"]

    async with asyncio.timeout(30):
        while not await not_ready():
            await asyncio.sleep(0.2)
    assert address[1] > 0
