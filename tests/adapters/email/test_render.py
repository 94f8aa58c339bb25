"""Replies as mails: rendered by us, read back by the standard library and by our own reader."""
# ruff: noqa: E501 - mails are written as programs write them

import email
import email.policy
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest

from adapters.email import EmailConfig, plugin
from adapters.email.render import Rendered, render, subject_line
from adapters.email.tokens import find_case
from bus.adapter.tokens import Signer
from bus.errors import UnsupportedFeature
from bus.message import Attachment, Party, Reply
from bus.store.blobs import digest_of

Changed = Callable[..., Reply]


NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


CONFIG = EmailConfig()


def parse(mail: Rendered) -> EmailMessage:
    message = email.message_from_bytes(mail.data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_reply_reads_as_it_was_meant(signer: Signer, reply: Reply) -> None:
    mail = render(reply, CONFIG, signer, NOW)
    message = parse(mail)
    assert message["From"] == "Nordlicht Handel <hilfe@shop.example>"
    assert message["To"].addresses[0].display_name == "Grete Öhlsen, Dr."
    assert message["To"].addresses[0].addr_spec == "grete.ohlsen@kunde.example"
    assert message["Subject"] == (
        "AW: Doppelt abgebucht für Bestellung SO-10234 und noch einiges mehr, damit der Betreff lang wird "
        "[Vorgang 1234 5678 9012 34]"
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
    assert plain.get_content().replace("\r\n", "\n").rstrip("\n") == reply.text
    html = message.get_body(("html",))
    assert html is not None
    source = html.get_content()
    assert '<html lang="de">' in source
    assert '<a href="https://shop.example/a?b=1&amp;c=2">' in source
    assert "49,90 €" in source
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]


def test_the_wire_form_is_safe_everywhere(signer: Signer, reply: Reply) -> None:
    mail = render(reply, CONFIG, signer, NOW)
    mail.data.decode("ascii")
    lines = mail.data.split(b"\r\n")
    assert not any(b"\n" in line or b"\r" in line for line in lines)
    assert max(len(line) for line in lines) <= 76
    assert not any(line.startswith((b".", b"From ")) for line in lines)


def test_the_same_reply_is_the_same_bytes_and_the_same_id(signer: Signer, reply: Reply, changed: Changed) -> None:
    first, second = render(reply, CONFIG, signer, NOW), render(reply, CONFIG, signer, NOW)
    assert first == second
    later = render(reply, CONFIG, signer, NOW.replace(hour=23))
    assert later.message_id == first.message_id
    assert f"\r\nMessage-ID: {first.message_id}\r\n".encode() in first.data
    assert render(changed(id="r-00000000000000000009"), CONFIG, signer, NOW).message_id != first.message_id


def test_what_comes_back_finds_its_case(signer: Signer, reply: Reply) -> None:
    message = parse(render(reply, CONFIG, signer, NOW))
    reply_to = message["Reply-To"].addresses[0].addr_spec
    own = (CONFIG.address,)
    assert len(reply_to.partition("@")[0]) <= 64
    by_address = find_case(b"Subject: x\r\n\r\n", [reply_to.upper()], own, signer, "shop")
    assert by_address is not None
    assert (by_address.case, by_address.by) == (reply.case, "recipient")
    answer = f"References: {message['References']}\r\n {message['Message-ID']}\r\n\r\n".encode()
    by_thread = find_case(answer, ["hilfe@shop.example"], own, signer, "shop")
    assert by_thread is not None
    assert (by_thread.case, by_thread.by) == (reply.case, "references")
    # A relay that replaces our Message-ID leaves the id of the case.
    replaced = (
        f"In-Reply-To: <0102@ses.example>\r\nReferences: {message['References']} <0102@ses.example>\r\n\r\n".encode()
    )
    assert find_case(replaced, [], own, signer, "shop") == by_thread
    assert find_case(answer, [reply_to], own, Signer(b"another secret, long enough"), "shop") is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "AW: Lampe [Vorgang 1234 5678 9012 34]"),
        ({"language": "nb"}, "SV: Lampe [Sak 1234 5678 9012 34]"),
        ({"language": "en"}, "Re: Lampe [Case 1234 5678 9012 34]"),
        ({"subject": "AW: Re[2]: SV: Lampe [Vorgang 1234 5678 9012 34]"}, "AW: Lampe [Vorgang 1234 5678 9012 34]"),
        ({"subject": ""}, "Ihre Nachricht an uns [Vorgang 1234 5678 9012 34]"),
        ({"subject": "", "language": "nb"}, "Meldingen din til oss [Sak 1234 5678 9012 34]"),
        ({"case_number": ""}, "AW: Lampe"),
        ({"in_reply_to": "", "references": (), "case_number": ""}, "Lampe"),
        ({"subject": "Lampe\r\nBcc: x@y.example"}, "AW: Lampe Bcc: x@y.example [Vorgang 1234 5678 9012 34]"),
        (
            {"kind": "acknowledgement", "subject": "Gewinnen Sie auf https://bad.example/x jetzt " + "!" * 300},
            "AW: Gewinnen Sie auf jetzt " + "!" * 57 + " [Vorgang 1234 5678 9012 34]",
        ),
    ],
)
def test_subjects(changes: dict[str, Any], expected: str, changed: Changed) -> None:
    assert subject_line(changed(**{"subject": "Lampe", **changes})) == expected


