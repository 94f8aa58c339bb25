"""Finished letters, looked at as printer, post and customer will: window, codes, characters, archive form."""

import io
from collections.abc import Callable
from datetime import date
from pathlib import Path

import msgspec
import pypdfium2
import pytest
import zxingcpp

from adapters.post.config import PostConfig
from adapters.post.letter import Unprintable, compose
from adapters.post.letter_worker import make, preflight
from adapters.post.render import Renderer, RendererDied
from bus.message import Party, Reply

TODAY = date(2026, 11, 22)
WRITTEN = 1795348800
WORDS = {
    "de": (
        "Größe, Straße, Ärger, Übergabe: 49,90 €",
        "22. November 2026",
        "Mit freundlichen Grüßen",
        "Guten Tag Grete Ohlsen,",
    ),
    "nb": ("Kjøp, å angre, ærlig: 1 249,00 kr", "22. november 2026", "Vennlig hilsen", "Hei Grete Ohlsen,"),
    "en": ("The refund of £5.00 – “as promised”", "22 November 2026", "Kind regards", "Dear Grete Ohlsen,"),
}


def text_of(pdf: bytes, page: int = 0) -> str:
    document = pypdfium2.PdfDocument(io.BytesIO(pdf))
    try:
        return document[page].get_textpage().get_text_bounded().replace("\r\n", "\n")
    finally:
        document.close()


def render(reply: Reply, config: PostConfig) -> bytes:
    composed = compose(reply, config.company, TODAY)
    pdf = make(composed.letter, WRITTEN)
    assert preflight(pdf, composed.checks).problem == ""
    return pdf


@pytest.mark.parametrize("language", WORDS)
def test_a_letter_says_everything_in_the_customers_language(
    reply: Callable[..., Reply], config: PostConfig, language: str
) -> None:
    text, day, closing, opening = WORDS[language]
    wanted = reply(language=language, text=text)
    printed = text_of(render(wanted, config))
    for part in (
        text,
        day,
        closing,
        opening,
        config.company.name_in(language),
        "hilfe@shop.example",
        "Doppelte Abbuchung",
    ):
        assert part in printed
    number = wanted.case_number
    assert f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}" in printed


@pytest.mark.parametrize("language", WORDS)
def test_the_address_stands_in_the_window_and_both_codes_decode(
    reply: Callable[..., Reply], config: PostConfig, language: str
) -> None:
    wanted = reply(language=language)
    pdf = render(wanted, config)
    document = pypdfium2.PdfDocument(io.BytesIO(pdf))
    page, mm = document[0], 72 / 25.4
    left, top, right, bottom = (20, 45, 105, 90) if language != "nb" else (15, 44, 110, 70)
    window = page.get_textpage().get_text_bounded(
        left=left * mm, right=right * mm, top=(297 - top) * mm, bottom=(297 - bottom) * mm
    )
    lines = [line.strip() for line in window.splitlines() if line.strip()]
    assert lines == [
        f"{config.company.name_in(language)} · Hafenstraße 7 · 20457 Hamburg",
        *wanted.to.address.split("\n"),
    ]
    picture = page.render(scale=200 / 72, grayscale=True).to_pil()
    codes = zxingcpp.read_barcodes(picture)
    assert [code.text for code in codes] == [wanted.case_number] * 2
    places = sorted((code.position.top_left.x / 200 * 25.4, code.position.top_left.y / 200 * 25.4) for code in codes)
    (x1, y1), (x2, y2) = places
    assert x1 < 60 < 150 < x2  # one at the left, one at the right
    assert y2 < 40 < 250 < y1  # top right, bottom left
    sides = [(c.position.top_right.x - c.position.top_left.x) / 200 * 25.4 for c in codes]
    assert all(side > 14 for side in sides)
    assert all(code.ec_level == "M" for code in codes)
    document.close()


