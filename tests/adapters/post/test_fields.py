"""What a letter says about itself, from lines laid out as letters are."""

from datetime import date

import pytest

from adapters.post import fields
from adapters.post.codes import find_numbers, group_number
from adapters.post.config import Company
from adapters.post.normalise import case_number
from adapters.post.reader import Letter, PageResult
from adapters.post.recognise import Line, Word
from adapters.post.words import CLOSING, SALUTATION, find_dates, language_of, long_date
from bus.message import derive_number

COMPANY = Company(name="Nordlicht Handel", address=("Hafenstraße 7", "20457 Hamburg"))
DAY = date(2026, 11, 22)


def page(*rows: tuple[float, float, str]) -> list[Line]:
    """Lines at (left, top) in millimetres."""
    return [
        Line(
            words=tuple(Word(text=word, left=0, top=0, right=9, bottom=9, confidence=96) for word in text.split()),
            page=0,
            block=1,
            paragraph=number,
            left=left,
            top=top,
            right=left + 2.0 * len(text),
            bottom=top + 3.5,
        )
        for number, (left, top, text) in enumerate(rows)
    ]


WINDOW = ((25, 56, "Nordlicht Handel"), (25, 61, "Hafenstrabe 7"), (25, 66, "20457 Hamburg"))
BODY = ((25, 110, "Sehr geehrte Damen und Herren,"), (25, 120, "ich wohne jetzt in 80331 München."))


@pytest.mark.parametrize(
    ("rows", "name", "address"),
    [
        (((25, 20, "Grete Ohlsen"), (25, 25, "Lindenweg 4"), (25, 30, "10969 Berlin")), "Grete Ohlsen", "10969 Berlin"),
        (((150, 20, "Kari Lunde"), (150, 25, "Storgata 12"), (150, 30, "0155 Oslo")), "Kari Lunde", "0155 Oslo"),
        (((140, 30, "8 Mill Lane"), (140, 35, "York YO1 7AB")), "Tom Baker", "York YO1 7AB"),
        (((25, 47, "Jonas Weber · Am Markt 2 · 04109 Leipzig"),), "Jonas Weber", "04109 Leipzig"),
        (
            (
                (25, 20, "Absender: Frau Dr. Anna-Lena Øst"),
                (25, 25, "c/o Müller"),
                (25, 30, "Weg 1"),
                (25, 35, "D-10115 Berlin"),
            ),
            "Dr. Anna-Lena Øst",
            "D-10115 Berlin",
        ),
    ],
)
def test_the_sender_is_found_and_is_not_the_company(rows: tuple, name: str, address: str) -> None:
    closing = ((25, 200, "Mit freundlichen Grüßen"), (25, 215, "Tom Baker"))
    sender = fields.find_sender(page(*rows, *WINDOW, *BODY, *closing), COMPANY)
    assert sender.name == name
    assert sender.address[-1] == address
    assert "Hamburg" not in " ".join(sender.address)


def test_no_sender_is_better_than_the_recipient() -> None:
    """Even when nobody told us our own address."""
    sender = fields.find_sender(page(*WINDOW, *BODY), Company())
    assert sender.address == ()


def test_the_end_of_an_address_is_no_subject() -> None:
    """Even when nobody told us our own address."""
    assert fields.subject_index(page(*WINDOW, *BODY), frozenset(), None) is None
    with_subject = page(*WINDOW, (25, 100, "Kündigung"), *BODY)
    assert fields.subject_index(with_subject, frozenset(), None) == 3
    labelled = page(*WINDOW, (25, 98, "Betreff: Kündigung"), (25, 103, "Kunde 4711"), *BODY)
    index = fields.subject_index(labelled, frozenset(), None)
    assert index == 3
    assert fields.subject_text(labelled[index].text) == "Kündigung"


def test_the_name_below_the_closing_is_a_name_without_an_address() -> None:
    sender = fields.find_sender(page(*WINDOW, *BODY, (25, 200, "Kind regards,"), (25, 210, "Tom Baker")), COMPANY)
    assert (sender.name, sender.address, sender.how) == ("Tom Baker", (), "closing")


def test_the_letter_date_is_the_one_at_the_top_right_and_never_after_the_scan() -> None:
    rows = page(
        (25, 20, "Bestellt am 01.10.2026"),
        (150, 85, "Berlin, 20. November 2026"),
        (25, 100, "Ihre Rechnung vom 05.11.2026"),
        (25, 110, "Guten Tag,"),
        (150, 120, "Termin 21.11.2026"),
    )
    found = fields.letter_date(rows, DAY)
    assert found is not None
    assert found.value == "2026-11-20"
    assert fields.letter_date(page((150, 20, "20. Dezember 2026"), (150, 30, "3. Mai 1998")), DAY) is None
    assert fields.letter_date(page((150, 20, "20. Dezember 2026")), None) is not None


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20.11.2026", date(2026, 11, 20)),
        ("20. november 2026", date(2026, 11, 20)),
        ("20 November 2026", date(2026, 11, 20)),
        ("November 20, 2026", date(2026, 11, 20)),
        ("1st December 2025", date(2025, 12, 1)),
        ("2026-11-20", date(2026, 11, 20)),
        ("3. März 2026", date(2026, 3, 3)),
        ("20/11/26", date(2026, 11, 20)),
    ],
)
def test_dates_of_three_languages(text: str, day: date) -> None:
    assert find_dates(text) == [day]


