"""What a contact says of its mail: who, which conversation, which case, and whether a machine wrote it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.email import EmailConfig, plugin
from adapters.email.normalise import MailBody, case_number_in
from bus.adapter.contract import Raw
from bus.message import Contact, decode_body, derive_number, encode

RawMail = Callable[..., Raw]


CONFIG = EmailConfig()


def read(raw: Raw) -> Contact:
    return plugin.normalise(raw, CONFIG).contact


@pytest.mark.parametrize(
    ("head", "native", "because"),
    [
        ("Auto-Submitted: auto-replied", {}, "auto-submitted"),
        ("Auto-Submitted: no", {}, ""),
        ("Auto-Submitted: No (typed by hand)", {}, ""),
        ("Precedence: BULK", {}, "precedence"),
        ("Precedence: first-class", {}, ""),
        ("List-Id: Neuigkeiten <news.shop.example>", {}, "list"),
        ("X-Auto-Response-Suppress: DR, OOF, AutoReply", {}, "suppress"),
        ("X-Auto-Response-Suppress: None", {}, ""),
        ("X-Autoreply: yes", {}, "auto-reply-header"),
        ("X-Loop: hilfe@shop.example", {}, "own-loop"),
        ("Return-Path: <>", {}, "null-sender"),
        ("Return-Path: <a@b.example>", {"mail_from": ""}, "null-sender"),
        ("Return-Path: <>", {"mail_from": "a@b.example"}, ""),
        ("Content-Type: multipart/report; report-type=disposition-notification; boundary=b", {}, "report"),
        ("\n".join(["Received: from a by b"] * 31), {}, "too-many-hops"),
        ("\n".join(["Received: from a by b"] * 30), {}, ""),
    ],
)
def test_automatic_mail_is_known(raw_mail: RawMail, head: str, native: dict[str, Any], because: str) -> None:
    contact = read(raw_mail(f"From: a@b.example\n{head}\n\nText", **native))
    assert contact.automatic is bool(because)
    assert decode_body(contact.body, {"mail": MailBody}).automatic_because == because


@pytest.mark.parametrize(
    ("sender", "automatic"),
    [
        ("MAILER-DAEMON@kunde.example", True), ("noreply@kunde.example", True), ("No-Reply+x@kunde.example", True),
        ("owner-liste@kunde.example", True), ("liste-request@kunde.example", True), ("hilfe@shop.example", True),
        ("nora.reply@kunde.example", False), ("norep@kunde.example", False), ("lowner@kunde.example", False),
    ],
)  # fmt: skip
def test_senders_that_are_machines(raw_mail: RawMail, sender: str, automatic: bool) -> None:
    assert read(raw_mail(f"From: {sender}\n\nText")).automatic is automatic


def test_a_group_mailbox_may_be_trusted(raw_mail: RawMail) -> None:
    raw = raw_mail("From: a@b.example\nList-Id: Hilfe <hilfe.groups.shop.example>\n\nText")
    assert plugin.normalise(raw, CONFIG).contact.automatic
    trusting = EmailConfig(ignored_lists=("hilfe.groups.shop.example",))
    assert not plugin.normalise(raw, trusting).contact.automatic


def test_without_a_message_id_there_is_one_all_the_same(raw_mail: RawMail) -> None:
    first, second = (read(raw_mail(f"From: a@b.example\n\n{text}")) for text in ("eins", "zwei"))
    again = read(raw_mail("Received: x\nFrom: a@b.example\n\neins"))
    assert first.native["message_id"].endswith("@shop.example>")
    assert first.native["message_id"] == again.native["message_id"] != second.native["message_id"]
    assert first.id == again.id != second.id
    assert first.conversation == first.native["message_id"]


def test_our_id_of_the_case_is_not_the_root_of_the_thread(raw_mail: RawMail) -> None:
    ours = "<k-00000000000000000001.abcdefghijklmnopqrstuvwx@shop.example>"
    contact = read(raw_mail(f"From: a@b.example\nReferences: {ours} <root@b.example> <r@shop.example>\n\nx"))
    assert contact.conversation == "<root@b.example>"


def test_tokens_come_only_from_the_receiver(raw_mail: RawMail) -> None:
    source = "From: a@b.example\nTo: hilfe+k-00000000000000000001.abcdefghijklmnopqrstuvwx@shop.example\n\nx"
    assert read(raw_mail(source)).case_token == ""
    verified = read(raw_mail(source, case_token="k-1", case_token_by="recipient"))
    assert verified.case_token == "k-1"
    assert verified.native["case_token_by"] == "recipient"
    # The signature of an address is a key to the case: it does not travel on.
    assert [one.address for one in verified.recipients] == ["hilfe@shop.example"]
    assert b"abcdefghijklmnopqrstuvwx" not in encode(verified)


def test_case_numbers() -> None:
    number = derive_number("shop", "1")
    grouped = f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}"
    assert case_number_in(f"AW: Lampe [Fall {grouped}]") == number
    assert case_number_in("nichts", f"Nr. {number}.") == number
    wrong = f"{(int(number) + 1):014d}"
    assert case_number_in(f"Fall {wrong}, Fall {grouped}") == number
    for text in (wrong, f"1{number}", f"{number}1", f"DE89 {grouped} 55", f"89 {grouped}", "1" * 100_000):
        assert case_number_in(text) == "", text[:40]


def test_case_number_reaches_the_contact(raw_mail: RawMail) -> None:
    number = derive_number("shop", "2")
    contact = read(raw_mail(f"From: a@b.example\nSubject: Re: [Case {number}]\n\nx"))
    assert contact.native["case_number"] == number
    assert contact.case_token == ""


def test_a_sender_that_cannot_be_read_falls_back_to_the_envelope(raw_mail: RawMail) -> None:
    contact = read(raw_mail("From: Grete Ohlsen\nSubject: x\n\nText", mail_from="grete@kunde.example"))
    assert (contact.sender.name, contact.sender.address) == ("Grete Ohlsen", "grete@kunde.example")
    assert contact.quality.status == "degraded"
    nobody = read(raw_mail("Subject: x\n\nText", mail_from=""))
    assert nobody.sender.address == "unknown"


def test_an_mbox_line_is_not_part_of_the_mail() -> None:
    raw = plugin.raw_from_file(b"From a@b Sun Nov 22 2026\nFrom: a@b.example\n\nx\n", "x.eml", CONFIG)
    assert read(raw).sender.address == "a@b.example"
    assert raw.received_at == datetime(1970, 1, 1, tzinfo=UTC)
