"""Chat through the real socket."""

import re
from typing import Any

import aiohttp

from adapters.chat.client import ChatClient

TOM = "tom.baker@customer.example"


async def test_a_wrong_price_is_refunded_though_the_line_is_cut_in_between(product: Any) -> None:
    async with ChatClient(product.url, "en") as chat:
        answers = await chat.say("Your till took £24.99 for my order SO-10388 but the label on the shelf said £19.99!")
        assert answers, "an answer at once"
        opening = answers[0].data["text"]
        assert re.search(r"automat|machine|assistant", opening, re.IGNORECASE), opening
        assert "person" in opening.lower()
        token, cursor = chat.token, chat.cursor
        seen = [event.id for event in chat.events]
    mails = await product.mails_to(TOM)
    code = re.search(r"\b\d{6}\b", mails[0].text)
    assert code is not None, mails[0].text

    async with ChatClient.resume(product.url, token, cursor, lang="en") as chat:
        answers = await chat.say(code[0])
        text = " ".join(answer.data["text"] for answer in answers)
        assert "£5.00" in text, text
        if "anything else" not in text.lower():
            answers = await chat.say("Yes please")
            text = " ".join(answer.data["text"] for answer in answers)
        assert "anything else" in text.lower()
        answers = await chat.say("No, that's all, thanks")
        assert answers
        everything = seen + [event.id for event in chat.events]
    assert len(everything) == len(set(everything)), "nothing came twice"

    async with ChatClient.resume(product.url, token, lang="en") as chat:
        replayed = [event.id for event in chat.events]
    assert replayed == everything, "a new window sees the whole conversation, in order"
    (case,) = await product.cases()
    acted = [event for event in await product.timeline(case["id"]) if event["kind"] == "acted"]
    assert len(acted) == 1


async def test_a_frame_of_a_megabyte_is_refused_and_others_go_on(product: Any) -> None:
    async with aiohttp.ClientSession(headers={"Origin": product.url}) as http:
        session = await (await http.post(product.url + "/chat/session", data=b"{}")).json()
        async with http.ws_connect(product.url + "/chat/socket") as socket:
            await socket.send_json({"t": "hello", "v": 1, "token": session["token"], "lang": "en"})
            await socket.receive_json()
            await socket.send_str("x" * 1_000_000)
            while (message := await socket.receive(timeout=10)).type == aiohttp.WSMsgType.TEXT:
                pass
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
            assert socket.close_code in (1009, 4413)
    async with ChatClient(product.url, "de") as chat:
        assert await chat.say("Ich möchte mit einem Menschen sprechen")


async def test_asking_for_a_person_is_honoured_in_every_language(product: Any) -> None:
    for language, words in (
        ("de", "Bitte einen Mitarbeiter"),
        ("nb", "Kan jeg få snakke med et menneske?"),
        ("en", "human please"),
    ):
        async with ChatClient(product.url, language) as chat:
            assert await chat.say(words)
    cases = await product.cases()
    assert [case["status"] for case in cases] == ["waiting-person"] * 3
    assert sorted(case["language"] for case in cases) == ["de", "en", "nb"]
