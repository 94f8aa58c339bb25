"""The parts of a mail: its text in every character set, and what hangs on it."""
# ruff: noqa: E501 - mails are written as programs write them

import base64
from collections.abc import Callable

import pytest

from adapters.email import EmailConfig, plugin
from adapters.email.html_text import html_to_text
from bus.adapter.contract import Raw
from bus.message import Contact

RawMail = Callable[..., Raw]


CONFIG = EmailConfig()


def read(raw: Raw) -> Contact:
    return plugin.normalise(raw, CONFIG).contact


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


def test_an_empty_plain_part_gives_way_to_the_html(raw_mail: RawMail) -> None:
    contact = read(
        raw_mail(
            "From: a@b.example\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\n \n"
            "--b\nContent-Type: text/html\n\n<p>Inhalt</p>\n--b--\n"
        )
    )
    assert contact.text == "Inhalt"


def test_html_text_of_ordinary_shapes() -> None:
    assert html_to_text("a<br>b<br><br>c").text == "a\nb\n\nc"
    assert html_to_text("<p>a</p><p>b</p>").text == "a\n\nb"
    assert html_to_text("<div>a</div><div><br></div><div>b</div>").text == "a\n\nb"
    assert html_to_text("<pre>a\n  b</pre>c").text == "a\n  b\n\nc"
    assert html_to_text("a <b>b</b>c").text == "a bc"
    assert html_to_text("<a href='https://x.example/y'>https://x.example/y</a>").text == "https://x.example/y"
    assert html_to_text("").text == ""
