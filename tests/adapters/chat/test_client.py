"""The visitor without a browser: what `contactbus chat say` and bots rely on."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest

from adapters.chat.client import ChatClient, ChatRefused
from bus.errors import Overloaded
from bus.message import Contact, Reply
from bus.testing.clock import FakeClock

OpenDoor = Callable[..., Awaitable[Any]]


def echo(door: Any) -> Callable[[Contact], Reply]:
    return lambda contact: door.reply(contact.conversation, f"Antwort auf {contact.text}", name=contact.id)


async def test_saying_something_gives_the_answers(open_door: OpenDoor) -> None:
    door = await open_door()
    door.answer = echo(door)
    async with door.client("nb") as chat:
        assert [a.data["text"] for a in await chat.say("Hei", idle_s=0.05)] == ["Antwort auf Hei"]
        assert [a.data["text"] for a in await chat.say("Takk", idle_s=0.05)] == ["Antwort auf Takk"]
        assert [e.kind for e in chat.events] == ["message", "reply", "message", "reply"]
    assert {contact.language for contact in door.contacts.values()} == {"nb"}


async def test_the_answers_are_complete_when_it_was_quiet_for_a_while(open_door: OpenDoor) -> None:
    door = await open_door()
    loop = asyncio.get_running_loop()

    def answer(contact: Contact) -> Reply:
        for place, delay in enumerate((0.1, 0.2, 0.9)):
            reply = door.reply(contact.conversation, f"Teil {place}", name=f"{contact.id}{place}")
            loop.call_later(delay, lambda reply=reply: asyncio.ensure_future(door.adapter.send(reply, 1)))
        return door.reply(contact.conversation, "Sofort", name=contact.id)

    door.answer = answer
    async with door.client() as chat:
        answers = await chat.say("Hallo", idle_s=0.4)
        assert [a.data["text"] for a in answers] == ["Sofort", "Teil 0", "Teil 1"], (
            "the last came too late for this turn"
        )


async def test_no_answer_in_time_is_an_empty_list(open_door: OpenDoor) -> None:
    door = await open_door()
    async with door.client() as chat:
        assert await chat.say("Jemand da?", timeout_s=0.2) == []


async def test_another_client_goes_on_with_token_and_cursor(open_door: OpenDoor) -> None:
    door = await open_door()
    door.answer = echo(door)
    async with door.client() as first:
        await first.say("Eins", idle_s=0.05)
    async with ChatClient.resume(door.url, first.token, first.cursor) as second:
        await second.say("Zwei", idle_s=0.05)
        assert [e.data["text"] for e in second.events] == ["Zwei", "Antwort auf Zwei"]
    async with ChatClient.resume(door.url, first.token) as third:
        assert [e.data["text"] for e in third.events] == ["Eins", "Antwort auf Eins", "Zwei", "Antwort auf Zwei"]
    async with ChatClient.resume(door.url, first.token, "1-99") as fourth:
        assert len(fourth.events) == 4, "an impossible cursor gives the whole conversation"
    assert len({contact.conversation for contact in door.contacts.values()}) == 1


async def test_an_expired_token_is_renewed_without_a_word(open_door: OpenDoor, clock: FakeClock) -> None:
    door = await open_door()
    async with door.client() as first:
        await first.tell("Eins")
    clock.advance(20 * 60)
    async with ChatClient.resume(door.url, first.token, first.cursor) as second:
        await second.tell("Zwei")
    assert len({contact.conversation for contact in door.contacts.values()}) == 1


async def test_a_login_that_ran_out_ends_no_conversation(open_door: OpenDoor, clock: FakeClock) -> None:
    key = "a key that only the shop's server knows"
    door = await open_door(identity_secrets=[key], restart_spread_s=0.1)
    claims = {"sub": "4711", "aud": "web", "exp": clock.now().timestamp() + 600}
    async with door.client(identity=jwt.encode(claims, key, "HS256")) as chat:
        await chat.tell("Eins")
        clock.advance(2 * 3600)
        await door.restart()
        await chat.tell("Zwei")
    assert [contact.proof.level for contact in door.contacts.values()] == ["session", "none"]


async def test_a_restart_in_the_middle_is_survived(open_door: OpenDoor) -> None:
    door = await open_door(restart_spread_s=0.1)
    door.answer = echo(door)
    async with door.client(jitter=lambda: 0.1) as chat:
        await chat.say("Eins", idle_s=0.05)
        saying = asyncio.ensure_future(chat.say("Zwei", idle_s=0.05))
        await door.restart()
        assert [a.data["text"] for a in await saying] == ["Antwort auf Zwei"]
    assert [contact.text for contact in door.contacts.values()] == ["Eins", "Zwei"]


async def test_later_means_later_and_final_means_no(open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.chat.conversations._LATER_S", 0.05)
    door = await open_door()
    door.trouble = [Overloaded("full"), Overloaded("full")]
    async with door.client() as chat:
        await chat.tell("Hallo")
        assert len(door.contacts) == 1
        with pytest.raises(ChatRefused, match="too_long"):
            await chat.say("x" * 5000)


async def test_a_foreign_server_and_no_server_are_said_plainly(open_door: OpenDoor) -> None:
    door = await open_door()
    client = ChatClient(door.url)
    door.adapter._origins._allowed.clear()
    with pytest.raises(ChatRefused, match="403"):
        await client.connect()
    with pytest.raises(TimeoutError):
        await ChatClient("http://127.0.0.1:9").connect(timeout_s=0.3)
