"""A conversation through a real server and real sockets: safe, in order, once, and with word of what arrived."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from bus.adapter.contract import Accepted

OpenDoor = Callable[..., Awaitable[Any]]


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
        await socket.hello(token, lang="de")
        await socket.send_json({"t": "send", "cid": "m1", "text": "Guten Tag"})
        first = asyncio.ensure_future(socket.frames(2))
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
        await socket.hello(token)
        first = await socket.said("m1", "Hallo")
        second = await socket.said("m1", "Hallo")
        assert first == second
        assert first["t"] == "sent"
    assert len(door.contacts) == 1
    assert door.duplicates == 1
    async with door.socket(http) as socket:
        await socket.hello(token)
        assert (await socket.frame())["data"]["text"] == "Hallo"
        await socket.send_json({"t": "send", "cid": "m2", "text": "Noch da?"})
        assert {f["t"] for f in await socket.frames(2)} == {"event", "sent"}, "the first stands there once"


async def test_the_same_id_with_another_text_is_refused(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    async with door.socket(http) as socket:
        await socket.hello((await door.token(http))["token"])
        await socket.said("m1", "Ja")
        nack = await socket.said("m1", "Nein")
    assert nack == {"t": "nack", "cid": "m1", "code": "changed", "final": True}
    assert [contact.text for contact in door.contacts.values()] == ["Ja"]


async def test_everything_missed_is_replayed_in_order_and_once(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await socket.hello(session["token"])
        await socket.said("m1", "Eins")
        cursor = "1-1"
    for number in range(250):  # more than a page
        assert isinstance(await door.adapter.send(door.reply(session["session"], f"Antwort {number}"), 1), Accepted)
    async with door.socket(http) as socket:
        welcome = await socket.hello(session["token"], cursor=cursor)
        assert welcome["resumed"] is True
        texts = [f["data"]["text"] for f in await socket.frames(250)]
        assert texts == [f"Antwort {number}" for number in range(250)]
        await door.adapter.send(door.reply(session["session"], "live"), 1)
        assert (await socket.frame())["data"]["text"] == "live"


async def test_a_retried_reply_stands_there_once(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await socket.hello(session["token"])
        await socket.said("m1", "Hallo")
        results = [await door.adapter.send(door.reply(session["session"], "Antwort"), n) for n in (1, 2, 3)]
        assert len({result.provider_id for result in results}) == 1
        await socket.said("m2", "Danke")
    async with door.socket(http) as socket:
        await socket.hello(session["token"])
        assert [f["data"]["text"] for f in await socket.frames(3)] == ["Hallo", "Antwort", "Danke"]


async def test_a_cursor_that_cannot_be_continued_from_is_said_so(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    for cursor in ("1-99", "2-1", "drop table"):
        async with door.socket(http) as socket:
            welcome = await socket.hello(token, cursor=cursor)
            assert welcome["resumed"] is False
            assert (await socket.frame())["t"] == "reset"


async def test_two_tabs_show_the_same(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as one, door.socket(http) as two:
        await one.hello(session["token"])
        await two.hello(session["token"])
        await one.send_json({"t": "send", "cid": "a1", "text": "aus dem ersten"})
        assert (await two.frame())["data"]["text"] == "aus dem ersten"
        await two.send_json({"t": "send", "cid": "b1", "text": "aus dem zweiten"})
        await door.adapter.send(door.reply(session["session"], "Antwort"), 1)

        async def events(socket: Any, count: int) -> list[tuple[str, str]]:
            found: list[tuple[str, str]] = []
            while len(found) < count:
                read = await socket.frame()
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
        await socket.hello(session["token"])
        await socket.spoken("m1", "Hallo")
        await other.adapter.send(other.reply(session["session"], "von nebenan"), 1)
        assert (await socket.frame())["data"]["text"] == "von nebenan"


async def test_delivered_and_read_are_reported_once_each(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await socket.hello(session["token"])
        await socket.spoken("m1", "Hallo")
        reply = door.reply(session["session"], "Antwort")
        result = await door.adapter.send(reply, 1)
        assert result == Accepted(provider_id="1-2", delivered=False)
        await socket.frame()
        assert door.statuses == []
        await socket.send_json({"t": "ack", "cursor": "1-2"})
        await socket.send_json({"t": "ack", "cursor": "1-2"})
        await socket.send_json({"t": "read", "upto": "1-2"})
        await socket.send_json({"t": "ack", "cursor": "1-77"})
        await socket.said("m2", "Danke")
    assert [(s.reply, s.case, s.state) for s in door.statuses] == [
        (reply.id, "k-1", "delivered"),
        (reply.id, "k-1", "read"),
    ]


async def test_acks_from_the_future_swallow_no_status(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await socket.hello(session["token"])
        await socket.spoken("m1", "Hallo")
        await socket.send_json({"t": "ack", "cursor": "1-99"})
        await socket.spoken("m2", "Noch da?")
        await door.adapter.send(door.reply(session["session"], "Antwort"), 1)
        cursor = (await socket.frame())["cursor"]
        await socket.send_json({"t": "ack", "cursor": cursor})
        await socket.spoken("m3", "Danke")
    assert [s.state for s in door.statuses] == ["delivered"]


async def test_an_ack_that_was_lost_is_made_up_for_by_the_cursor(
    open_door: OpenDoor, http: aiohttp.ClientSession
) -> None:
    door = await open_door()
    session = await door.token(http)
    async with door.socket(http) as socket:
        await socket.hello(session["token"])
        await socket.spoken("m1", "Hallo")
        await door.adapter.send(door.reply(session["session"], "Antwort"), 1)
        await socket.frame()
    async with door.socket(http) as socket:
        await socket.hello(session["token"], cursor="1-2")
        await socket.said("m2", "Danke")
    assert [s.state for s in door.statuses] == ["delivered"]


async def test_reply_kinds_and_people_are_told_apart(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    session = await door.token(http)
    say = door.reply
    async with door.socket(http) as socket:
        await socket.hello(session["token"])
        await socket.spoken("m1", "Mensch", request="person")
        for reply in (
            say(session["session"], "Einen Augenblick", handover=True),
            say(session["session"], "Entschuldigung", kind="hold"),
            say(session["session"], "Hier ist Mia", automatic=False),
            say(session["session"], "Wie war es?", kind="survey"),
            say(session["session"], "Auf Wiedersehen", kind="goodbye"),
        ):
            await door.adapter.send(reply, 1)
        seen = [(f["kind"], f["data"]["from"], f["data"]) for f in await socket.frames(5)]
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
        await socket.hello(session["token"])
        await socket.spoken("m1", "Mensch bitte", request="person")
        await door.adapter.send(door.reply(session["session"], "Sie warten", handover=True), 1)
        assert (await socket.frame())["kind"] == "handover"
        door.clock.advance(1)
    assert await sockets[0].frame() == {"t": "queue", "ahead": 0}
    assert await sockets[1].frame() == {"t": "queue", "ahead": 1}
    await door.adapter.send(door.reply(sessions[0]["session"], "Ich bin da", automatic=False), 1)
    assert await sockets[1].frame() == {"t": "queue", "ahead": 0}
    # Who was served once and asks again waits again, behind the others.
    door.clock.advance(1)
    await door.adapter.send(door.reply(sessions[0]["session"], "Sie warten wieder", handover=True), 1)
    assert [(await sockets[0].frame())["kind"] for _ in range(2)] == ["reply", "handover"]
    assert await sockets[0].frame() == {"t": "queue", "ahead": 1}
    for socket in sockets:
        await socket.close()


async def test_card_numbers_do_not_stay_in_the_conversation(open_door: OpenDoor, http: aiohttp.ClientSession) -> None:
    door = await open_door()
    token = (await door.token(http))["token"]
    async with door.socket(http) as socket:
        await socket.hello(token)
        assert (await socket.said("m1", "Karte 4111 1111 1111 1111"))["t"] == "sent"
        assert (await socket.said("m1", "Karte 4111 1111 1111 1111"))["t"] == "sent", "sent again, still the same"
    async with door.socket(http) as socket:
        await socket.hello(token)
        assert (await socket.frame())["data"]["text"] == "Karte •••• •••• •••• 1111"
