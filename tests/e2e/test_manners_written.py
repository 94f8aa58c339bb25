"""Manners over days and channels, in three languages: promises, one number for all channels, praise, the end."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import force_setattr

from adapters.phone.simulator import Keys, Say
from adapters.post.samples import make_scan
from workers.packs import load

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

PACK = load("shop")
KARI, LARS = "kari.lunde@kunde.example", "lars.moen@kunde.example"
HUMAN = {
    "de": "Bei meiner Lieferung stimmt etwas nicht. Ich möchte bitte mit einem Menschen sprechen.",
    "nb": "Det er noe galt med leveransen. Kan jeg få snakke med et menneske?",
    "en": "Something is wrong with my delivery. Could I talk to a person please?",
}
BY_FRIDAY = {
    "de": "Guten Tag, ich melde mich bis Freitag bei Ihnen.",
    "nb": "Hei, jeg sender deg en ny pakke innen fredag.",
    "en": "Hello, I will send you a new parcel by Friday.",
}


async def write(company: Any, tools: Any, sender: str, text: str, *, subject: str = "...", answers: Any = None) -> None:
    await company.send(tools.mail(f"Kim <{sender}>", subject, text, answers=answers))


def around(key: str, language: str) -> tuple[str, ...]:
    """What a sentence of the pack says between the figures that a test does not know."""
    return tuple(PACK.phrase(language, key, number="|", date="|", until="|").split("|"))


async def test_from_a_letter_to_the_chat_to_the_phone_with_one_number(company: Any, tools: Any) -> None:
    scan = await asyncio.to_thread(
        make_scan,
        "Hei,\n\njeg viser til ordre SO-10301. Jeg ønsker å benytte meg av angreretten og går fra avtalen.\n\n"
        "Vennlig hilsen\nKari Lunde",
        language="nb", sender=("Kari Lunde", "Storgata 12", "0155 Oslo"), degrade="clean", fmt="pdf", seed=11,
    )  # fmt: skip
    company.drop("brev.pdf", scan)
    case = await company.case_of("angreretten")
    number = (await company.staff.case(case))["row"]["number"]

    async def letter() -> Any:
        return company.letters()

    await company.soon(letter, "a letter in the tray")
    # In the chat the number alone opens nothing; with the code it is the same case.
    async with company.chat("nb") as chat:
        for words in (f"Det gjelder saken min, {number}. Når får jeg pengene?", "SO-10301"):
            answers = await chat.say(words)
            assert number not in "".join(answer.data["text"] for answer in answers)
        assert [route["channel"] for route in (await company.staff.case(case))["routes"]] == ["post"]
        joined = await chat.say(await company.code_for(KARI))
        assert number in "".join(answer.data["text"] for answer in joined)
    # On the phone as well.
    code, mails = Keys(""), len(company.mailbox.sent_to(KARI))

    async def meanwhile(document: str) -> None:
        if "/said/2" in document and not code.digits:
            await company.mails_to(KARI, mails + 1)
            force_setattr(code, "digits", await company.code_for(KARI) + "#")

    turns = [Say(f"Det gjelder sak {' '.join(number)}. Når får jeg pengene?"), code]
    await company.call("+4722550102", turns, "nb", meanwhile)

    async def everywhere() -> bool:
        return {route["channel"] for route in (await company.staff.case(case))["routes"]} == {"post", "chat", "phone"}

    await company.soon(everywhere, "one case on three channels")
    said = [event["route"]["channel"] for event in await company.staff.timeline(case, "received")]
    assert {"post", "chat", "phone"} <= set(said)
    shown = await company.staff.case(case)
    assert shown["row"]["number"] == number
    assert {row["status"] for row in shown["others"]} <= {"closed"}, "the others went into this one"


async def test_insults_by_mail_are_answered_calmly_and_the_matter_is_worked_on(company: Any, tools: Any) -> None:
    claim = "Dere er noen idioter, dere har trukket meg to ganger for SO-10308!"
    await write(company, tools, LARS, claim)
    (first,) = await company.mails_to(LARS)
    assert PACK.phrase("nb", "tone.abusive") in first.text
    await write(company, tools, LARS, "Idioter!", answers=first)
    case = await company.case_of(claim, "Idioter!")
    assert await company.staff.timeline(case, "conversation-ended") == [], "nobody is cut off in writing"
    assert (await company.event(case, "supervisor-called"))["reason"] == "abuse"
    assert len(await company.staff.timeline(case, "warned")) == 1
    mina = await company.desk("Mina")
    await mina.reply(case, "Hei, det ene beløpet er betalt tilbake.")
    assert "betalt tilbake" in (await company.mails_to(LARS, len(company.mailbox.sent_to(LARS)) + 1))[-1].text
    assert (await company.staff.case(case))["promises"] == []


async def test_praise_reaches_the_person_and_the_manager_in_the_customers_words(company: Any, tools: Any) -> None:
    words = "Mina was brilliant, thank you so much for her help."
    sender = "praise@customer.example"
    await write(company, tools, sender, words)
    for colleague in ("mina@shop.example", "ida@shop.example"):
        (mail,) = await company.mails_to(colleague)
        assert words in mail.text
    (thanks,) = await company.mails_to(sender)
    assert PACK.phrase("en", "praise.thanks") in thanks.text
    given = await company.event(await company.case_of(words), "praise-given")
    assert (given["words"], given["names"]) == (words, ["Mina"])
    assert sorted(given["told"]) == ["Ida", "Mina"]
    assert not company.mailbox.sent_to("ole@shop.example")


async def test_nothing_is_closed_half_done_by_a_person_or_by_a_worker(company: Any, tools: Any) -> None:
    sender = "uten.svar@kunde.example"
    await write(company, tools, sender, HUMAN["nb"])
    await company.mails_to(sender)
    case = await company.case_of(HUMAN["nb"])
    mina = await company.desk("Mina")

    async def missing(outcome: str = "solved") -> Any:
        status, answer = await mina.try_to(f"cases/{case}/close", outcome=outcome)
        assert (status, answer["error"]) == (422, "missing"), answer
        return answer["missing"]

    assert await missing("") == ["outcome", "anything-else", "promise"]
    assert await missing() == ["anything-else", "promise"]
    # The answer does not arrive, and promises something.
    company.mailbox.script = lambda stage, to: "550 5.1.1 unknown" if stage == "rcpt" and to == sender else None
    await mina.reply(case, f"{BY_FRIDAY['nb']} Er det noe annet?", anything_else=True)
    await company.event(case, "reply-progress", state="failed")
    company.mailbox.script = None
    assert await missing() == ["answer", "promise", "reply"]
    await mina.reply(case, "Hei igjen, kom dette fram?", anything_else=True)
    mails = await company.mails_to(sender, 2)

    async def arrived() -> bool:
        return await missing() == ["answer", "promise"]

    await company.soon(arrived, "the reply at its channel")
    # The customer says that this was all. What is still promised keeps the case open for the worker as well, and
    # nobody is asked how satisfied he is before the end.
    await write(company, tools, sender, "Takk, det ordnet seg. Det var alt.", answers=mails[-1])
    await company.event(case, "anything-else-answered", answer="no")
    bye = (await company.mails_to(sender, 3))[-1]
    assert PACK.phrase("nb", "satisfaction.ask-letter") not in bye.text
    assert await missing() == ["promise"]
    (promise,) = (await mina.case(case))["promises"]
    await mina.do(f"cases/{case}/kept", promise=promise["id"])
    await mina.do(f"cases/{case}/close", outcome="solved")
    assert (await mina.case(case))["row"]["status"] == "closed"
    assert PACK.phrase("nb", "satisfaction.ask-letter") in (await company.mails_to(sender, 4))[-1].text


async def test_a_promise_by_friday_is_kept_or_owned_up_to(company: Any, tools: Any) -> None:
    friday = (company.now().astimezone(ZoneInfo("Europe/Berlin")) + timedelta(days=3)).replace(
        hour=18, minute=0, second=0, microsecond=0
    )
    today, senders, cases = company.now().date(), dict[str, str](), dict[str, str]()
    for language, words in HUMAN.items():
        senders[language] = f"friday.{language}@kunde.example"
        await write(company, tools, senders[language], words, subject=f"Kim {language}")
    for language, sender in senders.items():
        await company.mails_to(sender)
        row = next(row for row in await company.staff.queue() if row["subject"] == f"Kim {language}")
        case = cases[language] = row["id"]
        desk = await company.desk("Ole" if language == "en" else "Mina")
        await desk.reply(case, BY_FRIDAY[language])
        assert BY_FRIDAY[language] in (await company.mails_to(sender, 2))[-1].text
        (promise,) = (await desk.case(case))["promises"]
        assert (promise["what"], promise["by"]) == (BY_FRIDAY[language], "Ole" if language == "en" else "Mina")
        assert datetime.fromisoformat(promise["until"]) == friday
    await (await company.desk("Ole")).do(f"cases/{cases['en']}/kept", promise=promise["id"])

    await company.pass_time(timedelta(days=4))
    for language in ("de", "nb"):
        broken = await company.event(cases[language], "promise-broken")
        assert (broken["what"], broken["told"]) == (BY_FRIDAY[language], "email")
        apology = (await company.mails_to(senders[language], 3))[-1].text
        assert all(part in apology for part in around("promise.broken.other", language)), apology
        assert await company.event(cases[language], "supervisor-called", reason="promise")
        (promise,) = (await company.staff.case(cases[language]))["promises"]
        assert datetime.fromisoformat(promise["until"]) == friday + timedelta(days=2, hours=18), "Monday noon"
        assert promise["broke"]
    assert await company.staff.timeline(cases["en"], "promise-broken") == []
    assert len(company.mailbox.sent_to(senders["en"])) == 2
    counted = await company.staff.get(f"reports?since={today}&until={today + timedelta(days=5)}&by=operator")
    figures = {row["of"]["operator"]: row["figures"] for row in counted["rows"]}
    assert figures["Ole"]["promises_kept_percent"] == 100.0
    assert round(figures["Mina"]["promises"] * (1 - figures["Mina"]["promises_kept_percent"] / 100)) == 2
