"""Replies on their way: handed to a real relay, and what is known after each trouble with it."""
# ruff: noqa: E501 - mails are written as programs write them

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from adapters.email import EmailConfig, create_email, plugin
from adapters.email.adapter import EmailAdapter
from adapters.email.mailbox import CUT, Mailbox
from adapters.email.sender import classify
from bus.adapter.contract import Accepted, Refused, RetryLater, SendResult, Services, Unknown
from bus.errors import ConfigurationError
from bus.message import Attachment, Party, Reply
from bus.store.blobs import digest_of

Changed = Callable[..., Reply]

MakeServices = Callable[[Any], Services]


@pytest_asyncio.fixture
async def mailbox(tmp_path: Path) -> AsyncIterator[Mailbox]:
    async with Mailbox(folder=tmp_path / "mailbox") as opened:
        yield opened


MakeAdapter = Callable[..., EmailAdapter]


@pytest_asyncio.fixture
async def adapter_for(make_services: MakeServices, desk: Any) -> AsyncIterator[MakeAdapter]:
    made: list[EmailAdapter] = []

    def make(box: Mailbox | None, **settings: Any) -> EmailAdapter:
        if box is not None:
            host, port = box.address
            settings = {"relay_host": host, "relay_port": port, **settings}
        adapter = create_email(EmailConfig(**{"smtp_port": 0, "relay_timeout_s": 5.0, **settings}), make_services(desk))
        made.append(adapter)
        return adapter

    yield make
    for adapter in made:
        await adapter.close()


async def test_a_reply_arrives(adapter_for: MakeAdapter, mailbox: Mailbox, reply: Reply) -> None:
    adapter = adapter_for(mailbox)
    result = await adapter.send(reply, 1)
    mail = await mailbox.wait_for(lambda one: "grete.ohlsen@kunde.example" in one.rcpt_to)
    assert result == Accepted(provider_id="MB000001")
    assert mail.text == reply.text.rstrip()
    assert mail.subject.startswith("AW: Doppelt abgebucht")
    assert mail.sender == "hilfe@shop.example"
    assert mail.in_reply_to == "<1f2e@kunde.example>"
    assert mail.mail_from == mail.reply_to
    assert mail.headers["auto-submitted"] == "auto-replied"
    assert mailbox.sent_to("Grete.Ohlsen@kunde.example") == (mail,)


async def test_many_replies_share_connections(adapter_for: MakeAdapter, mailbox: Mailbox, changed: Changed) -> None:
    adapter = adapter_for(mailbox, relay_connections=3)
    connections: list[str] = []
    mailbox.script = lambda stage, _address: connections.append(stage) if stage == "connect" else None
    results = await asyncio.gather(*(adapter.send(changed(id=f"r-{number:020d}"), 1) for number in range(30)))
    assert all(isinstance(one, Accepted) for one in results)
    assert len(mailbox.mails) == 30
    assert len({mail.message_id for mail in mailbox.mails}) == 30
    assert 1 <= len(connections) <= 3


