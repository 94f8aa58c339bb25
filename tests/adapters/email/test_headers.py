"""Header fields: what is encoded, folded, dated and addressed, as programs do it and as nobody should."""
# ruff: noqa: E501 - mails are written as programs write them

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from adapters.email import EmailConfig, plugin
from adapters.email.headers import decode_words, parse_addresses, parse_date, parse_parameters, unfold
from bus.adapter.contract import Raw
from bus.message import Contact

RawMail = Callable[..., Raw]

CONFIG = EmailConfig()


def read(raw: Raw) -> Contact:
    return plugin.normalise(raw, CONFIG).contact


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("=?utf-8?Q?J=C3=BCrgen_Schm=C3?= =?utf-8?Q?=BCrgen?=", "Jürgen Schmürgen"),
        ("=?utf-8?B?R3LDvMOfZQ==?= aus =?iso-8859-1?q?K=F6ln?=", "Grüße aus Köln"),
        ("=?UTF-8?q?a?=  =?UTF-8?q?b?= c", "ab c"),
        ("=?utf-8*de?Q?gr=C3=BCn?=", "grün"),
        ("=?utf-8?Q?with space?=", "with space"),
        ("=?broken", "=?broken"),
        ("=?utf-8?X?abc?= =?utf-8?q?=C3=A4?=", "=?utf-8?X?abc?= ä"),
        ("=?nonsense?Q?=C3=A4?=", "ä"),
        ("=?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=", "こんにちは"),
        ("a\tb\x07c", "a bc"),
    ],
)
def test_encoded_words(field: str, expected: str) -> None:
    assert decode_words(unfold(field)) == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Max Kohl | [example.com] <kohl@example.com>", [("Max Kohl | [example.com]", "kohl@example.com")]),
        ('"Bürling, Andreas" <a@b.example>', [("Bürling, Andreas", "a@b.example")]),
        ("=?utf-8?q?B=C3=BCrling=2C_A?= <a@b.example>, c@d.example", [("Bürling, A", "a@b.example"), ("", "c@d.example")]),
        ("a@b.example (Max Müller)", [("Max Müller", "a@b.example")]),
        ("undisclosed-recipients:;", []),
        ("Team: a@b.example, C <c@d.example>;, x@y.example", [("", "a@b.example"), ("C", "c@d.example"), ("", "x@y.example")]),
        ("'Max' <m@x.example>", [("Max", "m@x.example")]),
        ("M@X.Example", [("", "M@x.example")]),
        ("Bücher <info@bücher.example>", [("Bücher", "info@xn--bcher-kva.example")]),
        ("Max <max at example>", [("Max", "")]),
        ("<a@b.example", [("", "a@b.example")]),
        ('"never closed <a@b.example>', [("never closed", "a@b.example")]),
        ("=?utf-8?q?a=40b=2Eexample?=", [("", "a@b.example")]),
        ("=?utf-8?b?SsO2cmcgV2ViZXIgPGpAay5leGFtcGxlPg==?=", [("Jörg Weber", "j@k.example")]),
    ],
)  # fmt: skip
def test_addresses(field: str, expected: list[tuple[str, str]]) -> None:
    assert [(one.name, one.address) for one in parse_addresses(unfold(field))[0]] == expected


@pytest.mark.parametrize(
    ("field", "name", "expected"),
    [
        ("attachment; filename*0*=UTF-8''Rechn%C3%BC; filename*1*=ng%20; filename*2=\"1.pdf\"", "filename", "Rechnüng 1.pdf"),
        ("attachment; filename*=iso-8859-1'de'%DCbersicht.pdf; filename=\"x.pdf\"", "filename", "Übersicht.pdf"),
        ('attachment; filename="a;b=c.pdf"; size=1', "filename", "a;b=c.pdf"),
        ("attachment; filename=ohne gänsefüße.pdf", "filename", "ohne gänsefüße.pdf"),
        ("multipart/mixed; boundary=\"=_a'b\"", "boundary", "=_a'b"),
        ("text/plain;charset=utf-8;;format=flowed", "format", "flowed"),
    ],
)  # fmt: skip
def test_parameters(field: str, name: str, expected: str) -> None:
    assert parse_parameters(unfold(field))[1][name] == expected


def test_dates_that_cannot_be_true() -> None:
    assert parse_date("Sun, 22 Nov 2026 10:00:00 +0100 (CET)") == datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    for value in (
        "",
        "tomorrow",
        "Sun, 99 Nov 2026 10:00:00",
        "1 Jan 1901 00:00:00 +0000",
        "1 Jan 99999 00:00:00",
        "\x00",
    ):
        assert parse_date(value) is None


def test_a_date_far_in_the_future_gives_way_to_the_time_of_receipt(raw_mail: RawMail) -> None:
    raw = raw_mail("From: a@b.example\nDate: Fri, 01 Jan 2038 00:00:00 +0000\n\nx")
    raw = msgspec.structs.replace(raw, received_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert read(raw).occurred_at == datetime(2026, 1, 1, tzinfo=UTC)
