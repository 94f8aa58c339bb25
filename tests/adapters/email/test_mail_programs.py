"""Mails as real programs write them, to contacts: read as they were meant, and the same however they come."""
# ruff: noqa: E501 - mails are written as programs write them

import base64
import random
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from adapters.email import EmailConfig, plugin
from adapters.email.normalise import MailBody
from bus.adapter.contract import Normalised, Raw
from bus.message import Contact, decode, decode_body, encode

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
