"""Manners on the telephone and in the chat, in three languages: nobody waits unheard, anger is met with calm."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import force_setattr

from adapters.chat.client import ChatClient
from adapters.phone.phrases import load_phrases
from adapters.phone.simulator import Keys, Say, Wait
from workers.packs import load

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(400)]

LIMIT_S = 60.0
PACK = load("shop")
GRETE, TOM = "grete.ohlsen@kunde.example", "tom.baker@customer.example"
HUMAN = {
    "de": "Ich möchte bitte mit einem Menschen sprechen",
    "nb": "Kan jeg få snakke med et menneske?",
    "en": "I would like to talk to a person please",
}
CALLERS = {"de": "+49305550171", "nb": "+4722550172", "en": "+442079460173"}
ELSE = {
    "de": ("Wann haben Sie samstags geöffnet?", "16 Uhr", "Ja, kann ich mit PayPal bezahlen?", "Nein danke"),
    "nb": ("Når har dere åpent på lørdag?", "16", "Ja, kan jeg betale med Vipps?", "Nei takk, det var alt"),
    "en": ("What are your opening hours on Saturday?", "4 pm", "Yes, can I pay with PayPal?", "No thanks, that's all"),
}  # fmt: skip


def when(event: Any) -> datetime:
    return datetime.fromisoformat(event["at"])


def said(answers: Any) -> str:
    return "\n".join(answer.data["text"] for answer in answers if "text" in answer.data)


def around(key: str, language: str, name: str) -> tuple[str, str]:
    """What a sentence of the pack says before and after a figure that a test does not know."""
    before, _, after = PACK.phrase(language, key, **{"number": "", "date": "", name: "|"}).partition("|")
    return before, after


class Left:
    """Visitors whom their representative has left waiting, since the beginning of the module."""

    def __init__(self) -> None:
        self.chats: dict[str, ChatClient] = {}
        self.cases: dict[str, str] = {}


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def left(company: Any) -> AsyncIterator[Left]:
    """Real time passes for them while the other stories are told."""
    left = Left()
    mina = await company.desk("Mina")
    async with AsyncExitStack() as stack:
        for language, words in HUMAN.items():
            left.chats[language] = await stack.enter_async_context(company.chat(language))
            await left.chats[language].say(words)
        for language, words in HUMAN.items():
            case = left.cases[language] = await company.case_of(words)
            await mina.do(f"cases/{case}/take")
            await mina.do(f"cases/{case}/hold", reason="order")
        yield left


async def test_who_hangs_up_in_the_queue_keeps_the_place_and_is_called_back(company: Any) -> None:
    number = "+442079460181"
    call = await company.call(number, [Say("I have a question about my invoice"), Keys("0"), Wait(70), Keys("1")], "en")
    assert call.ended == "hang-up"
    assert "call you back" in call.text
    case = await company.case_of("question about my invoice")
    assert (await company.event(case, "callback-asked"))["number"] == number
    ole = await company.desk("Ole")
    await ole.do("presence", state="ready")

    async def offered() -> Any:
        return next((offer for offer in (await ole.get("mine"))["offers"] if offer["case"] == case), None)

    offer = await company.soon(offered, "the offer of the call-back")
    assert (offer["lane"], offer["callback"]["number"]) == ("call", number)
    before, told = (made["promise"]["until"] for made in await company.staff.timeline(case, "promise-made"))
    assert (offer["callback"]["place"], offer["due"]) == (before, told), "the place of before, the time that was told"
    assert await ole.do(f"cases/{case}/offer/accept") == {"rings": False, "number": number}
    # Nobody picks up: a quarter of an hour later it is tried again, and somebody talks.
    await ole.do(f"cases/{case}/called", result="customer")
    missed = await company.event(case, "callback-missed", reason="customer")
    assert datetime.fromisoformat(missed["next_at"]) - when(missed) == timedelta(minutes=15)
    assert (await company.staff.case(case))["promises"], "still owed"
    await ole.do(f"cases/{case}/call")
    await ole.do(f"cases/{case}/called", result="talked")
    assert (await company.event(case, "callback-ended"))["how"] == "talked"
    assert (await company.staff.case(case))["promises"] == []
    assert len(await company.staff.timeline(case, "callback-tried")) == 2
    await ole.do("presence", state="away")


async def test_a_caller_on_hold_hears_apology_and_reason_within_a_minute_each_time(company: Any) -> None:
    async def one(language: str) -> None:
        call = await company.call(CALLERS[language], [Keys("0"), Wait(130)], language)
        phrases = load_phrases()[language]
        sorry = [
            line.at
            for line in call.heard
            if any(each.split("{reason}")[0] in line.say for each in phrases.hold)
            and phrases.reason["asked"] in line.say
            and line.say.endswith(phrases.choices)
        ]
        assert call.seconds >= 130
        moments = [0.0, *sorry, call.seconds]
        assert max(later - earlier for earlier, later in itertools.pairwise(moments)) <= LIMIT_S, call.text
        assert call.longest_gap_s <= 35, "and much sooner, when nothing goes wrong"

    await asyncio.gather(*(one(language) for language in CALLERS))
    rows = {row["name"]: row for row in await company.staff.queue()}
    for language, caller in CALLERS.items():
        row = rows[caller]
        assert (row["language"], row["status"]) == (language, "waiting-person")
        await company.event(row["id"], "received", request="ended")
        (promised,) = await company.staff.timeline(row["id"], "promise-made")
        assert promised["promise"]["what"] == "answer", "who has given up is not forgotten"


async def test_who_was_upset_and_angry_is_met_with_calm_and_calms_down(company: Any) -> None:
    async with company.chat("nb") as chat:
        upset = said(await chat.say("Jeg er ganske skuffet, pakken SO-10301 har fortsatt ikke kommet."))
        assert PACK.phrase("nb", "tone.upset") in upset
        angry = said(await chat.say("Dette er en skandale! Jeg er rasende, nå er det nok!"))
        assert angry.startswith(PACK.phrase("nb", "tone.angry")), angry
        case = await company.case_of("skandale")
        called = await company.event(case, "supervisor-called")
        assert called["reason"] == "angry", "it has risen twice"
        ida = await company.desk("Ida")
        (risky,) = [row for row in (await ida.get("supervisor"))["rows"] if row["id"] == case]
        assert {"angry", "supervisor"} <= {reason["word"] for reason in risky["reasons"]}
        await ida.do(f"cases/{case}/take-over")
        await ida.reply(case, "Hei, dette beklager jeg. Jeg finner ut av det med en gang.")
        await chat.tell("Takk, det var snilt av deg.")
        calm = await company.case_of("snilt av deg")
        assert calm == case
        await ida.reply(case, "Jeg sender deg en ny pakke i morgen.")

        async def heard() -> bool:
            return "ny pakke" in said(chat.events)

        await company.soon(heard, "the answer")
        # Nobody apologises again to somebody who is calm, and software does not talk into it.
        assert said(chat.events).count(PACK.phrase("nb", "tone.angry")) == 1
    understood = await company.staff.timeline(case, "understood")
    assert [event.get("tone", "calm") for event in understood] == ["upset", "angry", "calm"]
    assert len(await company.staff.timeline(case, "supervisor-called")) == 1
    (promised,) = [event for event in await company.staff.timeline(case, "promise-made") if event["actor"] == "Ida"]
    assert "ny pakke" in promised["promise"]["what"]


async def test_insults_in_a_chat_end_it_with_courtesy_and_the_matter_goes_on_in_writing(company: Any) -> None:
    async with company.chat("en") as chat:
        await chat.say("Where is my order SO-10388?")
        assert "delivered" in said(await chat.say(await company.code_for(TOM)))
        notice = said(await chat.say("You idiots, you charged me twice for SO-10388!"))
        assert notice.startswith(PACK.phrase("en", "tone.abusive")), notice
        end = said(await chat.say("You are a bunch of idiots"))
        before, after = around("protection.end", "en", "number")
        assert end.startswith(before)
        number = (await company.staff.case(await company.case_of("bunch of idiots")))["row"]["number"]
        assert number in end
        assert after.split()[-1] in end
    await _the_matter_goes_on(company, "bunch of idiots", "machine", "chat", TOM)


async def test_insults_on_the_phone_are_ended_by_the_person_and_the_matter_goes_on(company: Any) -> None:
    mina, code, ended = await company.desk("Mina"), Keys(""), list[str]()

    async def meanwhile(document: str) -> None:
        if "/said/2" in document and not code.digits:
            force_setattr(code, "digits", await company.code_for(GRETE) + "#")
        if "/key/" in document and not ended:
            # While the caller waits for a person.
            case = await company.case_of("Vollidioten")
            ended.append(case)
            await mina.do(f"cases/{case}/take")
            await mina.do(f"cases/{case}/end", reason="insults")
            goodbye = await company.event(case, "reply-planned", channel="phone", reply_kind="goodbye")
            await company.event(case, "reply-progress", reply=goodbye["reply"])

    turns = [Say("Wo bleibt meine Bestellung SO-10234?"), code, Say("Vollidioten seid ihr!"), Wait(90)]
    call = await company.call("+49305550101", turns, "de", meanwhile)
    assert call.ended == "hang-up"
    assert PACK.phrase("de", "tone.abusive") in call.text
    assert around("protection.end.spoken", "de", "number")[0].split("{")[0][:60] in call.heard[-1].say
    case = await _the_matter_goes_on(company, "Vollidioten", "Mina", "phone", GRETE)
    rest = await company.event(case, "break-offered")
    assert (rest["to"], rest["minutes"]) == ("Mina", PACK.policy.protection.break_minutes)


async def _the_matter_goes_on(company: Any, words: str, actor: str, channel: str, address: str) -> str:
    case = await company.case_of(words)
    ended = await company.event(case, "conversation-ended")
    assert (ended["actor"], ended["channel"], ended["reason"]) == (actor, channel, "insults")
    assert ended["follow_up"] == "email"
    await company.event(case, "warned")
    assert (await company.event(case, "supervisor-called"))["reason"] == "abuse"
    shown = await company.staff.case(case)
    assert shown["row"]["status"] == "waiting-person"
    assert [promise["what"] for promise in shown["promises"]] == ["answer"]

    async def written() -> Any:
        before, _ = around("protection.follow-up", shown["row"]["language"], "number")
        mails = [mail.text for mail in company.mailbox.sent_to(address)]
        return [text for text in mails if before in text and shown["row"]["number"] in text]

    assert len(await company.soon(written, "the follow-up in writing")) == 1
    return case


async def test_a_second_matter_after_anything_else_and_a_low_score_are_both_followed_up(company: Any) -> None:
    async def one(language: str) -> None:
        first, answer, second, no = ELSE[language]
        async with company.chat(language) as chat:
            opening = said(await chat.say(first))
            assert answer in opening
            assert opening.endswith(PACK.phrase(language, "anything-else.ask"))
            further = said(await chat.say(second))
            assert "PayPal" in further
            assert further.endswith(PACK.phrase(language, "anything-else.ask"))
            assert PACK.phrase(language, "satisfaction.ask") in said(await chat.say(no))
            case = await company.case_of(first)
            await company.event(case, "closed")
            sorry = said(await chat.say("1"))
            before, _ = around("satisfaction.sorry", language, "date")
            assert sorry.startswith(before), sorry
        told = await company.staff.timeline(case)
        assert [event["answer"] for event in told if event["kind"] == "anything-else-answered"] == ["yes", "no"]
        kinds = [event["kind"] for event in told]
        rated = kinds.index("rated")
        assert kinds.index("survey-asked") < rated
        assert told[rated]["score"] == 1
        assert {"reopened", "supervisor-called", "promise-made"} <= set(kinds[rated:])
        shown = await company.staff.case(case)
        assert (shown["satisfaction"], shown["row"]["status"]) == (1, "waiting-person")
        # By the end of the next working day, which is a Wednesday.
        assert [promise["until"][:10] for promise in shown["promises"]] == [
            (company.now() + timedelta(days=1)).date().isoformat()
        ]

    await asyncio.gather(*(one(language) for language in ELSE))


async def test_a_visitor_left_by_the_representative_hears_within_the_limit(company: Any, left: Left) -> None:
    for language, chat in left.chats.items():
        case = left.cases[language]
        returned = await company.event(case, "hold-returned")
        assert returned["reason"] == "order", "the true one, which the person chose"
        kinds = ("reply-planned", "hold-warned", "hold-returned", "supervisor-called")
        heard, warned, *_ = await company.staff.timeline(case, *kinds)
        assert (heard["kind"], warned["kind"]) == ("reply-planned", "hold-warned")
        assert 45 <= (when(warned) - when(heard)).total_seconds() < 55
        reason = PACK.phrase(language, "hold.reason.order")
        words = PACK.phrase(language, "hold.first", reason=reason)

        async def apology(chat: ChatClient = chat, words: str = words) -> Any:
            return next((event for event in chat.events if event.data.get("text") == words), None)

        shown = await company.soon(apology, "the apology in the window")
        before = chat.events[chat.events.index(shown) - 1]
        assert (when(shown.data) - when(before.data)).total_seconds() <= LIMIT_S
        assert (await company.event(case, "supervisor-called"))["reason"] == "hold"
        await (await company.desk("Mina")).reply(case, "OK")
        ended = await company.event(case, "hold-ended")
        assert (ended["how"], ended["returns"]) == ("answered", 1)
