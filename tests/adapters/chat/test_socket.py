"""The protocol through a real server and real sockets: what is promised, what is refused, what survives."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import WSMsgType

from adapters.chat.sessions import Sessions
from bus.adapter.contract import Accepted, Refused
from bus.adapter.tokens import Signer
from bus.errors import Overloaded, StorageFull
from bus.testing.clock import FakeClock

OpenDoor = Callable[..., Awaitable[Any]]
Socket = aiohttp.ClientWebSocketResponse


async def hello(socket: Socket, token: str, **more: str) -> dict[str, Any]:
    await socket.send_json({"t": "hello", "token": token, **more})
    return await frame(socket)


async def frame(socket: Socket) -> dict[str, Any]:
    """The next frame that is not only for the moment."""
    async with asyncio.timeout(5):
        while True:
            message = await socket.receive()
            assert message.type is WSMsgType.TEXT, f"{message.type} {socket.close_code}"
            read = json.loads(message.data)
            if read["t"] not in ("typing", "ping"):
                return read


async def frames(socket: Socket, count: int) -> list[dict[str, Any]]:
    return [await frame(socket) for _ in range(count)]


async def said(socket: Socket, cid: str, text: str, **more: str) -> dict[str, Any]:
    """Send and give back the answer to it; events in between are left out."""
    await socket.send_json({"t": "send", "cid": cid, "text": text, **more})
    while (answer := await frame(socket))["t"] == "event":
        pass
    return answer


async def spoken(socket: Socket, cid: str, text: str, **more: str) -> None:
    """Send and wait until it is safe and shown."""
    await socket.send_json({"t": "send", "cid": cid, "text": text, **more})
    seen = {(await frame(socket))["t"], (await frame(socket))["t"]}
    assert seen == {"sent", "event"}


async def ending(socket: Socket) -> int | None:
    """The code with which the server closes."""
    async with asyncio.timeout(5):
        while not socket.closed:
            await socket.receive()
    return socket.close_code


# --- what is promised


async def test_sent_comes_only_after_the_contact_is_durable(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    may_go_on = asyncio.Event()
    accept = door.accept

    async def slow(raw: Any) -> Any:
        await may_go_on.wait()
        return await accept(raw)

    object.__setattr__(door.adapter._services, "accept", slow)
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket:
        await hello(socket, token, lang="de")
        await socket.send_json({"t": "send", "cid": "m1", "text": "Guten Tag"})
        first = asyncio.ensure_future(frames(socket, 2))
        while not door.adapter._hub.sessions or await door.adapter._events.head(door.adapter._hub.sessions[0]) == 0:
            await asyncio.sleep(0.005)
        assert not first.done() or all(f["t"] == "event" for f in first.result())
        assert not door.contacts
        may_go_on.set()
        kinds = sorted(f["t"] for f in await first)
        assert kinds == ["event", "sent"]
        assert len(door.contacts) == 1


async def test_the_same_message_again_is_the_same_message(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket:
        await hello(socket, token)
        first = await said(socket, "m1", "Hallo")
        second = await said(socket, "m1", "Hallo")
        assert first == second
        assert first["t"] == "sent"
    assert len(door.contacts) == 1
    assert door.duplicates == 1
    async with door.socket(http) as socket:
        await hello(socket, token)
        assert (await frame(socket))["data"]["text"] == "Hallo"
        await socket.send_json({"t": "send", "cid": "m2", "text": "Noch da?"})
        assert {f["t"] for f in await frames(socket, 2)} == {"event", "sent"}, "the first stands there once"


async def test_the_same_id_with_another_text_is_refused(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await hello(socket, (await door.token(http))["token"])
        await said(socket, "m1", "Ja")
        nack = await said(socket, "m1", "Nein")
    assert nack == {"t": "nack", "cid": "m1", "code": "changed", "final": True}
    assert [contact.text for contact in door.contacts.values()] == ["Ja"]


async def test_everything_missed_is_replayed_in_order_and_once(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await hello(socket, session["token"])
        await said(socket, "m1", "Eins")
        cursor = "1-1"
    for number in range(250):  # more than a page
        assert isinstance(await door.adapter.send(door.reply(session["session"], f"Antwort {number}"), 1), Accepted)
    async with door.socket(http) as socket:
        welcome = await hello(socket, session["token"], cursor=cursor)
        assert welcome["resumed"] is True
        texts = [f["data"]["text"] for f in await frames(socket, 250)]
        assert texts == [f"Antwort {number}" for number in range(250)]
        await door.adapter.send(door.reply(session["session"], "live"), 1)
        assert (await frame(socket))["data"]["text"] == "live"


async def test_a_retried_reply_stands_there_once(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await hello(socket, session["token"])
        await said(socket, "m1", "Hallo")
        results = [await door.adapter.send(door.reply(session["session"], "Antwort"), n) for n in (1, 2, 3)]
        assert len({result.provider_id for result in results}) == 1
        await said(socket, "m2", "Danke")
    async with door.socket(http) as socket:
        await hello(socket, session["token"])
        assert [f["data"]["text"] for f in await frames(socket, 3)] == ["Hallo", "Antwort", "Danke"]


async def test_a_cursor_that_cannot_be_continued_from_is_said_so(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    for cursor in ("1-99", "2-1", "drop table"):
        async with door.socket(http) as socket:
            welcome = await hello(socket, token, cursor=cursor)
            assert welcome["resumed"] is False
            assert (await frame(socket))["t"] == "reset"


async def test_two_tabs_show_the_same(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as one, door.socket(http) as two:
        await hello(one, session["token"])
        await hello(two, session["token"])
        await one.send_json({"t": "send", "cid": "a1", "text": "aus dem ersten"})
        assert (await frame(two))["data"]["text"] == "aus dem ersten"
        await two.send_json({"t": "send", "cid": "b1", "text": "aus dem zweiten"})
        await door.adapter.send(door.reply(session["session"], "Antwort"), 1)

        async def events(socket: Socket, count: int) -> list[tuple[str, str]]:
            found: list[tuple[str, str]] = []
            while len(found) < count:
                read = await frame(socket)
                if read["t"] == "event":
                    found.append((read["cursor"], read["data"]["text"]))
            return found

        in_one, in_two = await events(one, 3), await events(two, 2)
        assert in_one[1:] == in_two
        assert len({cursor for cursor, _ in in_one}) == 3


async def test_what_another_process_writes_is_noticed(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    here, other = await open_door(follow_every_s=0.02), await open_door(follow_every_s=0.02)
    session = await here.token(http)
    async with here.socket(http) as socket:
        await hello(socket, session["token"])
        await spoken(socket, "m1", "Hallo")
        await other.adapter.send(other.reply(session["session"], "von nebenan"), 1)
        assert (await frame(socket))["data"]["text"] == "von nebenan"


async def test_delivered_and_read_are_reported_once_each(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await hello(socket, session["token"])
        await spoken(socket, "m1", "Hallo")
        reply = door.reply(session["session"], "Antwort")
        result = await door.adapter.send(reply, 1)
        assert result == Accepted(provider_id="1-2", delivered=False)
        await frame(socket)
        assert door.statuses == []
        await socket.send_json({"t": "ack", "cursor": "1-2"})
        await socket.send_json({"t": "ack", "cursor": "1-2"})
        await socket.send_json({"t": "read", "upto": "1-2"})
        await socket.send_json({"t": "ack", "cursor": "1-77"})
        await said(socket, "m2", "Danke")
    assert [(s.reply, s.case, s.state) for s in door.statuses] == [
        (reply.id, "k-1", "delivered"),
        (reply.id, "k-1", "read"),
    ]


async def test_acks_from_the_future_swallow_no_status(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await hello(socket, session["token"])
        await spoken(socket, "m1", "Hallo")
        await socket.send_json({"t": "ack", "cursor": "1-99"})
        await spoken(socket, "m2", "Noch da?")
        await door.adapter.send(door.reply(session["session"], "Antwort"), 1)
        cursor = (await frame(socket))["cursor"]
        await socket.send_json({"t": "ack", "cursor": cursor})
        await spoken(socket, "m3", "Danke")
    assert [s.state for s in door.statuses] == ["delivered"]


async def test_an_ack_that_was_lost_is_made_up_for_by_the_cursor(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await hello(socket, session["token"])
        await spoken(socket, "m1", "Hallo")
        await door.adapter.send(door.reply(session["session"], "Antwort"), 1)
        await frame(socket)
    async with door.socket(http) as socket:
        await hello(socket, session["token"], cursor="1-2")
        await said(socket, "m2", "Danke")
    assert [s.state for s in door.statuses] == ["delivered"]


async def test_reply_kinds_and_people_are_told_apart(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    say = door.reply
    async with door.socket(http) as socket:
        await hello(socket, session["token"])
        await spoken(socket, "m1", "Mensch", request="person")
        for reply in (
            say(session["session"], "Einen Augenblick", handover=True),
            say(session["session"], "Entschuldigung", kind="hold"),
            say(session["session"], "Hier ist Mia", automatic=False),
            say(session["session"], "Wie war es?", kind="survey"),
            say(session["session"], "Auf Wiedersehen", kind="goodbye"),
        ):
            await door.adapter.send(reply, 1)
        seen = [(f["kind"], f["data"]["from"], f["data"]) for f in await frames(socket, 5)]
        assert "p-grete" not in str(seen), "ids of the house stay in the house"
        assert "k-1" not in str(seen)
        seen = [(kind, speaker) for kind, speaker, _ in seen]
    assert seen == [
        ("handover", "machine"),
        ("hold", "machine"),
        ("reply", "person"),
        ("survey", "machine"),
        ("closed", "machine"),
    ]
    (contact,) = door.contacts.values()
    assert contact.native["request"] == "person"


async def test_who_waits_for_a_person_hears_the_place_in_the_queue(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door(follow_every_s=0.01)
    sessions = [(await door.token(http)) for _ in range(2)]
    sockets = [await door.socket(http) for _ in sessions]
    for socket, session in zip(sockets, sessions, strict=True):
        await hello(socket, session["token"])
        await spoken(socket, "m1", "Mensch bitte", request="person")
        await door.adapter.send(door.reply(session["session"], "Sie warten", handover=True), 1)
        assert (await frame(socket))["kind"] == "handover"
        door.clock.advance(1)
    assert await frame(sockets[0]) == {"t": "queue", "ahead": 0}
    assert await frame(sockets[1]) == {"t": "queue", "ahead": 1}
    await door.adapter.send(door.reply(sessions[0]["session"], "Ich bin da", automatic=False), 1)
    assert await frame(sockets[1]) == {"t": "queue", "ahead": 0}
    # Who was served once and asks again waits again, behind the others.
    door.clock.advance(1)
    await door.adapter.send(door.reply(sessions[0]["session"], "Sie warten wieder", handover=True), 1)
    assert [(await frame(sockets[0]))["kind"] for _ in range(2)] == ["reply", "handover"]
    assert await frame(sockets[0]) == {"t": "queue", "ahead": 1}
    for socket in sockets:
        await socket.close()


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
        await hello(socket, stranger["token"])
        await said(socket, "m1", "vorher")
    async with door.socket(http) as socket:
        await hello(socket, known["token"])
        await said(socket, "m2", "nachher")
    before, after = door.contacts.values()
    assert (before.proof.level, after.proof.level) == ("none", "session")
    assert after.native["identity"] == {"kind": "email", "address": "kari.lunde@kunde.example"}


async def test_card_numbers_do_not_stay_in_the_conversation(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket:
        await hello(socket, token)
        assert (await said(socket, "m1", "Karte 4111 1111 1111 1111"))["t"] == "sent"
        assert (await said(socket, "m1", "Karte 4111 1111 1111 1111"))["t"] == "sent", "sent again, still the same"
    async with door.socket(http) as socket:
        await hello(socket, token)
        assert (await frame(socket))["data"]["text"] == "Karte •••• •••• •••• 1111"


# --- what is refused


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
        assert (await hello(socket, token))["t"] == "welcome"


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
            assert await ending(socket) == 4401
    clock.advance(16 * 60)
    async with door.socket(http) as socket:
        await socket.send_json({"t": "hello", "token": good})
        assert await ending(socket) == 4401
    renewed = await door.token(http, token=good)
    assert renewed["resumed"] is True
    async with door.socket(http) as socket:
        assert (await hello(socket, renewed["token"]))["t"] == "welcome"


async def test_an_open_conversation_outlives_its_token(
    open_door: OpenDoor, http: aiohttp.ClientSession, clock: FakeClock
) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await hello(socket, (await door.token(http))["token"])
        clock.advance(3600)
        assert (await said(socket, "m1", "Ich bin noch da"))["t"] == "sent"


async def test_knowing_a_conversation_opens_nothing(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    mine, theirs = await door.token(http), await door.token(http)
    async with door.socket(http) as socket:
        await hello(socket, mine["token"])
        await said(socket, "m1", "geheim")
    async with door.socket(http) as socket:
        await hello(socket, theirs["token"], conv=mine["session"], session=mine["session"], cursor="1-0")
        await socket.send_json({"t": "send", "cid": "m1", "text": "meins"})
        texts = [f["data"]["text"] for f in await frames(socket, 2) if f["t"] == "event"]
    assert texts == ["meins"]


async def test_silence_instead_of_a_hello_is_closed_with_4408(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door(hello_timeout_s=0.05)
    async with door.socket(http) as socket:
        assert await ending(socket) == 4408


@pytest.mark.parametrize(
    "first", ["", "hello", '{"t":"send","cid":"1","text":"a"}', '{"t":"hello","v":2,"token":"x"}', "[" * 9999]
)
async def test_anything_but_a_hello_is_closed(open_door: OpenDoor, http: aiohttp.ClientSession, first: str) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await socket.send_str(first)
        assert await ending(socket) == 1008


@pytest.mark.parametrize("size", [65_537, 1_000_000])
async def test_a_frame_that_is_too_large_is_closed_with_4413(
    open_door: OpenDoor, http: aiohttp.ClientSession, size: int
) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket, door.socket(http) as other:
        await hello(socket, token)
        await hello(other, token)
        await socket.send_str('{"t":"send","cid":"m1","text":"' + "x" * size + '"}')
        assert await ending(socket) == 4413
        assert (await said(other, "m2", "Die anderen merken nichts"))["t"] == "sent"
    assert len(door.contacts) == 1


async def test_odd_frames_are_answered_and_many_of_them_end_the_visit(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await hello(socket, (await door.token(http))["token"])
        await socket.send_str("[" * 30_000)
        assert await frame(socket) == {"t": "nack", "code": "malformed", "final": True}
        await socket.send_bytes(b'{"t":"send","cid":"m0","text":"als Bytes"}')
        assert (await frame(socket))["code"] == "malformed"
        assert (await said(socket, "m1", "Das geht"))["t"] == "sent"
        for _ in range(5):
            await socket.send_str("unfug")
        assert await ending(socket) == 1008
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
        await hello(socket, (await door.token(http))["token"])
        nack = await said(socket, message.pop("cid"), message.pop("text"), **message)
    assert (nack["code"], nack["final"]) == (code, True)
    assert not door.contacts


async def test_the_longest_message_is_taken(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await hello(socket, (await door.token(http))["token"])
        assert (await said(socket, "m1", "ø" * 4096))["t"] == "sent"


async def test_faster_than_people_write_is_slowed_down_and_coming_again_does_not_help(
    open_door: OpenDoor, http: aiohttp.ClientSession, clock: FakeClock
) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket:
        await hello(socket, token)
        answers = [await said(socket, f"m{n}", f"Text {n}") for n in range(11)]
    assert [a["t"] for a in answers] == ["sent"] * 10 + ["nack"]
    assert (answers[10]["code"], answers[10]["final"]) == ("rate", False)
    assert 0 < answers[10]["retry_after_s"] <= 1
    async with door.socket(http) as socket:
        await hello(socket, token, cursor="1-10")
        assert (await said(socket, "m10", "Text 10"))["code"] == "rate"
        clock.advance(1)
        assert (await said(socket, "m10", "Text 10"))["t"] == "sent"


async def test_a_flood_of_frames_is_closed_with_4429(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await hello(socket, (await door.token(http))["token"])
        for _ in range(100):
            await socket.send_json({"t": "typing", "on": True})
        assert await ending(socket) == 4429


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


# --- trouble of our own


@pytest.mark.parametrize(
    "trouble", [Overloaded("the queue of Grete Ohlsen"), StorageFull("disk"), RuntimeError("the password is 1234")]
)
async def test_trouble_of_ours_says_later_and_nothing_of_itself(
    open_door: OpenDoor, http: aiohttp.ClientSession, trouble: Exception
) -> None:
    door = await open_door()
    door.trouble = [trouble]
    async with door.socket(http) as socket:
        await hello(socket, (await door.token(http))["token"])
        nack = await said(socket, "m1", "Hallo")
        assert nack == {"t": "nack", "cid": "m1", "code": "later", "final": False, "retry_after_s": 3.0}
        assert not door.contacts
        assert (await said(socket, "m1", "Hallo"))["t"] == "sent"
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
        await hello(socket, session["token"])
        await spoken(socket, "m1", "Vor dem Neustart")
        restarted = asyncio.ensure_future(door.restart())
        drain = await frame(socket)
        assert drain["t"] == "drain"
        assert 0 <= drain["reconnect_after_ms"] < 20_000
        assert await ending(socket) == 1012
        await restarted
    await door.adapter.send(door.reply(session["session"], "Nach dem Neustart"), 1)
    async with door.socket(http) as socket:
        await hello(socket, session["token"], cursor="1-1")
        assert (await frame(socket))["data"]["text"] == "Nach dem Neustart"


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
        await hello(socket, session["token"])
        await said(socket, "m1", "Hallo")
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
        await hello(socket, session["token"])
        assert len({f["id"] for f in await frames(socket, count + 1)}) == count + 1


async def test_a_line_without_any_sign_of_life_is_given_up(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door(ping_every_s=0.03)
    token = (await door.token(http))["token"]
    async with door.socket(http) as dead, door.socket(http) as alive:
        await hello(dead, token)
        await hello(alive, token)

        async def answer() -> None:
            async for message in alive:
                if json.loads(message.data)["t"] == "ping":
                    await alive.send_json({"t": "pong"})

        answering = asyncio.ensure_future(answer())
        await ending(dead)
        assert not answering.done(), "who answers pings stays"
        answering.cancel()


async def test_the_visitor_says_bye_and_can_come_again(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket:
        await hello(socket, token)
        await said(socket, "m1", "Bis gleich")
        await socket.send_json({"t": "bye"})
        assert await ending(socket) == 1000
    async with door.socket(http) as socket:
        await hello(socket, token)
        assert (await frame(socket))["data"]["text"] == "Bis gleich"


async def test_health_says_how_many_are_there(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await hello(socket, (await door.token(http))["token"])
        health = await door.adapter.probe()
    assert health.ok
    assert health.detail.startswith("1 ")
