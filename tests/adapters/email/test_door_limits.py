"""What one client may take of the SMTP door, and for how long."""

import asyncio
import contextlib
import smtplib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bus.adapter.contract import Raw

OpenDoor = Callable[..., Awaitable[Any]]


MAIL = b"From: a@kunde.example\r\nSubject: Hallo\r\n\r\nGuten Tag\r\n"


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
    await door.until(lambda: door.adapter._intake._peers.sessions == 1)
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
    await door.until(lambda: any(session._leaving for session in door.adapter._intake._sessions))
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
    await door.until(lambda: door.adapter._intake._peers.sessions == 0)
