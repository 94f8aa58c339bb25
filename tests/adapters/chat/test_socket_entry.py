"""Who gets in at the socket, who is known there, and what the first frame must be."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import jwt
import pytest

from adapters.chat.sessions import Sessions
from bus.adapter.tokens import Signer
from bus.testing.clock import FakeClock

OpenDoor = Callable[..., Awaitable[Any]]


async def test_a_signed_identity_comes_with_the_contact(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    key = "a key that only the shop's server knows"
    door = await open_door(site_key="shop.example", identity_secrets=[key])
    claims = {"sub": "kari.lunde@kunde.example", "aud": "shop.example", "exp": door.clock.now().timestamp() + 600}
    stranger = await door.token(http)
    async with http.post(
        f"{door.url}/chat/session",
        json={"token": stranger["token"], "identity": jwt.encode(claims, "x" * 40, "HS256")},
        headers={"Origin": door.url},
    ) as refused:
        assert refused.status == 403
        assert await refused.json() == {"error": "identity"}
    known = await door.token(http, token=stranger["token"], identity=jwt.encode(claims, key, "HS256"))
    assert known["session"] == stranger["session"], "who logs in goes on with the same conversation"
    async with door.socket(http) as socket:
        await socket.hello(stranger["token"])
        await socket.said("m1", "vorher")
    async with door.socket(http) as socket:
        await socket.hello(known["token"])
        await socket.said("m2", "nachher")
    before, after = door.contacts.values()
    assert (before.proof.level, after.proof.level) == ("none", "session")
    assert after.native["identity"] == {"kind": "email", "address": "kari.lunde@kunde.example"}


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", ""])
async def test_foreign_origins_get_neither_session_nor_socket(
    open_door: OpenDoor, http: aiohttp.ClientSession, origin: str | None
) -> None:
    door = await open_door(sites=["https://shop.example"])
    headers = {} if origin is None else {"Origin": origin}
    async with http.post(f"{door.url}/chat/session", json={}, headers=headers) as answer:
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await door.socket(http, origin)
    assert refused.value.status == 403


async def test_a_named_site_may_speak_the_protocol_itself(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door(sites=["https://shop.example"])
    headers = {"Origin": "https://shop.example"}
    async with http.options(f"{door.url}/chat/session", headers=headers) as preflight:
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    async with http.post(f"{door.url}/chat/session", json={}, headers=headers) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        token = (await answer.json())["token"]
    async with door.socket(http, "https://shop.example") as socket:
        assert (await socket.hello(token))["t"] == "welcome"


async def test_forged_foreign_and_expired_tokens_are_closed_with_4401(
    open_door: OpenDoor, http: aiohttp.ClientSession, clock: FakeClock
) -> None:
    door = await open_door()
    good = (await door.token(http))["token"]
    others = Sessions(door.config, Signer(b"a secret of somebody else"), "shop", clock.now, lambda count: bytes(count))
    bank = Sessions(door.config, door.signer, "bank", clock.now, lambda count: bytes(count))
    for token in ("", "x", good[:-1], others.mint("s-1"), bank.mint("s-1"), "s-1~99999999999~.aaaa"):
        async with door.socket(http) as socket:
            await socket.send_json({"t": "hello", "token": token})
            assert await socket.ending() == 4401
    clock.advance(16 * 60)
    async with door.socket(http) as socket:
        await socket.send_json({"t": "hello", "token": good})
        assert await socket.ending() == 4401
    renewed = await door.token(http, token=good)
    assert renewed["resumed"] is True
    async with door.socket(http) as socket:
        assert (await socket.hello(renewed["token"]))["t"] == "welcome"


async def test_an_open_conversation_outlives_its_token(
    open_door: OpenDoor, http: aiohttp.ClientSession, clock: FakeClock
) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await socket.hello((await door.token(http))["token"])
        clock.advance(3600)
        assert (await socket.said("m1", "Ich bin noch da"))["t"] == "sent"


async def test_knowing_a_conversation_opens_nothing(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    mine, theirs = await door.token(http), await door.token(http)
    async with door.socket(http) as socket:
        await socket.hello(mine["token"])
        await socket.said("m1", "geheim")
    async with door.socket(http) as socket:
        await socket.hello(theirs["token"], conv=mine["session"], session=mine["session"], cursor="1-0")
        await socket.send_json({"t": "send", "cid": "m1", "text": "meins"})
        texts = [f["data"]["text"] for f in await socket.frames(2) if f["t"] == "event"]
    assert texts == ["meins"]


async def test_silence_instead_of_a_hello_is_closed_with_4408(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door(hello_timeout_s=0.05)
    async with door.socket(http) as socket:
        assert await socket.ending() == 4408


@pytest.mark.parametrize(
    "first", ["", "hello", '{"t":"send","cid":"1","text":"a"}', '{"t":"hello","v":2,"token":"x"}', "[" * 9999]
)
async def test_anything_but_a_hello_is_closed(open_door: OpenDoor, http: aiohttp.ClientSession, first: str) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await socket.send_str(first)
        assert await socket.ending() == 1008


async def test_a_peer_has_so_many_sockets_and_sessions(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door(sockets_per_peer=2, sessions_per_peer_per_minute=3)
    async with door.socket(http), door.socket(http):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await door.socket(http)
        assert refused.value.status == 429
    await door.token(http)
    await door.token(http)
    await door.token(http)
    async with http.post(f"{door.url}/chat/session", headers={"Origin": door.url}) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    "body", ["no json", '{"token":1}', '{"tenant":"bank"}', "[" * 8000, '{"token":"' + "x" * 9000 + '"}']
)
async def test_a_session_request_that_is_none_is_refused(
    open_door: OpenDoor, http: aiohttp.ClientSession, body: str
) -> None:
    door = await open_door()
    async with http.post(f"{door.url}/chat/session", data=body, headers={"Origin": door.url}) as answer:
        assert answer.status == 400
        assert await answer.json() == {"error": "malformed"}
