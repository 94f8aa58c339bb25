"""The SMTP door over real connections: what is taken, what is refused, and with which code."""
# ruff: noqa: E501 - mails are written as programs write them

import asyncio
import logging
import smtplib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bus.adapter.contract import Raw
from bus.errors import Overloaded, PermanentError, StorageFull, TransientError

OpenDoor = Callable[..., Awaitable[Any]]


MAIL = b"From: a@kunde.example\r\nSubject: Hallo\r\n\r\nGuten Tag\r\n"


async def test_takes_a_mail_and_says_250_only_after_accept_returned(open_door: OpenDoor, desk: Any) -> None:
    released = asyncio.Event()
    entered = asyncio.Event()

    async def slow(_raw: Raw) -> None:
        entered.set()
        await released.wait()

    desk.behaviour = slow
    door = await open_door(desk)
    talk = await door.hello()
    await talk.envelope("Hilfe@Shop.Example")
    assert (await talk.say("DATA")).startswith("354 ")
    talk.send(MAIL + b".\r\n")
    await asyncio.wait_for(entered.wait(), 5)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(talk.reader.read(1), 0.1)
    released.set()
    assert await talk.reply() == "250 2.0.0 Taken as c-1"
    (raw,) = desk.raws
    assert raw.data == MAIL
    assert (raw.tenant, raw.account, raw.media_type) == ("shop", "hilfe@shop.example", "message/rfc822")
    assert raw.native == {
        "mail_from": "kunde@kunde.example",
        "rcpt_to": ["Hilfe@Shop.Example"],
        "peer": "127.0.0.1",
        "helo": "client.example",
    }
    assert await talk.say("QUIT") == "221 2.0.0 Bye"


async def test_the_standard_library_can_send(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk)

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", door.port, timeout=10) as client:
            client.sendmail("", ["hilfe@shop.example"], b"Subject: x\r\n\r\n.dot\r\n..dots\r\nhei\r\n")
            client.sendmail("a@b.example", ["hilfe@shop.example"], b"Subject: 2\r\n\r\nx\r\n")

    await asyncio.to_thread(send)
    assert desk.raws[0].data == b"Subject: x\r\n\r\n.dot\r\n..dots\r\nhei\r\n"
    assert desk.raws[0].native["mail_from"] == ""
    assert desk.raws[1].native["mail_from"] == "a@b.example"


async def test_announces_what_it_can_and_nothing_else(open_door: OpenDoor) -> None:
    door = await open_door(max_message_bytes=12345)
    talk = await door.connect()
    assert await talk.reply() == "220 shop.example ESMTP"
    answer = (await talk.say("EHLO x")).split("\n")
    assert answer == [
        "250-shop.example", "250-SIZE 12345", "250-8BITMIME", "250-SMTPUTF8", "250-PIPELINING", "250 ENHANCEDSTATUSCODES",
    ]  # fmt: skip
    assert await talk.say("HELO x") == "250 shop.example"
    assert await talk.say("NOOP") == "250 2.0.0 OK"
    assert await talk.say("RSET") == "250 2.0.0 OK"
    assert (await talk.say("VRFY hilfe")).startswith("252 2.5.2")
    for command in ("EXPN list", "AUTH PLAIN AGEAYg==", "HELP", "BDAT 5"):
        assert (await talk.say(command)).startswith("500 5.5.2"), command


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["MAIL FROM:<a@b.example> SIZE=99999999"], "552 5.3.4"),
        (["MAIL FROM:a b"], "553 5.1.3"),
        (["MAIL FROM:<a@b"], "553 5.1.3"),
        (["MAIL FROM:<" + "(" * 400 + ">"], "250 2.1.0"),
        (["MAIL"], "501 5.5.4"),
        (["MAIL FROM:<a@b.example> RET=FULL"], "555 5.5.4"),
        (["MAIL FROM:<ä@b.example>"], "553 5.6.7"),
        (["MAIL FROM:<ä@b.example> SMTPUTF8"], "250 2.1.0"),
        ([b"MAIL FROM:<\xe4@b.example> SMTPUTF8"], "553 5.6.7"),
        (["MAIL FROM:<>", "MAIL FROM:<>"], "503 5.5.1"),
        (["RCPT TO:<hilfe@shop.example>"], "503 5.5.1"),
        (["DATA"], "503 5.5.1"),
        (["MAIL FROM:<>", "DATA"], "503 5.5.1"),
        (["MAIL FROM:<>", "RCPT TO:<nobody@shop.example>"], "550 5.1.1"),
        (["MAIL FROM:<>", "RCPT TO:<hilfe@elsewhere.example>"], "550 5.1.1"),
        (["MAIL FROM:<>", "RCPT TO:<>"], "550 5.1.1"),
        (["MAIL FROM:<>", "RCPT TO:<nobody@shop.example>", "DATA"], "503 5.5.1"),
        (["MAIL FROM:<>", "RCPT TO:<@relay.example:hilfe@shop.example>"], "250 2.1.5"),
        (["MAIL FROM:<>", "RCPT TO:<hilfe+k-1.abc@shop.example>"], "250 2.1.5"),
        (["MAIL FROM:<>", "RCPT TO:<postmaster>"], "250 2.1.5"),
        (["MAIL FROM:<>", "RCPT TO:<info@shop.example>"], "250 2.1.5"),
        (["MAIL FROM:<>", "RCPT TO:<hilfe@shop.example>", "DATA now"], "501 5.5.4"),
        (["NOOP " + "x" * 3000], "500 5.5.2"),
        (["NOOP " + "x" * 200_000], "500 5.5.2"),
        (["WHAT"], "500 5.5.2"),
        ([b"\xff\xfe"], "500 5.5.2"),
    ],
)
async def test_each_refusal_has_its_code(open_door: OpenDoor, lines: list[str | bytes], expected: str) -> None:
    door = await open_door(aliases=("info@shop.example",))
    talk = await door.hello()
    answer = ""
    for line in lines:
        answer = await talk.say(line)
    assert answer.startswith(expected)
    assert not door.desk.raws


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("db password=hunter2"), "451 4.3.0"),
        (TransientError("kafka down"), "451 4.3.0"),
        (PermanentError("odd"), "451 4.3.0"),
        (Overloaded("256 waiting"), "452 4.3.1"),
        (StorageFull("disk"), "452 4.3.1"),
    ],
)
async def test_our_own_trouble_is_never_permanent_and_never_told(
    open_door: OpenDoor, desk: Any, error: Exception, expected: str
) -> None:
    async def fail(_raw: Raw) -> None:
        raise error

    desk.behaviour = fail
    door = await open_door(desk)
    talk = await door.hello()
    await talk.envelope()
    await talk.say("DATA")
    answer = await talk.say(MAIL + b".")
    assert answer.startswith(expected)
    assert str(error) not in answer
    assert type(error).__name__ not in answer
    # The session goes on, and the next try succeeds.
    desk.behaviour = None
    await talk.envelope()
    await talk.say("DATA")
    assert (await talk.say(MAIL + b".")).startswith("250 2.0.0")