def test_the_letter_is_an_archive_pdf_with_its_fonts_inside(reply: Callable[..., Reply], config: PostConfig) -> None:
    import pikepdf

    pdf = render(reply(), config)
    with pikepdf.open(io.BytesIO(pdf)) as document:
        with document.open_metadata() as metadata:
            assert (metadata["pdfaid:part"], metadata["pdfaid:conformance"]) == ("2", "B")
        fonts = document.pages[0].Resources.Font
        assert len(fonts) > 0
        for font in fonts.values():
            descriptor = font.DescendantFonts[0].FontDescriptor
            assert any(name in descriptor for name in ("/FontFile", "/FontFile2", "/FontFile3"))


def test_the_same_letter_has_the_same_bytes(reply: Callable[..., Reply], config: PostConfig) -> None:
    assert render(reply(), config) == render(reply(), config)


def test_text_is_never_markup(reply: Callable[..., Reply], config: PostConfig) -> None:
    evil = '#panic("x") $x^2$ *b* _i_ [c] \\ `r` // c /* d */ @a <l> #sys.inputs #read("/etc/passwd") = h "q" \\u{41}'
    wanted = reply(
        text=f"{evil}\n\n- {evil}",
        subject=evil,
        signed_by=evil[:40],
        to=Party(kind="postal", address='#image("x") $1$\n*b* _c_\n10969 <Berlin>', name="#panic()"),
    )
    composed = compose(wanted, config.company, TODAY)
    pdf = make(composed.letter, WRITTEN)
    assert preflight(pdf, composed.checks).problem == ""
    printed = " ".join(text_of(pdf).split())
    # Subject, paragraph, list item, and the person twice.
    assert printed.count('#panic("x") $x^2$ *b* _i_ [c]') == 5
    assert "root:" not in printed


def test_pictures_and_invisible_characters_are_left_out(reply: Callable[..., Reply], config: PostConfig) -> None:
    printed = text_of(render(reply(text="Gern 😀\ufe0f! \u202eTXET\u202c \u200dEnde\x00"), config))
    assert "gern ! TXET Ende" in printed


async def test_what_no_typeface_has_goes_to_a_person(reply: Callable[..., Reply], config: PostConfig) -> None:
    renderer = Renderer(config)
    try:
        with pytest.raises(Unprintable, match="character"):
            await renderer.render(reply(text="您好"), TODAY)
        pdf, pages = await renderer.render(reply(), TODAY)  # and the next letter is made
        assert (pdf[:5], pages) == (b"%PDF-", 1)
    finally:
        await renderer.close()


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        (Party(kind="postal", address="", name="Grete Ohlsen"), "no postal address"),
        (Party(kind="postal", address="Berlin", name="Grete Ohlsen"), "no postal address"),
        (Party(kind="postal", address="\n".join("abcdefgh"), name=""), "8 lines"),
        (Party(kind="postal", address="x" * 80 + "\nBerlin", name=""), "too long"),
    ],
)
def test_addresses_that_fit_no_window_are_refused(
    reply: Callable[..., Reply], config: PostConfig, to: Party, reason: str
) -> None:
    with pytest.raises(Unprintable, match=reason):
        compose(reply(to=to), config.company, TODAY)


def test_the_largest_address_fits(reply: Callable[..., Reply], config: PostConfig) -> None:
    lines = [
        "Frau Professorin Anna-Lena Müller-Lüdenscheidt-Øst",
        "c/o Gesellschaft",
        "Haus 7",
        "Allee 1",
        "10969 Berlin",
        "DEUTSCHLAND",
    ]
    for language in WORDS:
        render(reply(language=language, to=Party(kind="postal", address="\n".join(lines), name=lines[0])), config)


def test_a_long_letter_goes_on_on_more_pages_and_each_says_whose_it_is(
    reply: Callable[..., Reply], config: PostConfig
) -> None:
    text = "\n\n".join(f"Absatz {number}. " + "Wir erklären es ganz genau und in Ruhe. " * 9 for number in range(22))
    pdf = render(reply(text=text), config)
    assert "Seite 1 von 3" in text_of(pdf, 0)
    assert "Seite 3 von 3" in text_of(pdf, 2)
    assert "Absatz 21." in text_of(pdf, 2)
    number = reply().case_number
    assert f"{number[:4]} {number[4:8]}" in text_of(pdf, 1)


