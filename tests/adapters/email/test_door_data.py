"""The data of a mail on the wire: where it ends, however it is cut, and how large it may be."""

import asyncio
import contextlib
import random
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.email.wire import has_bare_breaks, mend_breaks
from bus.adapter.contract import Raw

OpenDoor = Callable[..., Awaitable[Any]]


MAIL = b"From: a@kunde.example\r\nSubject: Hallo\r\n\r\nGuten Tag\r\n"


async def test_a_client_that_hangs_up_in_data_leaves_nothing(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk)
    for half in (b"", b"From: a@b\r\n\r\nhal", MAIL + b"."):
        talk = await door.hello()
        await talk.envelope()
        await talk.say("DATA")
        talk.send(half)
        await talk.writer.drain()
        talk.reset()
    await door.until(lambda: door.adapter._intake._peers.sessions == 0)
    talk = await door.hello()
    await talk.envelope()
    await talk.say("DATA")
    assert (await talk.say(MAIL + b".")).startswith("250 2.0.0 Taken as c-1")
    assert len(desk.raws) == 1


_NOT_ENDINGS = [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n\x00.\r\n", b"\r\n.\x00\r\n"]


@pytest.mark.parametrize("ending", _NOT_ENDINGS)
@pytest.mark.parametrize("policy", ["normalise", "refuse"])
async def test_only_one_spelling_ends_a_mail(open_door: OpenDoor, desk: Any, ending: bytes, policy: str) -> None:
    door = await open_door(desk, bare_newlines=policy)
    talk = await door.hello()
    await talk.envelope()
    await talk.say("DATA")
    smuggled = b"MAIL FROM:<boss@shop.example>\r\nRCPT TO:<hilfe@shop.example>\r\nDATA\r\nFrom: boss\r\n\r\npay\r\n"
    answer = await talk.say(b"From: a@b\r\n\r\nx" + ending + smuggled + b".")
    if policy == "refuse":
        assert answer.startswith("550 5.6.0")
        assert not desk.raws
    else:
        assert answer.startswith("250 2.0.0")
        (raw,) = desk.raws
        assert b"boss@shop.example" in raw.data
        assert raw.native["mail_from"] == "kunde@kunde.example"
        assert raw.data.count(b"\n") == raw.data.count(b"\r") == raw.data.count(b"\r\n")
        assert b"\x00" not in raw.data
    assert (await talk.say("NOOP")).startswith("250")


async def test_pipelining_in_every_cut(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk)
    one = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<hilfe@shop.example>\r\nDATA\r\n"
    mail = b"Subject: x\r\n\r\n..leading\r\n...\r\ntext\r\n.\r\n"
    stream = one + mail + one + mail + b"QUIT\r\n"
    for size in (1, 7, 64, len(stream)):
        desk.raws.clear()
        talk = await door.hello()
        for start in range(0, len(stream), size):
            talk.send(stream[start : start + size])
            await talk.writer.drain()
            await asyncio.sleep(0)
        codes = [line[:3] for line in (await asyncio.wait_for(talk.reader.read(), 20)).decode().splitlines()]
        assert codes == ["250", "250", "354", "250", "250", "250", "354", "250", "221"], size
        assert [raw.data for raw in desk.raws] == [b"Subject: x\r\n\r\n.leading\r\n..\r\ntext\r\n"] * 2


async def test_an_empty_mail_and_one_that_is_only_a_dot(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk)
    talk = await door.hello()
    for content, expected in ((b"", b""), (b"..\r\n", b".\r\n"), (b"\r\n", b"\r\n")):
        await talk.envelope()
        await talk.say("DATA")
        assert (await talk.say(content + b".")).startswith("250")
        assert desk.raws[-1].data == expected


async def test_lines_of_any_length_and_raw_8_bit_pass_unchanged(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk)
    talk = await door.hello()
    data = b"From: J\xfcrgen <j@kunde.example>\r\nSubject: \xc3\xa4\r\n\r\n" + b"x" * 1_000_000 + b"\xff\r\nende\r\n"
    await talk.envelope()
    await talk.say("DATA")
    assert (await talk.say(data + b".")).startswith("250")
    assert desk.raws[0].data == data


async def test_a_mail_at_the_limit_is_taken_and_one_byte_more_is_552(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk, max_message_bytes=10_000)
    talk = await door.hello()
    for size, expected in ((10_000, "250 2.0.0"), (10_001, "552 5.3.4"), (15_000, "552 5.3.4"), (100, "250 2.0.0")):
        await talk.envelope()
        await talk.say("DATA")
        assert (await talk.say(b"x" * (size - 2) + b"\r\n.")).startswith(expected), size
    assert [len(raw.data) for raw in desk.raws] == [10_000, 100]


async def test_a_flood_far_above_the_limit_ends_the_session(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk, max_message_bytes=100_000)
    talk = await door.hello()
    await talk.envelope()
    await talk.say("DATA")
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            talk.send(b"y" * 100_000)
            await talk.writer.drain()
    await door.until(lambda: door.adapter._intake._peers.sessions == 0)
    assert not desk.raws


async def test_memory_for_mail_is_bounded_over_all_sessions(open_door: OpenDoor, desk: Any) -> None:
    entered, released = asyncio.Event(), asyncio.Event()

    async def slow(_raw: Raw) -> None:
        entered.set()
        await released.wait()

    desk.behaviour = slow
    door = await open_door(desk, max_message_bytes=100_000, bytes_in_flight=100_000)
    first, second = await door.hello(), await door.hello()
    for talk in (first, second):
        await talk.envelope()
        assert (await talk.say("DATA")).startswith("354")
    first.send(b"x" * 95_000 + b"\r\n.\r\n")
    await asyncio.wait_for(entered.wait(), 5)
    assert (await second.say(b"y" * 50_000 + b"\r\n.")).startswith("452 4.3.1")
    assert (await second.say("MAIL FROM:<a@b.example>")).startswith("452 4.3.1")
    released.set()
    assert (await first.reply()).startswith("250")
    await second.envelope()
    assert (await second.say("DATA")).startswith("354")
    assert (await second.say(MAIL + b".")).startswith("250")


def test_breaks_are_mended_alike_and_at_once() -> None:
    rng = random.Random(7)
    for _ in range(500):
        data = bytes(rng.choice(b"\r\n\x00ab") for _ in range(rng.randrange(12)))
        mended = mend_breaks(data)
        assert mended == re.sub(rb"\r\n|\r|\n", b"\r\n", data.replace(b"\x00", b""))
        assert not has_bare_breaks(mended)
    began = time.thread_time()
    mend_breaks(b"\n" * 8_000_000)
    # A pattern took 2.4 s for this, on the loop that serves everybody.
    assert time.thread_time() - began < 1.0
