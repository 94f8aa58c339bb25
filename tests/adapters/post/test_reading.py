"""Real recognition of scans as offices, bad copiers and fax machines make them, in three languages and all formats."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from adapters.post.samples import make_pages
from bus.message import Contact, derive_number, encode

# Every language meets every damage, and every format at least twice.
CASES = [
    ("de", "office", "pdf", 0.99),
    ("nb", "office", "png", 0.98),
    ("en", "office", "jpeg", 0.98),
    ("de", "poor", "jpeg", 0.95),
    ("nb", "poor", "pdf", 0.95),
    ("en", "poor", "tiff", 0.95),
    ("de", "fax", "tiff", 0.88),
    ("nb", "fax", "pdf", 0.92),
    ("en", "fax", "png", 0.92),
]

SHORT = """Dear Sir or Madam,

I have the receipt for order SO-10388 and I wait for your answer to my letter of last week.

Yours faithfully

Tom Baker"""


def word_accuracy(wanted: str, got: str) -> float:
    """1 - word error rate."""
    a, b = wanted.split(), got.split()
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return 1 - row[-1] / len(a)


def body(contact: Contact, text: str) -> str:
    """The contact's text from the salutation on."""
    start = contact.text.find(text.split()[0])
    return contact.text[max(0, start) :]


@pytest.mark.parametrize(("language", "damage", "fmt", "least"), CASES)
def test_letters_are_read(
    letters: Any,
    scan: Callable[..., bytes],
    read: Callable[..., Contact],
    language: str,
    damage: str,
    fmt: str,
    least: float,
) -> None:
    letter = letters[language]
    number = derive_number("shop", language, damage)
    contact = read(scan(language, degrade=damage, fmt=fmt, qr=number, seed=7))
    assert contact.quality.status == "ok", contact.quality
    assert contact.quality.confidence is not None
    assert contact.quality.confidence > 0.9
    assert word_accuracy(letter.text, body(contact, letter.text)) >= least
    assert contact.language == language
    assert contact.sender.name == letter.sender[0]
    assert contact.sender.address == "\n".join(letter.sender)
    assert contact.native["letter_date"] == "2026-11-20"
    assert (contact.native["case_number"], contact.native["case_number_by"]) == (number, "qr")
    assert contact.conversation == number
    missing = [field for field in letter.fields if field not in contact.text]
    assert missing == []
    if damage == "office":
        assert contact.subject == letter.subject
        own = contact.own_text()
        assert letter.sender[1] not in own
        assert "20457" not in own
        assert letter.fields[0] in own


def test_the_same_bytes_give_the_same_contact(scan: Callable[..., bytes], read: Callable[..., Contact]) -> None:
    data = scan("de", degrade="fax", text="Guten Tag,\n\nbitte rufen Sie mich an.", subject="")
    assert encode(read(data)) == encode(read(data))


def test_a_letter_of_two_pages_in_a_tiff(scan: Callable[..., bytes], read: Callable[..., Contact]) -> None:
    text = (
        "Guten Tag,\n\n"
        + "Das alles ist schon einmal geschehen. " * 9
        + "\n\nBitte antworten Sie mir auf der zweiten Seite."
    )
    contact = read(scan("de", text=text, fmt="tiff", degrade="fax", size=26))
    assert contact.native["pages"] == 2
    text = " ".join(contact.text.split())
    assert text.index("Guten Tag") < text.index("zweiten Seite")


@pytest.mark.parametrize(("turn", "code"), [(180, None), (90, "96107762611965")])
def test_a_page_on_its_head_or_side_is_turned(
    scan: Callable[..., bytes], read: Callable[..., Contact], turn: int, code: str | None
) -> None:
    """By the recogniser's own means, or by how a code on the page lies."""
    contact = read(scan("en", text=SHORT, turn=turn, qr=code))
    assert contact.native["turned_pages"] == [1]
    assert contact.quality.status in ("ok", "degraded")
    assert "SO-10388" in contact.text
    assert contact.sender.name == "Tom Baker"


def test_a_printed_number_is_read_without_a_code(scan: Callable[..., bytes], read: Callable[..., Contact]) -> None:
    number = derive_number("shop", "printed")
    grouped = f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}"
    contact = read(
        scan("nb", text=f"Hei,\n\nsaksnummeret mitt er {grouped}, og jeg venter på svar fra dere.\n\nHilsen Kari")
    )
    assert (contact.native["case_number"], contact.native["case_number_by"]) == (number, "text")


def _handwritten(text: str, lines: int, until: float) -> bytes:
    """A typed letter with lines that no recogniser reads, scribbled as a pen does."""
    import io

    import numpy
    from PIL import ImageDraw

    (page,) = make_pages(
        text,
        "de",
        ("Grete Ohlsen", "Lindenweg 4", "10969 Berlin"),
        recipient=("Nordlicht Handel", "Hafenstraße 7", "20457 Hamburg"),
        subject="",
        written=date(2026, 11, 20),
        place="",
        qr=None,
        font=0,
        size=11,
        dpi=300,
    )
    pen, chance = ImageDraw.Draw(page), numpy.random.default_rng(3)
    for line in range(lines):
        across = 300.0
        while across < until:
            strokes = int(chance.integers(4, 12))
            points = [(across + x * 16, 2300 + line * 110 + float(chance.normal(0, 14))) for x in range(strokes)]
            pen.line(points, fill=30, width=5, joint="curve")
            across = points[-1][0] + 45
    out = io.BytesIO()
    page.save(out, format="PNG", dpi=(300, 300))
    return out.getvalue()


def test_handwriting_goes_to_a_person(read: Callable[..., Contact]) -> None:
    contact = read(_handwritten("Guten Tag,\n\nes geht um die Rechnung.", 8, 2100))
    assert contact.quality.status == "unreadable"
    assert any("handwriting" in reason for reason in contact.quality.reasons)
    assert contact.text == ""  # nothing decides on half a letter


def test_a_note_in_the_margin_is_noticed(read: Callable[..., Contact], letters: Any) -> None:
    contact = read(_handwritten(letters["de"].text, 1, 1500))
    assert contact.quality.status == "degraded"
    assert "SO-10234" in contact.text


def test_a_blank_page_is_said_to_be_blank(read: Callable[..., Contact]) -> None:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("L", (2480, 3508), 246).save(out, format="PNG", dpi=(300, 300))
    contact = read(out.getvalue())
    assert contact.quality.status == "unreadable"
    assert contact.quality.reasons == ("nothing is written on the pages",)