@pytest.mark.parametrize(
    "poison",
    ["x\r\nBcc: evil@evil.example", "x\nBcc: evil@evil.example", "x\rBcc: evil", "x\u2028Bcc: evil", "x\x00\x0bBcc: evil",
     "=?utf-8?q?x=0D=0ABcc=3A_evil?=", "x\r\n\r\nbody", '"; x="', "\u202eevil"],
)  # fmt: skip
def test_no_value_becomes_a_header(signer: Signer, poison: str, reply: Reply, changed: Changed) -> None:
    clean = [name for name in parse(render(changed(subject="x", to=reply.to), CONFIG, signer, NOW))]  # noqa: C416
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
def test_addresses_that_cannot_be_written_to(signer: Signer, address: str, changed: Changed) -> None:
    with pytest.raises(UnsupportedFeature):
        render(changed(to=Party(kind="email", address=address)), CONFIG, signer, NOW)


def test_an_international_domain_is_written_in_ascii(signer: Signer, changed: Changed) -> None:
    mail = render(changed(to=Party(kind="email", address="info@bücher.example")), CONFIG, signer, NOW)
    assert mail.rcpt_to == "info@xn--bcher-kva.example"


def test_many_references_keep_the_first_and_the_last(signer: Signer, changed: Changed) -> None:
    ids = tuple(f"<{number}@kunde.example>" for number in range(50))
    message = parse(render(changed(references=ids, in_reply_to=ids[-1]), CONFIG, signer, NOW))
    references = message["References"].split()
    assert len(references) == 20
    assert references[1] == ids[0]
    assert references[-1] == ids[-1]
    assert len(set(references)) == 20


def test_envelope_and_marks_by_kind(signer: Signer, reply: Reply, changed: Changed) -> None:
    acknowledgement = render(changed(kind="acknowledgement"), CONFIG, signer, NOW)
    assert acknowledgement.mail_from == ""
    answer = render(reply, CONFIG, signer, NOW)
    assert answer.mail_from == parse(answer)["Reply-To"].addresses[0].addr_spec
    by_person = parse(render(changed(automatic=False), CONFIG, signer, NOW))
    assert "Auto-Submitted" not in by_person
    assert "X-Auto-Response-Suppress" not in by_person
    campaign = parse(render(changed(purpose="marketing", in_reply_to="", references=()), CONFIG, signer, NOW))
    assert campaign["Auto-Submitted"] == "auto-generated"
    assert campaign["List-Unsubscribe"].startswith("<mailto:hilfe+k-")
    assert "In-Reply-To" not in campaign


def test_two_of_our_own_instances_do_not_talk_to_each_other(signer: Signer, reply: Reply, changed: Changed) -> None:
    """Whatever we send automatically, the other one sees as automatic."""
    for one in (reply, changed(kind="acknowledgement"), changed(purpose="marketing")):
        mail = render(one, CONFIG, signer, NOW)
        other = EmailConfig(address="help@other.example")
        raw = plugin.raw_from_file(mail.data, "x.eml", other)
        assert plugin.normalise(raw, other).contact.automatic


def test_attachments_come_through(signer: Signer, reply: Reply, changed: Changed) -> None:
    name = "Rücksendeetikett für Bestellung SO-10234 – bitte ausdrucken und auf das Paket kleben.pdf"
    data = bytes(range(256)) * 50
    attachment = Attachment(digest=digest_of(data), media_type="application/pdf", size=len(data), name=name)
    message = parse(render(changed(attachments=(attachment,)), CONFIG, signer, NOW, [(attachment, data)]))
    (found,) = message.iter_attachments()
    assert found.get_filename() == name
    assert found.get_content_type() == "application/pdf"
    assert found.get_content() == data
    mail = render(reply, CONFIG, signer, NOW, [(attachment, data)])
    assert max(len(line) for line in mail.data.split(b"\r\n")) <= 76


def test_our_own_reader_reads_our_own_mail(signer: Signer, changed: Changed) -> None:
    text = "Hei Kari,\n\nvi har mottatt angreskjemaet på 1 249,00 kr.\n\nHilsen oss"
    mail = render(changed(language="nb", text=text), CONFIG, signer, NOW)
    contact = plugin.normalise(plugin.raw_from_file(mail.data, "x", CONFIG), CONFIG).contact
    assert contact.text == text
    assert contact.sender.name == "Nordlys Handel"
    assert contact.recipients[0].name == "Grete Öhlsen, Dr."
