"""What is refused, slowed down or put off at the socket, and how a line ends."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from bus.adapter.contract import Refused
from bus.errors import Overloaded, StorageFull
from bus.testing.clock import FakeClock

OpenDoor = Callable[..., Awaitable[Any]]


@pytest.mark.parametrize("size", [65_537, 1_000_000])
async def test_a_frame_that_is_too_large_is_closed_with_4413(
    open_door: OpenDoor, http: aiohttp.ClientSession, size: int
) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket, door.socket(http) as other:
        await socket.hello(token)
        await other.hello(token)
        await socket.send_str('{"t":"send","cid":"m1","text":"' + "x" * size + '"}')
        assert await socket.ending() == 4413
        assert (await other.said("m2", "Die anderen merken nichts"))["t"] == "sent"
    assert len(door.contacts) == 1


async def test_odd_frames_are_answered_and_many_of_them_end_the_visit(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await socket.hello((await door.token(http))["token"])
        await socket.send_str("[" * 30_000)
        assert await socket.frame() == {"t": "nack", "code": "malformed", "final": True}
        await socket.send_bytes(b'{"t":"send","cid":"m0","text":"als Bytes"}')
        assert (await socket.frame())["code"] == "malformed"
        assert (await socket.said("m1", "Das geht"))["t"] == "sent"
        for _ in range(5):
            await socket.send_str("unfug")
        assert await socket.ending() == 1008
    assert len(door.contacts) == 1


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"cid": "m1", "text": ""}, "empty"),
        ({"cid": "m1", "text": " \n\u0000 "}, "empty"),
        ({"cid": "m1", "text": "x" * 4097}, "too_long"),
        ({"cid": "", "text": "a"}, "bad_id"),
        ({"cid": "m 1", "text": "a"}, "bad_id"),
        ({"cid": "x" * 65, "text": "a"}, "bad_id"),
        ({"cid": "m1", "text": "a", "request": "confirm"}, "malformed"),
    ],
)
async def test_messages_that_cannot_be_taken_are_finally_refused(
    open_door: OpenDoor, http: aiohttp.ClientSession, message: dict[str, str], code: str
) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await socket.hello((await door.token(http))["token"])
        nack = await socket.said(message.pop("cid"), message.pop("text"), **message)
    assert (nack["code"], nack["final"]) == (code, True)
    assert not door.contacts


async def test_the_longest_message_is_taken(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await socket.hello((await door.token(http))["token"])
        assert (await socket.said("m1", "ø" * 4096))["t"] == "sent"


async def test_faster_than_people_write_is_slowed_down_and_coming_again_does_not_help(
    open_door: OpenDoor, http: aiohttp.ClientSession, clock: FakeClock
) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket:
        await socket.hello(token)
        answers = [await socket.said(f"m{n}", f"Text {n}") for n in range(11)]
    assert [a["t"] for a in answers] == ["sent"] * 10 + ["nack"]
    assert (answers[10]["code"], answers[10]["final"]) == ("rate", False)
    assert 0 < answers[10]["retry_after_s"] <= 1
    async with door.socket(http) as socket:
        await socket.hello(token, cursor="1-10")
        assert (await socket.said("m10", "Text 10"))["code"] == "rate"
        clock.advance(1)
        assert (await socket.said("m10", "Text 10"))["t"] == "sent"


async def test_a_flood_of_frames_is_closed_with_4429(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await socket.hello((await door.token(http))["token"])
        for _ in range(100):
            await socket.send_json({"t": "typing", "on": True})
        assert await socket.ending() == 4429


@pytest.mark.parametrize(
    "trouble", [Overloaded("the queue of Grete Ohlsen"), StorageFull("disk"), RuntimeError("the password is 1234")]
)
async def test_trouble_of_ours_says_later_and_nothing_of_itself(
    open_door: OpenDoor, http: aiohttp.ClientSession, trouble: Exception
) -> None:
    door = await open_door()
    door.trouble = [trouble]
    async with door.socket(http) as socket:
        await socket.hello((await door.token(http))["token"])
        nack = await socket.said("m1", "Hallo")
        assert nack == {"t": "nack", "cid": "m1", "code": "later", "final": False, "retry_after_s": 3.0}
        assert not door.contacts
        assert (await socket.said("m1", "Hallo"))["t"] == "sent"
    assert len(door.contacts) == 1


async def test_replies_that_cannot_be_placed_are_refused(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    never_written = (await door.token(http))["session"]
    assert isinstance(await door.adapter.send(door.reply(never_written, "Hallo?"), 1), Refused)
    assert isinstance(await door.adapter.send(door.reply("grete@kunde.example", "Hallo?"), 1), Refused)


async def test_a_restart_asks_to_come_back_later_and_loses_nothing(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door(restart_spread_s=20)
    session = await door.token(http)
    async with door.socket(http) as socket:
        await socket.hello(session["token"])
        await socket.spoken("m1", "Vor dem Neustart")
        restarted = asyncio.ensure_future(door.restart())
        drain = await socket.frame()
        assert drain["t"] == "drain"
        assert 0 <= drain["reconnect_after_ms"] < 20_000
        assert await socket.ending() == 1012
        await restarted
    await door.adapter.send(door.reply(session["session"], "Nach dem Neustart"), 1)
    async with door.socket(http) as socket:
        await socket.hello(session["token"], cursor="1-1")
        assert (await socket.frame())["data"]["text"] == "Nach dem Neustart"


async def test_nobody_is_let_in_while_we_go_down(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    await door.adapter.close()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await door.socket(http)
    assert refused.value.status == 503


async def test_a_reader_that_takes_nothing_is_cut_off_and_misses_nothing(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    # Long enough for the reader who does read, on a machine that is busy for a moment.
    door = await open_door(send_timeout_s=1.5)
    session = await door.token(http)
    async with door.socket(http) as socket:
        await socket.hello(session["token"])
        await socket.said("m1", "Hallo")
    text = "x" * 60_000
    count = 150  # 9 MB: more than the buffers of both kernels
    for number in range(count):
        await door.adapter.send(door.reply(session["session"], text, name=str(number)), 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(door.url.rsplit(":", 1)[1]), limit=1024)
    writer.write(
        f"GET /chat/socket HTTP/1.1\r\nHost: x\r\nOrigin: {door.url}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    payload = json.dumps({"t": "hello", "token": session["token"]}).encode()
    writer.write(bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload)
    await writer.drain()
    async with asyncio.timeout(10):
        while not door.adapter._hub.sessions:
            await asyncio.sleep(0.01)
        while door.adapter._hub.sessions:
            await asyncio.sleep(0.01)
    writer.close()
    del reader
    async with http.ws_connect(f"{door.url}/chat/socket", headers={"Origin": door.url}, max_msg_size=1 << 20) as socket:
        await socket.hello(session["token"])
        assert len({f["id"] for f in await socket.frames(count + 1)}) == count + 1


async def test_a_line_without_any_sign_of_life_is_given_up(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door(ping_every_s=0.03)
    token = (await door.token(http))["token"]
    async with door.socket(http) as dead, door.socket(http) as alive:
        await dead.hello(token)
        await alive.hello(token)

        async def answer() -> None:
            async for message in alive:
                if json.loads(message.data)["t"] == "ping":
                    await alive.send_json({"t": "pong"})

        answering = asyncio.ensure_future(answer())
        await dead.ending()
        assert not answering.done(), "who answers pings stays"
        answering.cancel()


async def test_the_visitor_says_bye_and_can_come_again(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket:
        await socket.hello(token)
        await socket.said("m1", "Bis gleich")
        await socket.send_json({"t": "bye"})
        assert await socket.ending() == 1000
    async with door.socket(http) as socket:
        await socket.hello(token)
        assert (await socket.frame())["data"]["text"] == "Bis gleich"


async def test_health_says_how_many_are_there(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await socket.hello((await door.token(http))["token"])
        health = await door.adapter.probe()
    assert health.ok
    assert health.detail.startswith("1 ")
