"""The SMTP door over real connections: what is taken, what is refused, and with which code."""
# ruff: noqa: E501 - mails are written as programs write them

import asyncio
import contextlib
import logging
import smtplib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.email.tokens import case_address, case_thread_id, own_message_id
from bus.adapter.contract import Raw
from bus.adapter.tokens import Signer
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
    await _until(lambda: len(desk.raws) == 1)


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
    _reset(talk.writer)
    await _until(lambda: door.adapter._intake._peers.sessions == 0)
    released.set()
    await _until(lambda: len(desk.raws) == 1)


async def test_a_client_that_hangs_up_in_data_leaves_nothing(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk)
    for half in (b"", b"From: a@b\r\n\r\nhal", MAIL + b"."):
        talk = await door.hello()
        await talk.envelope()
        await talk.say("DATA")
        talk.send(half)
        await talk.writer.drain()
        _reset(talk.writer)
    await _until(lambda: door.adapter._intake._peers.sessions == 0)
    talk = await door.hello()
    await talk.envelope()
    await talk.say("DATA")
    assert (await talk.say(MAIL + b".")).startswith("250 2.0.0 Taken as c-1")
    assert len(desk.raws) == 1


async def test_a_client_that_closes_its_sending_side_still_gets_its_answers(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk)
    talk = await door.connect()
    talk.send(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<hilfe@shop.example>\r\nDATA\r\n" + MAIL + b".\r\n")
    talk.writer.write_eof()
    everything = (await asyncio.wait_for(talk.reader.read(), 10)).decode()
    assert everything.rstrip().endswith("250 2.0.0 Taken as c-1")


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
    await _until(lambda: door.adapter._intake._peers.sessions == 0)
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


async def test_recipients_are_counted_and_make_one_contact(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk)
    talk = await door.hello()
    await talk.say("MAIL FROM:<a@b.example>")
    talk.send(b"RCPT TO:<hilfe@shop.example>\r\n" * 101)
    codes = [(await talk.reply())[:9] for _ in range(101)]
    assert codes == ["250 2.1.5"] * 100 + ["452 4.5.3"]
    await talk.say("DATA")
    assert (await talk.say(MAIL + b".")).startswith("250")
    assert len(desk.raws) == 1
    assert len(desk.raws[0].native["rcpt_to"]) == 100


async def test_connections_per_network_and_in_all(open_door: OpenDoor) -> None:
    door = await open_door(connections_per_peer=2)
    first, _ = await door.hello(), await door.hello()
    refused = await door.connect()
    assert (await refused.reply()).startswith("421 4.7.0")
    assert await refused.closed()
    first.close()
    await _until(lambda: door.adapter._intake._peers.sessions == 1)
    await door.hello()

    crowded = await open_door(connections=1, connections_per_peer=5)
    await crowded.hello()
    assert (await (await crowded.connect()).reply()).startswith("421 4.7.0")


async def test_mails_per_session_are_counted(open_door: OpenDoor) -> None:
    door = await open_door(messages_per_session=2)
    talk = await door.hello()
    for _ in range(2):
        await talk.envelope()
        await talk.say("DATA")
        assert (await talk.say(MAIL + b".")).startswith("250")
    assert (await talk.say("MAIL FROM:<a@b.example>")).startswith("421 4.7.0")
    assert await talk.closed()


async def test_dripping_data_ends_at_its_deadline(open_door: OpenDoor, desk: Any) -> None:
    door = await open_door(desk, data_s=0.3)
    talk = await door.hello()
    await talk.envelope()
    await talk.say("DATA")

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                talk.send(b"x")
                await talk.writer.drain()
                await asyncio.sleep(0.02)

    dripping = asyncio.ensure_future(drip())
    assert (await talk.reply()).startswith("421 4.4.2")
    assert await talk.closed()
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    assert not desk.raws


async def test_idle_sessions_and_whole_sessions_end(open_door: OpenDoor) -> None:
    idle = await open_door(command_s=1.0)
    assert await (await idle.hello()).closed()
    short = await open_door(session_s=1.5)
    talk = await short.hello()
    answers = [await talk.say("NOOP")]
    while answers[-1].startswith("250"):
        answers.append(await talk.say("NOOP"))
        await asyncio.sleep(0.01)
    assert answers[-1].startswith("421 4.4.2")


async def test_a_session_deadline_does_not_cut_a_mail_under_way(open_door: OpenDoor, desk: Any) -> None:
    released = asyncio.Event()

    async def slow(_raw: Raw) -> None:
        await released.wait()

    desk.behaviour = slow
    door = await open_door(desk, session_s=1.0)
    talk = await door.hello()
    await talk.envelope()
    await talk.say("DATA")
    talk.send(MAIL + b".\r\n")
    await _until(lambda: any(session._leaving for session in door.adapter._intake._sessions))
    released.set()
    assert (await talk.reply()).startswith("250 2.0.0")
    assert await talk.closed()


async def test_leaving_finishes_the_mail_under_way_and_dismisses_the_others(open_door: OpenDoor, desk: Any) -> None:
    entered, released = asyncio.Event(), asyncio.Event()

    async def slow(_raw: Raw) -> None:
        entered.set()
        await released.wait()

    desk.behaviour = slow
    door = await open_door(desk)
    busy, idle = await door.hello(), await door.hello()
    await busy.envelope()
    await busy.say("DATA")
    busy.send(MAIL + b".\r\n")
    await asyncio.wait_for(entered.wait(), 5)
    stopping = asyncio.ensure_future(door.adapter._intake.stop())
    assert (await idle.reply()).startswith("421 4.4.2")
    released.set()
    assert (await busy.reply()).startswith("250 2.0.0")
    await asyncio.wait_for(stopping, 5)
    assert len(desk.raws) == 1


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


@pytest.mark.parametrize("place", ["recipient", "to", "cc", "delivered-to", "in-reply-to", "references"])
async def test_our_own_signature_finds_the_case(open_door: OpenDoor, desk: Any, signer: Signer, place: str) -> None:
    door = await open_door(desk)
    case = "k-00000000000000000001"
    address = case_address("hilfe@shop.example", case, signer, "shop")
    thread = case_thread_id(case, "shop.example", signer, "shop")
    head, recipient, by = b"From: a@b.example\r\n", "hilfe@shop.example", "recipient"
    if place == "recipient":
        # Mail hosts fold the case of addresses.
        recipient = address.upper()
    elif place in ("to", "cc", "delivered-to"):
        head += f"{place.title()}: Nordlicht\r\n <{address}>\r\n".encode()
    elif place == "in-reply-to":
        head += f"In-Reply-To: {thread}\r\n".encode()
        by = place
    else:
        head += f"References: <x@kunde.example>\r\n {thread}\r\n <y@kunde.example>\r\n".encode()
        by = "references"
    talk = await door.hello()
    await talk.envelope(recipient)
    await talk.say("DATA")
    assert (await talk.say(head + b"\r\nSubject: in the body\r\n.")).startswith("250")
    assert desk.raws[0].native["case_token"] == case
    assert desk.raws[0].native["case_token_by"] == by


async def test_a_forged_or_foreign_signature_finds_nothing(open_door: OpenDoor, desk: Any, signer: Signer) -> None:
    door = await open_door(desk)
    good = case_address("hilfe@shop.example", "k-1", signer, "shop")
    other_tenant = case_address("hilfe@shop.example", "k-1", signer, "bank")
    forged = good.replace("k-1", "k-2")
    in_body = f"To: {good}"
    talk = await door.hello()
    for address in (forged, other_tenant, "hilfe+@shop.example", "hilfe+k-1@shop.example"):
        await talk.envelope(address)
        await talk.say("DATA")
        await talk.say(f"From: a@b.example\r\nTo: {address}\r\n\r\n{in_body}\r\n.".encode())
    assert len(desk.raws) == 4
    assert all("case_token" not in raw.native for raw in desk.raws)


BOUNCE = """From: MAILER-DAEMON@mx.kunde.example
To: {to}
Subject: Undelivered Mail
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It did not work.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.kunde.example

Final-Recipient: rfc822; a@kunde.example
Action: {action}
Status: {status}

--b
Content-Type: text/rfc822-headers

Message-ID: {message_id}
--b--
"""


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("failed", "5.1.1", [True]), ("failed", "5.2.2", [False]), ("failed", "5.7.26", [False]),
        ("failed", "4.4.7", [False]), ("delayed", "4.4.1", []),
    ],
)  # fmt: skip
async def test_a_bounce_of_our_reply_becomes_its_status(
    open_door: OpenDoor, desk: Any, signer: Signer, action: str, status: str, expected: list[bool]
) -> None:
    door = await open_door(desk)
    message_id = own_message_id("r-1", "shop.example", signer, "shop")
    to = case_address("hilfe@shop.example", "k-1", signer, "shop")
    source = BOUNCE.format(to=to, action=action, status=status, message_id=message_id)
    talk = await door.hello()
    await talk.envelope(to, sender="")
    await talk.say("DATA")
    assert (await talk.say(source.replace("\n", "\r\n").encode() + b".")).startswith("250")
    assert [one.permanent for one in desk.statuses] == expected
    assert all((one.reply, one.case, one.state) == ("r-1", "k-1", "failed") for one in desk.statuses)
    # The same report with a signature that is not ours says nothing.
    desk.statuses.clear()
    await talk.envelope(to, sender="")
    await talk.say("DATA")
    await talk.say(source.replace("r-1.", "r-9.").replace("\n", "\r\n").encode() + b".")
    assert desk.statuses == []


async def test_starttls_keeps_the_session_counted(open_door: OpenDoor, tmp_path: Any) -> None:
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    process = await asyncio.create_subprocess_exec(
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
        "-keyout", str(key), "-out", str(certificate), stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
    door = await open_door(tls_certificate_file=str(certificate), tls_key_file=str(key), connections_per_peer=1)

    def send() -> str:
        with smtplib.SMTP("127.0.0.1", door.port, timeout=10) as client:
            client.ehlo()
            assert client.has_extn("starttls")
            client.starttls()
            client.ehlo()
            assert not client.has_extn("starttls")
            with pytest.raises(smtplib.SMTPConnectError) as refused:
                smtplib.SMTP("127.0.0.1", door.port, timeout=10)
            client.sendmail("a@b.example", ["hilfe@shop.example"], MAIL)
            return str(refused.value.smtp_code)

    assert await asyncio.to_thread(send) == "421"
    assert door.desk.raws[0].data == MAIL
    await _until(lambda: door.adapter._intake._peers.sessions == 0)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Drop the connection with a reset, as a crashed client does."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
