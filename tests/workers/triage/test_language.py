"""Language by what is known first, by the text where it is long or plain enough."""

import pytest

from workers.packs import Pack
from workers.triage.language import Hints, Languages
from workers.triage.lists import plain


@pytest.fixture(scope="module")
def languages(shop: Pack) -> Languages:
    return Languages(shop)


@pytest.mark.parametrize("language", ["de", "nb", "en"])
def test_held_out_lines(shop: Pack, languages: Languages, language: str) -> None:
    lines = [test for test in shop.tests if test.language == language]
    longer = [test for test in lines if len(plain(test.text).split()) >= 4]
    right = sum(languages.decide(plain(test.text), Hints())[0] == language for test in longer)
    assert right / len(longer) >= 0.97
    with_prior = sum(languages.decide(plain(test.text), Hints(channel=language))[0] == language for test in lines)
    assert with_prior / len(lines) >= 0.99


@pytest.mark.parametrize(
    ("text", "language"),
    [("ja takk", "nb"), ("nei", "nb"), ("nein", "de"), ("thanks", "en"), ("Rückruf bitte", "de"), ("hei", "nb"),
     ("Hvor er pakken?", "nb"), ("where is it", "en")],
)  # fmt: skip
def test_short_texts_without_any_prior(languages: Languages, text: str, language: str) -> None:
    assert languages.decide(plain(text), Hints())[0] == language


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        (Hints(case="nb", channel="de", number="en"), ("nb", "case")),
        (Hints(channel="en", number="de"), ("en", "channel")),
        (Hints(number="nb"), ("nb", "number")),
        (Hints(case="sv"), ("de", "default")),
        (Hints(), ("de", "default")),
    ],
)
def test_priors_decide_where_the_text_says_nothing(
    languages: Languages, hints: Hints, expected: tuple[str, str]
) -> None:
    assert languages.decide("so 10234", hints) == expected


def test_a_long_text_overrules_what_was_known(languages: Languages) -> None:
    text = plain("I would like to know when my parcel will finally be delivered to my house, please.")
    assert languages.decide(text, Hints(case="de"))[0] == "en"
    assert languages.decide(plain("ok danke"), Hints(case="en"))[0] == "en"


def test_danish_small_words_do_not_make_a_text_german_or_english(languages: Languages) -> None:
    assert languages.decide(plain("Jeg har ikke fået pakken endnu, hvad gør jeg?"), Hints())[0] == "nb"
