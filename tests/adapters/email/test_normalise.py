"""Mails as real programs write them, and as nobody should, to contacts."""
# ruff: noqa: E501 - mails are written as programs write them

import base64
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from adapters.email import EmailConfig, plugin
from adapters.email.html_text import html_to_text
from adapters.email.normalise import MailBody, case_number_in
from bus.adapter.contract import Normalised, Raw
from bus.message import Contact, decode, decode_body, derive_number, encode

RawMail = Callable[..., Raw]
CONFIG = EmailConfig()


def read(raw: Raw) -> Contact:
    return plugin.normalise(raw, CONFIG).contact


THUNDERBIRD = """
Return-Path: <grete.ohlsen@kunde.example>
Message-ID: <2d1c5a6e-9b1f-4f6e@kunde.example>
Date: Sun, 22 Nov 2026 10:00:00 +0100
MIME-Version: 1.0
User-Agent: Mozilla Thunderbird
Content-Language: de-DE
To: Nordlicht Handel <hilfe@shop.example>
From: Grete Ohlsen <grete.ohlsen@kunde.example>
Subject: Doppelt abgebucht =?UTF-8?Q?f=C3=BCr?= SO-10234
In-Reply-To: <first@shop.example>
References: <root@kunde.example> <first@shop.example>
Content-Type: text/plain; charset=UTF-8; format=flowed
Content-Transfer-Encoding: 8bit

Guten Tag,

auf meiner Kreditkartenabrechnung steht die Bestellung SO-10234 zweimal, 
beide Male mit 49,90 €. Können Sie das bitte prüfen?

 From hier an ist alles gestopft.

Am 22.11.26 um 09:00 schrieb Nordlicht Handel:
> Vielen Dank für Ihre Bestellung. Diese Zeile ist umgebrochen und geht 
> hier weiter.

Viele Grüße
Grete Ohlsen

-- 
Lindenweg 4
10969 Berlin
"""


def test_thunderbird(raw_mail: RawMail) -> None:
    contact = read(raw_mail(THUNDERBIRD))
    assert contact.subject == "Doppelt abgebucht für SO-10234"
    assert (contact.sender.kind, contact.sender.address, contact.sender.name) == (
        "email", "grete.ohlsen@kunde.example", "Grete Ohlsen",
    )  # fmt: skip
    assert [(one.address, one.name) for one in contact.recipients] == [("hilfe@shop.example", "Nordlicht Handel")]
    assert contact.occurred_at == datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    assert contact.conversation == "<root@kunde.example>"
    assert contact.native["message_id"] == "<2d1c5a6e-9b1f-4f6e@kunde.example>"
    assert contact.native["in_reply_to"] == "<first@shop.example>"
    assert contact.native["references"] == ["<root@kunde.example>", "<first@shop.example>"]
    assert contact.native["request"] == ""
    assert contact.quality.status == "ok"
    assert not contact.automatic
    assert contact.case_token == ""
    own = contact.own_text()
    assert own.startswith(
        "Guten Tag,\n\nauf meiner Kreditkartenabrechnung steht die Bestellung SO-10234 zweimal, beide Male mit 49,90 €."
    )
    assert "\nFrom hier an" in own
    assert own.endswith("Viele Grüße\nGrete Ohlsen")
    assert "> Vielen Dank für Ihre Bestellung. Diese Zeile ist umgebrochen und geht hier weiter." in contact.text
    assert {one.label for one in contact.ranges} == {"reply", "quote", "signature"}


