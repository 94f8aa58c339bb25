"""Ids, text and own words of a contact."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.message import Contact, Party, TextRange, clean_text, derive_id, derive_number, encode, number_is_valid

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def test_ids_are_derived_and_stable() -> None:
    assert derive_id("c", "shop", "email", "<1@x>") == derive_id("c", "shop", "email", "<1@x>")
    assert derive_id("c", "a", "bc") != derive_id("c", "ab", "c")
    # Written down: an id that changed between versions would make one contact two.
    assert derive_id("c", "shop", "email", "<1@x>") == "c-05emghvma4w14cwmc5bj"


@given(st.text(max_size=30))
def test_case_numbers_carry_check_digits_that_notice_one_wrong_digit(seed: str) -> None:
    number = derive_number(seed)
    assert number_is_valid(number)
    wrong = str((int(number[5]) + 1) % 10)
    assert not number_is_valid(number[:5] + wrong + number[6:])


@pytest.mark.parametrize("number", ["", "1234", "5485026956952X", "٥٤٨٥٠٢٦٩٥٦٩٥٢٢", "54850269569523"])
def test_what_is_no_case_number(number: str) -> None:
    assert not number_is_valid(number)


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_cleaned_text_can_always_travel(text: str) -> None:
    assert encode(clean_text(text + "\ud800"))


def test_cleaning_keeps_words_and_mends_line_ends() -> None:
    assert clean_text("Gru\u0308ße\r\nfra A\u030asne\x00\rslutt\u2028her") == "Grüße\nfra Åsne\nslutt\nher"


def test_own_text_leaves_out_quotes_and_signatures() -> None:
    text = "Ja, bitte.\n\nAm Montag schrieb Shop:\n> Sollen wir?\n-- \nGrete"
    quote, signature = text.index("Am Montag"), text.index("-- ")
    contact = Contact(
        id="c-1",
        tenant="shop",
        channel="email",
        account="a",
        sender=Party(kind="email", address="g@x"),
        occurred_at=NOW,
        received_at=NOW,
        text=text,
        ranges=(
            TextRange(label="reply", start=0, end=quote),
            TextRange(label="quote", start=quote, end=signature),
            TextRange(label="signature", start=signature, end=len(text)),
        ),
    )
    assert contact.own_text() == "Ja, bitte."
