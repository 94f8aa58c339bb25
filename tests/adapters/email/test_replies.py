"""Replies: the mail that is rendered, read back by the standard library, and sent to a real mailbox."""
# ruff: noqa: E501 - mails are written as programs write them

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from adapters.email import EmailConfig, create_email, plugin
from adapters.email.adapter import EmailAdapter
from adapters.email.mailbox import CUT, Mailbox
from adapters.email.render import Rendered, render, subject_line
from adapters.email.sender import classify
from adapters.email.tokens import find_case
from bus.adapter.contract import Accepted, Refused, RetryLater, SendResult, Services, Unknown
from bus.adapter.tokens import Signer
from bus.errors import ConfigurationError, UnsupportedFeature
from bus.message import Attachment, Party, Reply
from bus.store.blobs import digest_of

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
CONFIG = EmailConfig()
REPLY = Reply(
    id="r-00000000000000000001",
    tenant="shop",
    case="k-00000000000000000002",
    channel="email",
    account="hilfe@shop.example",
    to=Party(kind="email", address="grete.ohlsen@kunde.example", name="Grete Öhlsen, Dr."),
    text=(
        "Guten Tag Frau Ohlsen,\n\nwir haben 49,90 € erstattet. Einzelheiten: https://shop.example/a?b=1&c=2.\n"
        ".Punkt am Anfang\nFrom hier an\n\nViele Grüße\n" + "Ein sehr langer Absatz ohne Umbruch. " * 20
    ),
    language="de",
    in_reply_to="<1f2e@kunde.example>",
    references=("<root@kunde.example>", "<1f2e@kunde.example>"),
    subject="Re: AW: Doppelt abgebucht für Bestellung SO-10234 und noch einiges mehr, damit der Betreff lang wird",
    case_number="12345678901234",
)


def parse(mail: Rendered) -> EmailMessage:
    message = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def changed(**changes: Any) -> Reply:
    return msgspec.structs.replace(REPLY, **changes)


def test_a_reply_reads_as_it_was_meant(signer: Signer) -> None:
    mail = render(REPLY, CONFIG, signer, NOW)
    message = parse(mail)
    assert message["From"] == "Nordlicht Handel <hilfe@shop.example>"
    assert message["To"].addresses[0].display_name == "Grete Öhlsen, Dr."
    assert message["To"].addresses[0].addr_spec == "grete.ohlsen@kunde.example"
    assert message["Subject"] == (
        "AW: Doppelt abgebucht für Bestellung SO-10234 und noch einiges mehr, damit der Betreff lang wird "
        "[Fall 1234 5678 9012 34]"
    )
    assert message["Date"].datetime == NOW
    assert message["In-Reply-To"] == "<1f2e@kunde.example>"
    references = message["References"].split()
    assert references[1:] == ["<root@kunde.example>", "<1f2e@kunde.example>"]
    assert references[0].startswith("<k-00000000000000000002.")
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["X-Auto-Response-Suppress"] == "All"
    assert message["Content-Language"] == "de"
    assert "List-Unsubscribe" not in message
    plain = message.get_body(("plain",))
    assert plain is not None
    assert plain.get_content().replace("\r\n", "\n").rstrip("\n") == REPLY.text
    html = message.get_body(("html",))
    assert html is not None
    source = html.get_content()
    assert '<html lang="de">' in source
    assert '<a href="https://shop.example/a?b=1&amp;c=2">' in source
    assert "49,90 €" in source
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_the_wire_form_is_safe_everywhere(signer: Signer) -> None:
    mail = render(REPLY, CONFIG, signer, NOW)
    mail.data.decode("ascii")
    lines = mail.data.split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert max(len(line) for line in lines) <= 76
    assert not any(line.startswith((b".", b"From ")) for line in lines)