OUTLOOK = """
From: =?iso-8859-1?Q?Weber=2C_J=F6rg?= <joerg.weber@firma.example>
To: "hilfe@shop.example" <hilfe@shop.example>
Subject: =?iso-8859-1?Q?AW:_Ihre_Rechnung_f=FCr_die_K=FCchenger?=
 =?iso-8859-1?Q?=E4te?=
Thread-Topic: Rechnung
Date: Mon, 23 Nov 2026 08:15:00 +0000
Message-ID: <AM0PR01MB1234@AM0PR01.eurprd01.prod.exchangelabs.example>
Accept-Language: de-DE
X-MS-Has-Attach: yes
Content-Type: multipart/mixed; boundary="_004_"
MIME-Version: 1.0

--_004_
Content-Type: multipart/alternative; boundary="_000_"

--_000_
Content-Type: text/plain; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

Sehr geehrte Damen und Herren,

im Anhang die Rechnung =FCber 129,00 =80.

Mit freundlichen Gr=FC=DFen
J=F6rg Weber

Von: Nordlicht Handel <hilfe@shop.example>
Gesendet: Sonntag, 22. November 2026 10:00
An: Weber, J=F6rg
Betreff: Ihre Rechnung

Alter Text

--_000_
Content-Type: text/html; charset="iso-8859-1"
Content-Transfer-Encoding: quoted-printable

<html><body><p>HTML</p></body></html>

--_000_--

--_004_
Content-Type: application/pdf; name="=?iso-8859-1?Q?Rechnung_K=FCche.pdf?="
Content-Description: Rechnung
Content-Disposition: attachment; filename="=?iso-8859-1?Q?Rechnung_K=FCche.pdf?="; size=9
Content-Transfer-Encoding: base64

JVBERi0xLjQK

--_004_--
"""


def test_outlook(raw_mail: RawMail) -> None:
    raw = raw_mail(OUTLOOK)
    normalised = plugin.normalise(raw, CONFIG)
    contact = normalised.contact
    assert contact.sender.name == "Weber, Jörg"
    assert contact.recipients[0].name == ""
    assert contact.subject == "AW: Ihre Rechnung für die Küchengeräte"
    assert contact.own_text() == (
        "Sehr geehrte Damen und Herren,\n\nim Anhang die Rechnung über 129,00 €.\n\nMit freundlichen Grüßen\nJörg Weber"
    )
    (attachment,) = contact.attachments
    assert (attachment.name, attachment.media_type, attachment.size) == ("Rechnung Küche.pdf", "application/pdf", 9)
    assert normalised.blobs[attachment.digest] == b"%PDF-1.4\n"


GMAIL = """
MIME-Version: 1.0
From: Kari Lunde <kari.lunde@kunde.example>
Date: Mon, 23 Nov 2026 09:15:00 +0100
Message-ID: <CAJ+x@mail.gmail.example>
Subject: Angre kjøpet
To: hilfe@shop.example
Content-Type: multipart/alternative; boundary="000"

--000
Content-Type: text/plain; charset="UTF-8"
Content-Transfer-Encoding: base64

SGVpLA0KDQpqZWcgw7huc2tlciDDpSBhbmdyZSBrasO4cGV0Lg0KDQptYW4uIDIzLiBub3YuIDIw
MjYga2wuIDA4OjAwIHNrcmV2IE5vcmRseXMgSGFuZGVsIDxoaWxmZUBzaG9wLmV4YW1wbGU+Og0K
DQo+IFRha2sgZm9yIGJlc3RpbGxpbmdlbi4NCj4NCg==
--000
Content-Type: text/html; charset="UTF-8"

<div dir="ltr">x</div>
--000--
"""


def test_gmail_with_raw_utf8_in_the_subject(raw_mail: RawMail) -> None:
    contact = read(raw_mail(GMAIL))
    assert contact.subject == "Angre kjøpet"
    assert contact.own_text() == "Hei,\n\njeg ønsker å angre kjøpet."