@pytest.mark.parametrize(
    ("stage", "answer", "expected", "after_s"),
    [
        ("connect", "421 4.3.2 busy", RetryLater, 60.0),
        ("connect", "554 5.7.1 go away", RetryLater, 3600.0),
        ("connect", CUT, RetryLater, 60.0),
        ("mail", "451 4.3.0 later", RetryLater, 60.0),
        ("mail", "530 5.7.0 must authenticate", RetryLater, 3600.0),
        ("mail", "552 5.3.4 too big", Refused, None),
        ("rcpt", "550 5.1.1 no such user grete.ohlsen@kunde.example", Refused, None),
        ("rcpt", "450 4.7.1 greylisted", RetryLater, 300.0),
        ("rcpt", "552 5.2.2 mailbox full", RetryLater, 3600.0),
        ("rcpt", "550 5.7.26 unauthenticated mail", RetryLater, 3600.0),
        ("rcpt", CUT, RetryLater, 60.0),
        ("data", "451 4.3.0 later", RetryLater, 60.0),
        ("data", "554 5.5.1 no valid recipients", Refused, None),
        ("data", CUT, RetryLater, 60.0),
        ("end", "451 4.3.0 later", RetryLater, 60.0),
        ("end", "554 5.6.0 bad content", Refused, None),
        ("end", CUT, Unknown, None),
        ("kept", CUT, Unknown, None),
        ("kept", "what?", Unknown, None),
        ("kept", "299 2.6.0 kept, in our own way", Accepted, None),
    ],
)
async def test_what_is_known_after_each_trouble(
    adapter_for: MakeAdapter,
    mailbox: Mailbox,
    stage: str,
    answer: str,
    expected: type[SendResult],
    after_s: float | None,
    reply: Reply,
) -> None:
    adapter = adapter_for(mailbox)
    mailbox.script = lambda at, _address: answer if at == stage else None
    result = await adapter.send(reply, 1)
    assert type(result) is expected
    if isinstance(result, RetryLater):
        assert result.after_s == after_s
    if isinstance(result, RetryLater | Refused | Unknown):
        assert "grete" not in result.reason
        assert "later" not in result.reason
    # What was not kept was not sent, and the other way round.
    assert len(mailbox.mails) == (1 if stage == "kept" else 0)
    # The next attempt goes through, under the same id.
    mailbox.script = None
    assert isinstance(await adapter.send(reply, 2), Accepted)
    assert len({mail.message_id for mail in mailbox.mails}) == 1


async def test_a_relay_that_says_nothing_after_the_dot_is_unknown(
    make_services: MakeServices, desk: Any, reply: Reply
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 x\r\n")
        in_data = False
        while line := await reader.readline():
            if in_data:
                continue
            in_data = line.upper().startswith(b"DATA")
            writer.write(b"354 go\r\n" if in_data else b"250 ok\r\n")
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    adapter = create_email(
        EmailConfig(relay_host="127.0.0.1", relay_port=port, relay_timeout_s=0.3), make_services(desk)
    )
    assert isinstance(await adapter.send(reply, 1), Unknown)
    await adapter.close()
    server.close()


async def test_a_kept_connection_that_died_is_not_used(
    adapter_for: MakeAdapter, mailbox: Mailbox, reply: Reply, changed: Changed
) -> None:
    adapter = adapter_for(mailbox, relay_connections=1)
    assert isinstance(await adapter.send(reply, 1), Accepted)
    for transport in tuple(mailbox._transports):
        transport.close()
    assert isinstance(await adapter.send(changed(id="r-00000000000000000007"), 1), Accepted)


async def test_no_relay_no_sending(adapter_for: MakeAdapter, reply: Reply) -> None:
    adapter = adapter_for(None)
    result = await adapter.send(reply, 1)
    assert isinstance(result, RetryLater)
    assert result.reason == "no relay configured"
    receiving = asyncio.ensure_future(adapter.receive())
    await adapter.listening()
    health = await adapter.probe()
    assert not health.ok
    assert "no relay configured" in health.detail
    assert "relay_host" in health.fix
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)


async def test_a_taken_address_is_said_and_not_waited_for(adapter_for: MakeAdapter, mailbox: Mailbox) -> None:
    adapter = adapter_for(mailbox, smtp_port=mailbox.address[1])
    receiving = asyncio.ensure_future(adapter.receive())
    with pytest.raises(ConfigurationError, match=f"{mailbox.address[1]}.*--smtp"):
        await asyncio.wait_for(adapter.listening(), 5)
    with pytest.raises(OSError, match="address already in use"):
        await receiving
    health = await adapter.probe()
    assert not health.ok
    assert str(mailbox.address[1]) in health.detail


async def test_health(adapter_for: MakeAdapter, mailbox: Mailbox) -> None:
    adapter = adapter_for(mailbox)
    closed = await adapter.probe()
    assert not closed.ok
    assert "nothing listens" in closed.detail
    receiving = asyncio.ensure_future(adapter.receive())
    host, port = await adapter.listening()
    assert (await adapter.probe()).ok
    await mailbox.close()
    reader, writer = await asyncio.open_connection(host, port)
    assert (await reader.readline()).startswith(b"220 ")
    writer.close()
    down = await adapter.probe()
    assert not down.ok
    assert "relay" in down.detail
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)