def test_impossible_dates_are_none() -> None:
    assert find_dates("31.02.2026 99.99.2026 20 Foo 2026") == []


@pytest.mark.parametrize("language", ["de", "nb", "en"])
def test_dates_are_written_as_they_are_read(language: str) -> None:
    assert find_dates(long_date(date(2026, 3, 9), language)) == [date(2026, 3, 9)]


def test_numbers_are_found_in_every_form_and_only_when_valid() -> None:
    number = derive_number("shop", "k")
    assert find_numbers(f"Vorgang {group_number(number)}.") == (number,)
    assert find_numbers(f"sak {number}, takk") == (number,)
    assert find_numbers(group_number(number).replace(" ", "-")) == (number,)
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert find_numbers(wrong) == ()


def test_letters_read_for_digits_are_repaired_and_digits_never() -> None:
    number = next(n for n in (derive_number(str(i)) for i in range(1000)) if {"0", "1", "5"} <= set(n[:12]))
    spoilt = number.replace("0", "O", 1).replace("1", "l", 1).replace("5", "S", 1)
    assert find_numbers(f"Case {group_number(spoilt)}") == (number,)
    swapped = number.replace("1", "7", 1)
    assert find_numbers(f"Case {group_number(swapped)}") == ()


def test_two_different_numbers_are_no_number() -> None:
    first, second = derive_number("a"), derive_number("b")
    page_with = PageResult(number=0, codes=({"text": first}, {"text": first}, {"text": "something else"}))
    assert case_number(Letter(pages=(page_with,)), second) == (first, "qr")
    other = PageResult(number=1, codes=({"text": second},))
    assert case_number(Letter(pages=(page_with, other)), "") == ("", "")
    assert case_number(Letter(), f"{first} = {group_number(first)}") == (first, "text")
    assert case_number(Letter(), f"{first} and {second}") == ("", "")


def test_foreign_numbers_are_no_case_numbers() -> None:
    """An IBAN in groups of four ends like one of ours; of foreign numbers of 14 digits one in 97 is valid by chance."""
    for tail in range(100):
        assert find_numbers(f"DE12 3456 7890 1234 5678 {tail:02d}") == ()
    assert find_numbers("IBAN NO93 8601 1117 947, Tlf 22 55 01 02, 4000 1234 5678 9010") == ()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ich bitte Sie um eine Antwort, denn die Rechnung ist nicht von mir.", "de"),
        ("Jeg har ikke fått varen, og det er to uker siden.", "nb"),
        ("I have not received the parcel and it is two weeks late.", "en"),
        ("SO-10234 49,90", ""),
    ],
)
def test_the_language_is_told_by_its_small_words(text: str, language: str) -> None:
    assert language_of(text, ("de", "nb", "en")) == language


@pytest.mark.parametrize(
    "line", ["Sehr geehrte Frau Meier,", "Hei,", "Dear Sir or Madam,", "Kjære kundeservice", "Guten Tag"]
)
def test_salutations(line: str) -> None:
    assert SALUTATION.match(line)


@pytest.mark.parametrize(
    "line",
    ["Mit freundlichen Grüßen", "Med vennlig hilsen", "Yours faithfully", "Vennlig hilsen", "Kind regards", "Mvh Kari"],
)
def test_closings(line: str) -> None:
    assert CLOSING.match(line)
    assert not CLOSING.match("Ich sende die Ware mit der Post zurück")


def test_reach_is_found_only_where_it_is_certain() -> None:
    assert fields.first_email("E-Mail: Grete.Ohlsen@kunde.example") == "grete.ohlsen@kunde.example"
    assert fields.first_phone("Kundennummer 123456789\nTel. 030 5550101") == "0305550101"
    assert fields.first_phone("+47 22 55 01 02") == "+4722550102"
    assert fields.first_phone("Rechnung 20234567, 4711 0815") == ""


@pytest.mark.parametrize(
    "evil",
    ["|" * 20000, "1 " * 20000, "A-1 " * 9000, "a@" * 20000, "00 " * 20000, "Mit freundlich" * 3000, "11.11." * 9000],
)
def test_no_line_takes_long(evil: str) -> None:
    import time

    rows = page((25, 20, evil), *WINDOW, *BODY)
    start = time.perf_counter()
    fields.find_sender(rows, COMPANY)
    fields.letter_date(rows, DAY)
    fields.first_phone(evil)
    fields.first_email(evil)
    find_numbers(evil)
    language_of(evil, ("de", "nb", "en"))
    assert time.perf_counter() - start < 2.0