def test_a_long_link_stays_on_the_paper(reply: Callable[..., Reply], config: PostConfig) -> None:
    render(reply(text="https://shop.example/" + "a1" * 300), config)


def test_salutation_and_closing_are_not_written_twice(reply: Callable[..., Reply], config: PostConfig) -> None:
    text = "Liebe Frau Ohlsen,\n\ngern.\n\nMit freundlichen Grüßen\nIhre Anna Berg"
    printed = text_of(render(reply(text=text), config))
    assert "Guten Tag" not in printed
    assert printed.count("Mit freundlichen Grüßen") == 1


@pytest.mark.parametrize(
    ("text", "printed"),
    [("Vielen Dank dafür.", "vielen Dank"), ("Sie haben recht.", "Sie haben"), ("Geld kommt.", "Geld kommt")],
)
def test_german_goes_on_small_after_the_salutation(
    reply: Callable[..., Reply], config: PostConfig, text: str, printed: str
) -> None:
    assert f"Guten Tag Grete Ohlsen,\n{printed}" in text_of(render(reply(text=text), config))


def test_a_letter_of_a_person_bears_the_name_and_no_machine_hint(
    reply: Callable[..., Reply], config: PostConfig
) -> None:
    by_person = text_of(render(reply(signed_by="Anna Berg", automatic=False), config))
    assert "Anna Berg" in by_person
    assert "automatischer Service" not in by_person
    assert "automatischer Service" in text_of(render(reply(), config))


def test_preflight_sees_a_wrong_address_a_missing_code_and_a_full_edge(
    reply: Callable[..., Reply], config: PostConfig, tmp_path: Path
) -> None:
    composed = compose(reply(), config.company, TODAY)
    pdf = make(composed.letter, WRITTEN)
    other = msgspec.structs.replace(composed.checks, window=("Somebody", "else"))
    assert "window" in preflight(pdf, other).problem
    assert "codes" in preflight(pdf, msgspec.structs.replace(composed.checks, number="96107762611965")).problem
    assert "pages" in preflight(pdf, msgspec.structs.replace(composed.checks, most_pages=0)).problem
    assert "archive" in preflight(pdf.replace(b"pdfaid:part", b"pdfaid:nope"), composed.checks).problem

    import pikepdf

    def drawn(content: bytes) -> bytes:
        out = io.BytesIO()
        with pikepdf.open(io.BytesIO(pdf)) as document:
            document.pages[0].contents_add(document.make_stream(content))
            document.save(out, object_stream_mode=pikepdf.ObjectStreamMode.disable)
        return out.getvalue()

    assert "edge" in preflight(drawn(b" q 1 0 0 -1 0 842 cm 0 0 0 rg 2 400 8 8 re f Q"), composed.checks).problem
    assert "window" in preflight(drawn(b" q 0.9 g 100 600 90 30 re f Q"), composed.checks).problem


async def test_a_typesetter_that_dies_is_replaced(reply: Callable[..., Reply], config: PostConfig) -> None:
    renderer = Renderer(config)
    try:
        await renderer.render(reply(), TODAY)
        assert renderer._child is not None
        renderer._child.kill()
        await renderer._child.wait()
        assert (await renderer.render(reply(), TODAY))[1] == 1
    finally:
        await renderer.close()


async def test_a_letter_over_the_time_limit_ends_the_typesetter(
    reply: Callable[..., Reply], config: PostConfig
) -> None:
    renderer = Renderer(msgspec.structs.replace(config, render_s=0.001))
    with pytest.raises(RendererDied):
        await renderer.render(reply(), TODAY)
    assert renderer._child is None