async def test_a_fault_of_the_session_is_451_without_a_word_of_it(
    open_door: OpenDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = await open_door()
    talk = await door.hello()

    def explode(*_: object) -> bool:
        raise RuntimeError("secret path /etc/x")

    monkeypatch.setattr("adapters.email.session._is_clean", explode)
    assert (
        await talk.say("MAIL FROM:<a@b.example>") == "451 4.3.0 Temporary trouble on our side, please try again later"
    )
    assert await talk.closed()


async def test_too_slow_to_become_durable_is_451_and_the_write_goes_on(open_door: OpenDoor, desk: Any) -> None:
    released = asyncio.Event()

    async def slow(_raw: Raw) -> None:
        await released.wait()

    desk.behaviour = slow
    door = await open_door(desk, accept_s=0.1)
    talk = await door.hello()
    await talk.envelope()
    await talk.say("DATA")
    assert (await talk.say(MAIL + b".")).startswith("451 4.3.0")
    assert not desk.raws
    released.set()
    await door.until(lambda: len(desk.raws) == 1)


async def test_a_client_that_hangs_up_does_not_stop_the_write(open_door: OpenDoor, desk: Any) -> None:
    entered, released = asyncio.Event(), asyncio.Event()

    async def slow(_raw: Raw) -> None:
        entered.set()
        await released.wait()

    desk.behaviour = slow
    door = await open_door(desk)
    talk = await door.hello()
    await talk.envelope()
    await talk.say("DATA")
    talk.send(MAIL + b".\r\n")
    await asyncio.wait_for(entered.wait(), 5)
    talk.reset()
    await door.until(lambda: door.adapter._intake._peers.sessions == 0)
    released.set()
    await door.until(lambda: len(desk.raws) == 1)


async def test_a_client_that_closes_its_sending_side_still_gets_its_answers(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk)
    talk = await door.connect()
    talk.send(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<hilfe@shop.example>\r\nDATA\r\n" + MAIL + b".\r\n")
    talk.writer.write_eof()
    everything = (await asyncio.wait_for(talk.reader.read(), 10)).decode()
    assert everything.rstrip().endswith("250 2.0.0 Taken as c-1")


async def test_nothing_of_a_mail_is_logged_by_the_library(
    open_door: OpenDoor, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    door = await open_door()
    with caplog.at_level(logging.DEBUG):
        talk = await door.hello()
        await talk.envelope(sender="geheim@kunde.example")
        await talk.say("DATA")
        await talk.say(b"Subject: Kanarienvogel\r\n\r\nx\r\n.")
        await talk.say("QUIT")
    out = caplog.text + "".join(capsys.readouterr())
    assert "geheim" not in out
    assert "Kanarienvogel" not in out