async def test_unusable_recipients_and_missing_attachments_are_refused(
    adapter_for: MakeAdapter, mailbox: Mailbox, changed: Changed
) -> None:
    adapter = adapter_for(mailbox)
    assert isinstance(await adapter.send(changed(to=Party(kind="email", address="nobody")), 1), Refused)
    missing = Attachment(digest="sha256:" + "0" * 64, media_type="application/pdf", size=1, name="x.pdf")
    assert isinstance(await adapter.send(changed(attachments=(missing,)), 1), Refused)
    assert mailbox.mails == ()


async def test_an_attachment_that_the_disk_does_not_give_now_is_waited_for(
    adapter_for: MakeAdapter, mailbox: Mailbox, changed: Changed
) -> None:
    adapter = adapter_for(mailbox)
    data = b"terms"
    digest = digest_of(data)
    # Nothing was sent, and that is certain: neither a refusal nor a doubt.
    path = adapter._services.blobs.path(digest)
    path.mkdir(parents=True)
    reply = changed(attachments=(Attachment(digest=digest, media_type="text/plain", size=5, name="a.txt"),))
    assert isinstance(await adapter.send(reply, 1), RetryLater)
    path.rmdir()
    path.write_bytes(data)
    assert isinstance(await adapter.send(reply, 2), Accepted)


def test_back_off_grows() -> None:
    waits = [classify(451, b"4.3.0 x", attempt) for attempt in (1, 2, 3, 4, 5, 50)]
    assert [one.after_s for one in waits if isinstance(one, RetryLater)] == [60, 300, 900, 3600, 14400, 14400]


async def test_the_mailbox_remembers_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "box"
    async with Mailbox(folder=folder) as first:
        await first.keep("a@b.example", ["c@d.example"], b"Subject: eins\r\n\r\nx\r\n")
    async with Mailbox(folder=folder) as second:
        assert [(mail.subject, mail.rcpt_to, mail.mail_from) for mail in second.mails] == [
            ("eins", ("c@d.example",), "a@b.example")
        ]
        later = await second.keep("", ["c@d.example"], b"Subject: zwei\r\n\r\nx\r\n")
        assert later.number == 2
        with pytest.raises(TimeoutError):
            await second.wait_for(lambda mail: mail.subject == "drei", timeout=0.05)
        waiting = asyncio.ensure_future(second.wait_for(lambda mail: mail.subject == "drei"))
        await asyncio.sleep(0)
        await second.keep("", ["c@d.example"], b"Subject: drei\r\n\r\nx\r\n")
        assert (await waiting).number == 3


type_of_open_door = Callable[..., Awaitable[Any]]


async def test_there_and_back_again(open_door: type_of_open_door, mailbox: Mailbox, desk: Any, reply: Reply) -> None:
    """A customer answers our mail with their program; the answer carries its case."""
    host, port = mailbox.address
    door = await open_door(desk, relay_host=host, relay_port=port)
    assert isinstance(await door.adapter.send(reply, 1), Accepted)
    mail = mailbox.mails[0]
    talk = await door.hello()
    await talk.envelope(mail.reply_to)
    await talk.say("DATA")
    answer = (
        f"From: Grete <grete.ohlsen@kunde.example>\r\nTo: {mail.reply_to}\r\nSubject: Re: {mail.subject.encode('ascii', 'replace').decode()}"
        f"\r\nIn-Reply-To: {mail.message_id}\r\nReferences: {' '.join(mail.references)} {mail.message_id}\r\n\r\nNein, danke.\r\n."
    )  # fmt: skip
    assert (await talk.say(answer)).startswith("250")
    contact = plugin.normalise(desk.raws[0], door.config).contact
    assert contact.case_token == reply.case
    assert contact.native["case_token_by"] == "recipient"
    assert contact.conversation == "<root@kunde.example>"
    assert contact.text == "Nein, danke."