def test_the_same_reply_is_the_same_bytes_and_the_same_id(signer: Signer) -> None:
    first, second = render(REPLY, CONFIG, signer, NOW), render(REPLY, CONFIG, signer, NOW)
    assert first == second
    later = render(REPLY, CONFIG, signer, NOW.replace(hour=23))
    assert later.message_id == first.message_id
    assert f"\r\nMessage-ID: {first.message_id}\r\n".encode() in first.data
    assert render(changed(id="r-00000000000000000009"), CONFIG, signer, NOW).message_id != first.message_id


def test_what_comes_back_finds_its_case(signer: Signer) -> None:
    message = parse(render(REPLY, CONFIG, signer, NOW))
    reply_to = message["Reply-To"].addresses[0].addr_spec
    own = (CONFIG.address,)
    assert len(reply_to.partition("@")[0]) <= 64
    by_address = find_case(b"Subject: x\r\n\r\n", [reply_to.upper()], own, signer, "shop")
    assert by_address is not None
    assert (by_address.case, by_address.by) == (REPLY.case, "recipient")
    answer = f"References: {message['References']}\r\n {message['Message-ID']}\r\n\r\n".encode()
    by_thread = find_case(answer, ["hilfe@shop.example"], own, signer, "shop")
    assert by_thread is not None
    assert (by_thread.case, by_thread.by) == (REPLY.case, "references")
    # A relay that replaces our Message-ID leaves the id of the case.
    replaced = (
        f"In-Reply-To: <0102@ses.example>\r\nReferences: {message['References']} <0102@ses.example>\r\n\r\n".encode()
    )
    assert find_case(replaced, [], own, signer, "shop") == by_thread
    assert find_case(answer, [reply_to], own, Signer(b"another secret, long enough"), "shop") is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "AW: Lampe [Fall 1234 5678 9012 34]"),
        ({"language": "nb"}, "SV: Lampe [Sak 1234 5678 9012 34]"),
        ({"language": "en"}, "Re: Lampe [Case 1234 5678 9012 34]"),
        ({"subject": "AW: Re[2]: SV: Lampe [Fall 1234 5678 9012 34]"}, "AW: Lampe [Fall 1234 5678 9012 34]"),
        ({"subject": ""}, "Ihre Nachricht an uns [Fall 1234 5678 9012 34]"),
        ({"subject": "", "language": "nb"}, "Meldingen din til oss [Sak 1234 5678 9012 34]"),
        ({"case_number": ""}, "AW: Lampe"),
        ({"in_reply_to": "", "references": (), "case_number": ""}, "Lampe"),
        ({"subject": "Lampe\r\nBcc: x@y.example"}, "AW: Lampe Bcc: x@y.example [Fall 1234 5678 9012 34]"),
        (
            {"kind": "acknowledgement", "subject": "Gewinnen Sie auf https://bad.example/x jetzt " + "!" * 300},
            "AW: Gewinnen Sie auf jetzt " + "!" * 57 + " [Fall 1234 5678 9012 34]",
        ),
    ],
)
def test_subjects(changes: dict[str, Any], expected: str) -> None:
    assert subject_line(changed(**{"subject": "Lampe", **changes})) == expected


