"""What a text names, in its normal form."""

import random

import pytest

from bus.message import derive_number
from workers.packs import Pack
from workers.triage.entities import Entities


@pytest.fixture(scope="module")
def entities(shop: Pack) -> Entities:
    return Entities(shop)


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Bestellung SO-10234", "de", ("order", "SO-10234")),
        ("ordre so 10301", "nb", ("order", "SO-10301")),
        ("so10301", "en", ("order", "SO-10301")),
        ("Rechnung RE-2O234", "de", ("invoice", "RE-20234")),
        ("receipt R-77120", "en", ("receipt", "R-77120")),
        ("1.249,00 €", "de", ("amount", "124900 EUR")),
        ("1 249,50 kr", "nb", ("amount", "124950 NOK")),
        ("kr 500,-", "nb", ("amount", "50000 NOK")),
        ("£1,249.50", "en", ("amount", "124950 GBP")),
        ("24.99 Euro", "de", ("amount", "2499 EUR")),
        ("5 pounds", "en", ("amount", "500 GBP")),
        ("am 14.03.2026", "de", ("date", "2026-03-14")),
        ("3 March 2026", "en", ("date", "2026-03-03")),
        ("den 3. mai 2026", "nb", ("date", "2026-05-03")),
        ("25/12/2026", "en", ("date", "2026-12-25")),
        ("2026-12-25", "en", ("date", "2026-12-25")),
        ("Code: 123 456", "de", ("code", "123456")),
        ("Grete.Ohlsen@Kunde.example", "de", ("email", "grete.ohlsen@kunde.example")),
        ("+49 30 5550101", "de", ("phone", "+49305550101")),
        ("ring 0047 22 55 01 02", "nb", ("phone", "+4722550102")),
        ("DE89 3704 0044 0532 0130 00", "de", ("iban", "DE89370400440532013000")),
        ("2", "de", ("choice", "2")),
    ],
)
def test_found(entities: Entities, text: str, language: str, expected: tuple[str, str]) -> None:
    found = [(entity.kind, entity.value) for entity in entities.find(text, language) if entity.valid]
    assert found == [expected]


def test_places_are_those_of_the_text(entities: Entities) -> None:
    text = "Für SO-10234 und RE-20234 zahlte ich 49,90 EUR am 3.5.2026."
    for entity in entities.find(text, "de"):
        assert text[entity.start : entity.end].strip() == text[entity.start : entity.end]
    assert [entity.kind for entity in entities.find(text, "de")] == ["order", "invoice", "amount", "date"]


def test_what_is_ambiguous_is_kept_and_not_believed(entities: Entities) -> None:
    (day,) = entities.find("12/02/2026", "en")
    assert (day.value, day.valid) == ("2026-02-12", False)
    (bare,) = entities.find("es waren 19,99 laut Schild", "de")
    assert (bare.kind, bare.value, bare.valid) == ("amount", "1999 EUR", False)
    (account,) = entities.find("DE12 3704 0044 0532 0130 00", "de")
    assert (account.kind, account.valid) == ("iban", False)


def test_case_numbers_by_their_check_digits(entities: Entities) -> None:
    rng = random.Random(3)
    for i in range(200):
        number = derive_number("shop", str(i))
        written = f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}"
        assert [(e.kind, e.value) for e in entities.find(f"Vorgang {written}", "de")] == [("case", number)]
        place = rng.randrange(14)
        wrong = number[:place] + str((int(number[place]) + 1) % 10) + number[place + 1 :]
        assert all(entity.kind != "case" for entity in entities.find(wrong, "de"))


@pytest.mark.parametrize("text", ["XSO-10234", "SO-1023", "SO-102345", "31.02.2026", "um 14.30 Uhr", "20 %", "A-77120"])
def test_not_found(entities: Entities, text: str) -> None:
    kinds = {entity.kind for entity in entities.find(text, "de") if entity.valid}
    assert not kinds & {"order", "receipt", "date", "amount"}
