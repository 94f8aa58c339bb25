"""The chat while its store is away, while another process answers, and after the time for which it remembers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from adapters.chat.client import ChatClient, ChatRefused
from adapters.chat.events import Events
from bus.clock import SystemClock
from bus.errors import TransientError
from bus.log.embedded import EmbeddedEngine
from bus.message import Reply
from bus.testing.clock import FakeClock

OpenDoor = Callable[..., Awaitable[Any]]


class Fragile:
    """A store that is away while told to be."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self.away = False

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **more: Any) -> Any:
            if self.away:
                raise TransientError("the database is away")
            return await getattr(self._engine, name)(*arguments, **more)

        return call


async def receive(socket: Any, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            frame = json.loads((await socket.receive()).data)
            if frame["t"] == kind:
                return frame


async def test_who_comes_while_the_store_is_away_hears_when_to_come_back(
    open_door: OpenDoor, http: aiohttp.ClientSession, engine: EmbeddedEngine
) -> None:
    store = Fragile(engine)
    door = await open_door(store=store)
    store.away = True
    async with door.socket(http) as socket:
        await socket.send_json({"t": "hello", "token": (await door.token(http))["token"]})
        assert 0 <= (await receive(socket, "drain"))["reconnect_after_ms"] <= 20_000
        while not socket.closed:
            await socket.receive()
        assert socket.close_code == 1012


async def test_who_is_here_stays_here_and_hears_later(
    open_door: OpenDoor, http: aiohttp.ClientSession, engine: EmbeddedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.chat.visit._STORE_AWAY_S", 0.02)
    store = Fragile(engine)
    door = await open_door(store=store, follow_every_s=0.02)
    async with door.socket(http) as socket:
        answer = await door.token(http)
        await socket.send_json({"t": "hello", "token": answer["token"]})
        await receive(socket, "welcome")
        await socket.send_json({"t": "send", "cid": "m1", "text": "Hallo"})
        await receive(socket, "sent")
        store.away = True
        await socket.send_json({"t": "send", "cid": "m2", "text": "Noch da?"})
        nack = await receive(socket, "nack")
        assert (nack["code"], nack["final"], nack["retry_after_s"]) == ("later", False, 3.0)
        # A wake-up that finds no store: the line holds, and what was missed comes.
        door.adapter._hub.wake(answer["session"], 99)
        await receive(socket, "ping")
        store.away = False
        await socket.send_json({"t": "send", "cid": "m2", "text": "Noch da?"})
        await receive(socket, "sent")
    assert [contact.text for contact in door.contacts.values()] == ["Hallo", "Noch da?"]


async def test_a_hint_brings_another_process_s_answer_at_once(
    open_door: OpenDoor, http: aiohttp.ClientSession, engine: EmbeddedEngine
) -> None:
    hints: asyncio.Queue[Reply] = asyncio.Queue()

    async def follow() -> AsyncIterator[Reply]:
        while True:
            yield await hints.get()

    # The regular look comes too late for this test.
    here = await open_door(use_clock=SystemClock(), follow=follow, follow_every_s=60.0)
    there = await open_door(use_clock=SystemClock())
    async with here.socket(http) as socket:
        answer = await here.token(http)
        await socket.send_json({"t": "hello", "token": answer["token"]})
        await socket.send_json({"t": "send", "cid": "m1", "text": "Hallo"})
        await receive(socket, "sent")
        reply = there.reply(answer["session"], "Guten Tag")
        hints.put_nowait(reply)
        # The hint comes when the reply is planned, the reply when its process has written it.
        await asyncio.sleep(0.3)
        began = time.monotonic()
        await there.adapter.send(reply, 1)
        while (event := await receive(socket, "event"))["kind"] != "reply":
            pass
        assert event["data"]["text"] == "Guten Tag"
        assert time.monotonic() - began < 2.0


async def test_conversations_are_forgotten_whole_and_only_after_their_time(
    engine: EmbeddedEngine, clock: FakeClock
) -> None:
    events = Events(engine, "shop")
    other = Events(engine, "bank")

    async def speak(session: str, number: int, *, of: Events = events, kind: str = "message") -> None:
        await of.append(
            session, event_id=f"{session}-{number}", kind=kind, speaker="visitor", data={"text": "x"}, at=clock.now()
        )

    for number in range(450):
        await speak(f"s-{number}", 1)
    await speak("s-living", 1)
    await speak("s-bank", 1, of=other)
    clock.advance(10 * 86_400)
    await speak("s-living", 2, kind="reply")
    clock.advance(5 * 86_400)
    before = clock.now() - timedelta(days=14)
    for round_ in range(1, 4):
        await events.forget(before)
        left = sum([await events.head(f"s-{number}") > 0 for number in range(450)])
        assert left == max(0, 450 - 200 * round_)
    assert [event.seq for event in await events.after("s-living", 0)] == [1, 2]
    assert await other.head("s-bank") == 1


async def test_the_channel_forgets_by_itself(
    open_door: OpenDoor, engine: EmbeddedEngine, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.chat.adapter._FORGET_EVERY_S", 0.02)
    events = Events(engine, "shop")
    await events.append("s-1", event_id="e-1", kind="message", speaker="visitor", data={}, at=clock.now())
    await open_door()
    await asyncio.sleep(0.1)
    assert await events.head("s-1") == 1
    clock.advance(14 * 86_400 + 1)
    async with asyncio.timeout(5):
        while await events.head("s-1"):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("days", [0, 7, 4000])
async def test_nothing_is_forgotten_that_may_be_resumed(open_door: OpenDoor, days: int) -> None:
    with pytest.raises(ValueError, match="keep_days"):
        await open_door(keep_days=days)


async def test_without_patience_a_dead_address_is_said_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(ChatRefused, match="no chat answers at"):
        await ChatClient("http://127.0.0.1:9", patient=False).connect()
    assert time.monotonic() - began < 2.0