@pytest.mark.parametrize(
    "poison",
    ["x\r\nBcc: evil@evil.example", "x\nBcc: evil@evil.example", "x\rBcc: evil", "x\u2028Bcc: evil", "x\x00\x0bBcc: evil",
     "=?utf-8?q?x=0D=0ABcc=3A_evil?=", "x\r\n\r\nbody", '"; x="', "\u202eevil"],
)  # fmt: skip
def test_no_value_becomes_a_header(signer: Signer, poison: str) -> None:
    clean = [name for name in parse(render(changed(subject="x", to=REPLY.to), CONFIG, signer, NOW))]  # noqa: C416
    mail = render(
        changed(
            subject=poison,
            to=Party(kind="email", address="a@b.example", name=poison),
            in_reply_to=f"<{poison}@x>",
            references=(f"<{poison}@x>", "<good@x.example>"),
            attachments=(),
            case_number="12345678901234",
            language=poison,
        ),
        CONFIG,
        signer,
        NOW,
        [(Attachment(digest="d", media_type=poison, size=1, name=poison), b"x")],
    )
    message = email.message_from_bytes(mail.data)
    assert set(message.keys()) <= set(clean)
    assert "evil@evil.example" not in str(message["Bcc"])
    assert len(message.get_all("Subject") or []) == 1
    assert message["References"].split()[1:] == ["<good@x.example>"]
    assert [part.get_content_type() for part in message.walk()][:3] == [
        "multipart/mixed", "multipart/alternative", "text/plain",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "address",
    ["", "x", "a@", "@b", "a b@c.example", "a@b.example\r\nRCPT TO:<c@d.example>", "a@b.example>", "<a@b.example>",
     "a@b.example,c@d.example", "ä@b.example", "a@b@c.example"],
)  # fmt: skip
def test_addresses_that_cannot_be_written_to(signer: Signer, address: str) -> None:
    with pytest.raises(UnsupportedFeature):
        render(changed(to=Party(kind="email", address=address)), CONFIG, signer, NOW)


def test_an_international_domain_is_written_in_ascii(signer: Signer) -> None:
    mail = render(changed(to=Party(kind="email", address="info@bücher.example")), CONFIG, signer, NOW)
    assert mail.rcpt_to == "info@xn--bcher-kva.example"


def test_many_references_keep_the_first_and_the_last(signer: Signer) -> None:
    ids = tuple(f"<{number}@kunde.example>" for number in range(50))
    message = parse(render(changed(references=ids, in_reply_to=ids[-1]), CONFIG, signer, NOW))
    references = message["References"].split()
    assert len(references) == 20
    assert references[1] == ids[0]
    assert references[-1] == ids[-1]
    assert len(set(references)) == 20


def test_envelope_and_marks_by_kind(signer: Signer) -> None:
    acknowledgement = render(changed(kind="acknowledgement"), CONFIG, signer, NOW)
    assert acknowledgement.mail_from == ""
    answer = render(REPLY, CONFIG, signer, NOW)
    assert answer.mail_from == parse(answer)["Reply-To"].addresses[0].addr_spec
    by_person = parse(render(changed(automatic=False), CONFIG, signer, NOW))
    assert "Auto-Submitted" not in by_person
    assert "X-Auto-Response-Suppress" not in by_person
    campaign = parse(render(changed(purpose="marketing", in_reply_to="", references=()), CONFIG, signer, NOW))
    assert campaign["Auto-Submitted"] == "auto-generated"
    assert campaign["List-Unsubscribe"].startswith("<mailto:hilfe+k-")
    assert "In-Reply-To" not in campaign


def test_two_of_our_own_instances_do_not_talk_to_each_other(signer: Signer) -> None:
    """Whatever we send automatically, the other one sees as automatic."""
    for reply in (REPLY, changed(kind="acknowledgement"), changed(purpose="marketing")):
        mail = render(reply, CONFIG, signer, NOW)
        other = EmailConfig(address="help@other.example")
        raw = plugin.raw_from_file(mail.data, "x.eml", other)
        assert plugin.normalise(raw, other).contact.automatic


def test_attachments_come_through(signer: Signer) -> None:
    name = "Rücksendeetikett für Bestellung SO-10234 – bitte ausdrucken und auf das Paket kleben.pdf"
    data = bytes(range(256)) * 50
    attachment = Attachment(digest=digest_of(data), media_type="application/pdf", size=len(data), name=name)
    message = parse(render(changed(attachments=(attachment,)), CONFIG, signer, NOW, [(attachment, data)]))
    (found,) = message.iter_attachments()
    assert found.get_filename() == name
    assert found.get_content_type() == "application/pdf"
    assert found.get_content() == data
    mail = render(REPLY, CONFIG, signer, NOW, [(attachment, data)])
    assert max(len(line) for line in mail.data.split(b"\r\n")) <= 76