APPLE_IMAGE_IN_THE_MIDDLE = b"""From: Tom Baker <tom.baker@customer.example>
To: hilfe@shop.example
Subject: Wrong price
Date: Mon, 23 Nov 2026 09:15:00 +0000
Message-Id: <A1@customer.example>
Mime-Version: 1.0 (Mac OS X Mail 16.0)
Content-Type: multipart/mixed; boundary=Apple

--Apple
Content-Transfer-Encoding: quoted-printable
Content-Type: text/plain; charset=utf-8

The shelf said =C2=A319.99:

--Apple
Content-Disposition: inline; filename=IMG_1.JPG
Content-Type: image/jpeg; name=IMG_1.JPG
Content-Transfer-Encoding: base64

/9j/4AAQ
--Apple
Content-Transfer-Encoding: 7bit
Content-Type: text/plain; charset=us-ascii

but I paid 24.99.

Sent from my iPhone
--Apple--
"""


def test_apple_puts_a_picture_in_the_middle(raw_mail: RawMail) -> None:
    contact = read(raw_mail(APPLE_IMAGE_IN_THE_MIDDLE))
    assert contact.own_text() == "The shelf said £19.99:\n\nbut I paid 24.99."
    assert [one.name for one in contact.attachments] == ["IMG_1.JPG"]


def test_a_phone_sends_html_only_with_related_pictures(raw_mail: RawMail) -> None:
    html = (
        '<html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"><style>p{color:red}</style>'
        '</head><body dir="auto"><div style="display:none">Vorschau</div><div>Hallo&nbsp;zusammen,</div><div><br></div>'
        "<p>die <b>Kaffeemaschine</b> zeigt &bdquo;E04&ldquo; &amp; tropft.<br>Was nun?</p><ul><li>Netz aus</li><li>entkalkt"
        '</li></ul><table><tr><td>Bestellung</td><td>SO-10412</td></tr></table><img src="cid:x" alt="Foto der Anzeige">'
        '<div>Mehr <a href="https://bilder.example/a">hier</a></div><script>alert(1)</script>'
        "<div>Von meinem iPhone gesendet</div></body></html>"
    )
    source = (
        "From: Jonas Weber <jonas.weber@kunde.example>\nTo: hilfe@shop.example\nSubject: Defekt\nMIME-Version: 1.0\n"
        'Content-Type: multipart/related; boundary=r\n\n--r\nContent-Type: text/html; charset=utf-8\n'
        "Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(html.encode()).decode() + "--r\n"
        "Content-Type: image/png; name=foto.png\nContent-ID: <x>\nContent-Disposition: inline\n"
        "Content-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--r--\n"
    )  # fmt: skip
    contact = read(raw_mail(source))
    assert contact.own_text() == (
        "Hallo zusammen,\n\ndie Kaffeemaschine zeigt „E04“ & tropft.\nWas nun?\n\n- Netz aus\n- entkalkt\n\n"
        "Bestellung SO-10412\n\n[Foto der Anzeige]\nMehr hier <https://bilder.example/a>"
    )
    assert [one.name for one in contact.attachments] == ["foto.png"]
    body = decode_body(contact.body, {"mail": MailBody})
    assert body.from_html


@pytest.mark.parametrize(
    ("charset", "encoded", "expected"),
    [
        ("iso-8859-1", "Grüße für 5 €".encode("cp1252"), "Grüße für 5 €"),
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("iso-8859-1", "Grüße".encode(), "Grüße"),
        ("utf-8", "Grüße".encode("cp1252"), "Grüße"),
        ("x-unknown", "blåbærsyltetøy".encode(), "blåbærsyltetøy"),
        ("x-unknown", "blåbærsyltetøy".encode("latin-1"), "blåbærsyltetøy"),
        ("", "Ærlig talt".encode("latin-1"), "Ærlig talt"),
        ("iso-8859-15", "5 €".encode("iso-8859-15"), "5 €"),
        ("iso-2022-jp", "こんにちは".encode("iso-2022-jp"), "こんにちは"),
        ("gb2312", "您好朱镕基".encode("gb18030"), "您好朱镕基"),
        ("windows-1251", "Привет".encode("cp1251"), "Привет"),
        ("utf-16", "Grüße".encode("utf-16"), "Grüße"),
        ("utf-7", b"Gr+APwA3w-e", "Grüße"),
        ("macintosh", "Grüße".encode("mac_roman"), "Grüße"),
        ("ansi_x3.110-1983", "Grüße".encode(), "Grüße"),
        ("unicode_escape", b"\\u0041", "\\u0041"),
        ("hex", b"4141", "4141"),
    ],
)
def test_charsets_that_lie(raw_mail: RawMail, charset: str, encoded: bytes, expected: str) -> None:
    content_type = f"; charset={charset}" if charset else ""
    head = f"From: a@b.example\r\nContent-Type: text/plain{content_type}\r\n\r\n".encode()
    encoding = b"From: a@b.example\r\nContent-Transfer-Encoding: base64\r\n" + head.split(b"\r\n", 1)[1]
    assert read(raw_mail(encoding + base64.b64encode(encoded))).text == expected
    if b"\x00" not in encoded:
        assert read(raw_mail(head + encoded)).text == expected


