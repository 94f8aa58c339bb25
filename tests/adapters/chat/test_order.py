"""What a visitor says stays in its order, also when some of it is told to come again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from adapters.chat.limits import Turns
from bus.errors import Overloaded, StorageFull, TransientError
from bus.testing.clock import FakeClock

OpenDoor = Callable[..., Awaitable[Any]]


class Speaker:
    """A client of somebody else's making: sends what it likes, when it likes."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    @classmethod
    async def of(cls, door: Any, http: aiohttp.ClientSession) -> "Speaker":
        speaker = cls(await door.socket(http))
        await speaker.socket.send_json({"t": "hello", "token": (await door.token(http))["token"]})
        await speaker.next("welcome")
        return speaker

    async def next(self, *kinds: str) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while True:
                frame = json.loads((await self.socket.receive()).data)
                if frame["t"] in kinds:
                    return frame

    async def say(self, *numbers: int) -> list[str]:
        """All at once, without waiting; what became of each."""
        for number in numbers:
            await self.socket.send_json({"t": "send", "cid": f"m{number}", "text": f"Text {number}"})
        answers = [await self.next("sent", "nack") for _ in numbers]
        assert [answer["cid"] for answer in answers] == [f"m{number}" for number in numbers]
        return [answer["t"] if answer["t"] == "sent" else answer["code"] for answer in answers]


def heard(door: Any) -> list[str]:
    return [contact.text for contact in door.contacts.values()]


async def test_a_message_that_was_told_to_come_again_is_not_overtaken(
    open_door: OpenDoor, http: aiohttp.ClientSession, clock: FakeClock
) -> None:
    door = await open_door(message_burst=2)
    speaker = await Speaker.of(door, http)
    assert await speaker.say(1, 2, 3, 4) == ["sent", "sent", "rate", "rate"]
    clock.advance(5)
    # Time enough for everybody, but the third comes before the fourth, and before one that is new.
    assert await speaker.say(4, 5) == ["rate", "rate"]
    assert await speaker.say(3, 5, 4, 5) == ["sent", "rate", "sent", "rate"]
    clock.advance(5)
    assert await speaker.say(5) == ["sent"]
    assert heard(door) == [f"Text {number}" for number in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize("trouble", [Overloaded("full"), StorageFull("disk"), TransientError("away")])
async def test_trouble_of_ours_changes_no_order_either(
    open_door: OpenDoor, http: aiohttp.ClientSession, trouble: Exception
) -> None:
    door = await open_door()
    speaker = await Speaker.of(door, http)
    door.trouble = [trouble]
    assert await speaker.say(1, 2, 3) == ["later", "later", "later"]
    assert await speaker.say(1, 2, 3) == ["sent", "sent", "sent"]
    assert heard(door) == ["Text 1", "Text 2", "Text 3"]


async def test_a_message_that_was_given_up_blocks_nobody_for_long(
    open_door: OpenDoor, http: aiohttp.ClientSession, clock: FakeClock
) -> None:
    door = await open_door()
    speaker = await Speaker.of(door, http)
    door.trouble = [Overloaded("full")]
    assert await speaker.say(1, 2) == ["later", "later"]
    clock.advance(14)
    assert await speaker.say(2) == ["sent"]


async def test_a_message_that_is_finally_refused_is_not_waited_for(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door()
    speaker = await Speaker.of(door, http)
    door.trouble = [Overloaded("full")]
    assert await speaker.say(1, 2) == ["later", "later"]
    await speaker.socket.send_json({"t": "send", "cid": "m1", "text": " "})
    assert (await speaker.next("nack"))["code"] == "empty"
    assert await speaker.say(2) == ["sent"]


async def test_our_own_client_keeps_the_order_and_loses_nothing(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.chat.conversations._LATER_S", 0.05)
    door = await open_door(message_burst=100)
    door.trouble = [Overloaded("full"), TransientError("away")]
    async with door.client() as chat:
        await asyncio.gather(*(chat.tell(f"Text {number}") for number in range(8)))
        await chat.tell("Text 8")
    assert heard(door) == [f"Text {number}" for number in range(9)]
    assert door.duplicates == 0


def test_turns_are_bounded() -> None:
    now = [0.0]
    turns = Turns(lambda: now[0])
    for number in range(10_100):
        turns.come_again(f"s{number}", "m", 1.0, "rate")
    assert turns.ahead("s0", "other") == (0, "")
    assert turns.ahead("s10099", "other") == (1, "rate")
    for number in range(200):
        turns.come_again("s", f"m{number}", 1.0, "later")
    assert turns.ahead("s", "new") == (100, "later")
    now[0] = 60.0
    assert turns.ahead("s", "new") == (0, "")