def test_our_own_reader_reads_our_own_mail(signer: Signer) -> None:
    text = "Hei Kari,\n\nvi har mottatt angreskjemaet på 1 249,00 kr.\n\nHilsen oss"
    mail = render(changed(language="nb", text=text), CONFIG, signer, NOW)
    contact = plugin.normalise(plugin.raw_from_file(mail.data, "x", CONFIG), CONFIG).contact
    assert contact.text == text
    assert contact.sender.name == "Nordlys Handel"
    assert contact.recipients[0].name == "Grete Öhlsen, Dr."


# Sending ------------------------------------------------------------------------------------------------------------

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


async def test_a_reply_arrives(adapter_for: MakeAdapter, mailbox: Mailbox) -> None:
    adapter = adapter_for(mailbox)
    result = await adapter.send(REPLY, 1)
    mail = await mailbox.wait_for(lambda one: "grete.ohlsen@kunde.example" in one.rcpt_to)
    assert result == Accepted(provider_id="MB000001")
    assert mail.text == REPLY.text.rstrip()
    assert mail.subject.startswith("AW: Doppelt abgebucht")
    assert mail.sender == "hilfe@shop.example"
    assert mail.in_reply_to == "<1f2e@kunde.example>"
    assert mail.mail_from == mail.reply_to
    assert mail.headers["auto-submitted"] == "auto-replied"
    assert mailbox.sent_to("Grete.Ohlsen@kunde.example") == (mail,)


async def test_many_replies_share_connections(adapter_for: MakeAdapter, mailbox: Mailbox) -> None:
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
) -> None:
    adapter = adapter_for(mailbox)
    mailbox.script = lambda at, _address: answer if at == stage else None
    result = await adapter.send(REPLY, 1)
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
    assert isinstance(await adapter.send(REPLY, 2), Accepted)
    assert len({mail.message_id for mail in mailbox.mails}) == 1


async def test_a_relay_that_says_nothing_after_the_dot_is_unknown(make_services: MakeServices, desk: Any) -> None:
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
    assert isinstance(await adapter.send(REPLY, 1), Unknown)
    await adapter.close()
    server.close()


async def test_a_kept_connection_that_died_is_not_used(adapter_for: MakeAdapter, mailbox: Mailbox) -> None:
    adapter = adapter_for(mailbox, relay_connections=1)
    assert isinstance(await adapter.send(REPLY, 1), Accepted)
    for transport in tuple(mailbox._transports):
        transport.close()
    assert isinstance(await adapter.send(changed(id="r-00000000000000000007"), 1), Accepted)


async def test_no_relay_no_sending(adapter_for: MakeAdapter) -> None:
    adapter = adapter_for(None)
    result = await adapter.send(REPLY, 1)
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
    adapter_for: MakeAdapter, mailbox: Mailbox
) -> None:
    adapter = adapter_for(mailbox)
    assert isinstance(await adapter.send(changed(to=Party(kind="email", address="nobody")), 1), Refused)
    missing = Attachment(digest="sha256:" + "0" * 64, media_type="application/pdf", size=1, name="x.pdf")
    assert isinstance(await adapter.send(changed(attachments=(missing,)), 1), Refused)
    assert mailbox.mails == ()


async def test_an_attachment_that_the_disk_does_not_give_now_is_waited_for(
    adapter_for: MakeAdapter, mailbox: Mailbox
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


async def test_there_and_back_again(open_door: type_of_open_door, mailbox: Mailbox, desk: Any) -> None:
    """A customer answers our mail with their program; the answer carries its case."""
    host, port = mailbox.address
    door = await open_door(desk, relay_host=host, relay_port=port)
    assert isinstance(await door.adapter.send(REPLY, 1), Accepted)
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
    assert contact.case_token == REPLY.case
    assert contact.native["case_token_by"] == "recipient"
    assert contact.conversation == "<root@kunde.example>"
    assert contact.text == "Nein, danke."