def test_attachment_names_are_harmless_and_unique(raw_mail: RawMail) -> None:
    names = [
        "../../etc/passwd",
        "C:\\Users\\x\\rechnung.pdf",
        "a\u202efdp.exe",
        "rechnung.pdf",
        "RECHNUNG.pdf",
        "x" * 400 + ".pdf",
        "..",
        "",
    ]
    parts = "".join(
        f"--b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename*=utf-8''"
        f"{''.join(f'%{byte:02X}' for byte in name.encode())}\n\n{index}\n"
        for index, name in enumerate(names)
    )  # fmt: skip
    contact = read(raw_mail(f"From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n"))
    found = [one.name for one in contact.attachments]
    assert found[:5] == ["passwd", "rechnung.pdf", "afdp.exe", "rechnung (2).pdf", "RECHNUNG (3).pdf"]
    assert len(found[5]) <= 150
    assert found[5].endswith(".pdf")
    assert found[6:] == ["", ""]
    assert len({one.digest for one in contact.attachments}) == len(names)


def test_winmail_and_encrypted_mail_say_so(raw_mail: RawMail) -> None:
    winmail = read(
        raw_mail(
            "From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nText\n--b\n"
            "Content-Type: application/ms-tnef; name=winmail.dat\nContent-Transfer-Encoding: base64\n\neJ8+\n--b--\n"
        )
    )
    assert winmail.quality.status == "degraded"
    assert "winmail.dat" in winmail.quality.reasons[0]
    assert winmail.text == "Text"
    for source in (
        'From: a@b.example\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"\n'
        "Content-Transfer-Encoding: base64\n\nMIIB\n",
        "From: a@b.example\nContent-Type: multipart/encrypted; protocol=application/pgp-encrypted; boundary=b\n\n--b\n"
        "Content-Type: application/pgp-encrypted\n\nVersion: 1\n--b\nContent-Type: application/octet-stream\n\nx\n--b--\n",
        "From: a@b.example\n\n-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PGP MESSAGE-----\n",
    ):
        sealed = read(raw_mail(source))
        assert sealed.quality.status == "unreadable"
        assert "encrypted" in sealed.quality.reasons[0]


def test_a_mail_in_a_mail_is_an_attachment_with_its_subject(raw_mail: RawMail) -> None:
    inner = "From: bank@bank.example\nSubject: =?utf-8?q?Abbuchung_=C3=BCber_49=2C90?=\n\nInnen"
    contact = plugin.normalise(
        raw_mail(
            "From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nSiehe Anhang.\n--b\n"
            f"Content-Type: message/rfc822\n\n{inner}\n--b--\n"
        ),
        CONFIG,
    )
    assert contact.contact.text == "Siehe Anhang."
    (attachment,) = contact.contact.attachments
    assert attachment.name == "Abbuchung über 49,90.eml"
    assert b"Innen" in contact.blobs[attachment.digest]


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


def test_the_same_mail_is_the_same_contact_and_another_is_not(raw_mail: RawMail) -> None:
    once = read(raw_mail(THUNDERBIRD, mail_from="x@y.example", rcpt_to=["hilfe@shop.example"]))
    by_another_road = read(raw_mail("Received: from a by b\n" + THUNDERBIRD.lstrip(), mail_from="relay@z.example"))
    reencoded = read(raw_mail(THUNDERBIRD.replace("Können", "Ko\u0308nnen")))
    assert once.id == by_another_road.id == reencoded.id
    assert once.id.startswith("c-")
    for change in (
        ("zweimal", "dreimal"),
        ("grete.ohlsen@", "greta.ohlsen@"),
        ("10:00:00", "10:00:01"),
        ("2d1c", "2d1d"),
    ):
        assert read(raw_mail(THUNDERBIRD.replace(*change))).id != once.id, change
    other = msgspec.structs.replace(raw_mail(THUNDERBIRD), tenant="bank")
    assert read(other).id != once.id


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


def test_an_empty_plain_part_gives_way_to_the_html(raw_mail: RawMail) -> None:
    contact = read(
        raw_mail(
            "From: a@b.example\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n \n"
            "--b\nContent-Type: text/html\n\n<p>Inhalt</p>\n--b--\n"
        )
    )
    assert contact.text == "Inhalt"


def test_two_thousand_broken_mails(raw_mail: RawMail) -> None:
    """Never raises, always encodable, always the same for the same bytes."""
    chance = random.Random(20261122)
    sources = [THUNDERBIRD, OUTLOOK, GMAIL, APPLE_IMAGE_IN_THE_MIDDLE.decode()]
    seeds = [raw_mail(source).data for source in sources]
    pieces = [b"\x00", b"\xff", b"\r\n", b"\n", b"=?", b"?=", b"--", b";", b'"', b"<", b">", b"=\r\n", b"charset=", b"\t", b":",
              b"\xed\xa0\x80", b"\xe2\x80\xae", b"multipart/", b"base64", b"%", b"(", b"=?x?B?", b"charset=utf-16", b"&#0;"]  # fmt: skip
    for number in range(2000):
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 4)):
            # Mostly in the header, where parsers break.
            at = chance.randrange(len(data) // (3 if chance.random() < 0.7 else 1) or 1)
            kind = chance.randrange(4)
            if kind == 0:
                data[at : at + chance.randint(1, 40)] = b""
            elif kind == 1:
                data[at:at] = chance.choice(pieces) * chance.randint(1, 3)
            elif kind == 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            else:
                start = chance.randrange(len(data) or 1)
                data[at:at] = data[start : start + chance.randint(1, 200)]
        normalised: Normalised = plugin.normalise(raw_mail(bytes(data)), CONFIG)
        back = decode(encode(normalised.contact), Contact)
        assert back.id == normalised.contact.id, number
        if number % 20 == 0:
            assert plugin.normalise(raw_mail(bytes(data)), CONFIG).contact == normalised.contact


def test_html_text_of_ordinary_shapes() -> None:
    assert html_to_text("a<br>b<br><br>c").text == "a\nb\n\nc"
    assert html_to_text("<p>a</p><p>b</p>").text == "a\n\nb"
    assert html_to_text("<div>a</div><div><br></div><div>b</div>").text == "a\n\nb"
    assert html_to_text("<pre>a\n  b</pre>c").text == "a\n  b\n\nc"
    assert html_to_text("a <b>b</b>c").text == "a bc"
    assert html_to_text("<a href='https://x.example/y'>https://x.example/y</a>").text == "https://x.example/y"
    assert html_to_text("").text == ""


def test_an_mbox_line_is_not_part_of_the_mail() -> None:
    raw = plugin.raw_from_file(b"From a@b Sun Nov 22 2026\nFrom: a@b.example\n\nx\n", "x.eml", CONFIG)
    assert read(raw).sender.address == "a@b.example"
    assert raw.received_at == datetime(1970, 1, 1, tzinfo=UTC)
