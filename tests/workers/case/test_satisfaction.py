"""Which texts are a score and nothing else, which begin with one, and which are none."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.case import events
from workers.case.evolving import evolve
from workers.case.satisfaction import Rating, rating_in, rating_of
from workers.packs import load

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
SETTINGS = load("shop").policy.satisfaction


@pytest.mark.parametrize(
    ("text", "language", "score"),
    [
        ("4", "de", 4), ("4/5", "en", 4), (" 5 !", "nb", 5), ("5 von 5", "de", 5), ("3 out of 5", "en", 3),
        ("fire av fem", "nb", 4), ("eine Fünf", "de", 5), ("Note 2", "de", 2), ("zwei", "de", 2), ("en firer", "nb", 4),
        ("en", "nb", 1), ("to", "nb", 2), ("én", "nb", 1), ("five", "en", 5), ("I'd give you a four, thanks", "en", 4),
        ("Ich gebe Ihnen eine 3, danke.", "de", 3), ("jeg gir dere en femmer", "nb", 5), ("5 stjerner", "nb", 5),
        ("2\n", "en", 2), ("1, Fall 1234 5678 9012 34", "de", 1), ("eins", "de", 1), ("fire", "nb", 4),
    ],
)  # fmt: skip
def test_a_number_in_plain_words(text: str, language: str, score: int) -> None:
    if "Fall" in text:
        assert rating_in(text, language) == Rating(score=score, alone=False)
    else:
        assert rating_in(text, language) == Rating(score=score, alone=True)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("", "de"), ("0", "de"), ("6", "en"), ("10/10", "en"), ("1-2", "de"), ("4 oder 5", "de"), ("fire", "en"),
        ("to", "en"), ("SO-10234", "de"), ("danke", "de"), ("Ich habe 2 Pakete bestellt und nur eins bekommen", "de"),
        ("My house is on fire", "en"), ("I ordered five lamps", "en"), ("55", "nb"), ("1234 5678 9012 34", "de"),
        ("Nein, die 3 Tassen fehlen noch", "de"), ("2 cups are missing", "en"),
    ],
)  # fmt: skip
def test_what_is_no_score(text: str, language: str) -> None:
    assert rating_in(text, language) is None


@pytest.mark.parametrize(
    "text", ["2, and here is why: nobody called me back.", "1. Nobody called.", "5/5 - lovely team"]
)
def test_a_score_with_more_behind_it_is_for_somebody_to_read(text: str) -> None:
    rating = rating_in(text, "en")
    assert rating is not None
    assert (rating.score, rating.alone) == (int(text[0]), False)


@given(st.text(), st.sampled_from(["de", "nb", "en"]))
def test_no_text_gives_a_score_outside_the_scale(text: str, language: str) -> None:
    rating = rating_in(text, language)
    assert rating is None or 1 <= rating.score <= 5


def test_a_number_counts_only_after_the_question_and_for_a_time() -> None:
    state = evolve(
        None, events.Opened(at=NOW, id="k", tenant="shop", number="1", person="p", channel="email", language="de")
    )
    assert rating_of(state, "5", "", "de", NOW, SETTINGS) is None
    state = evolve(state, events.SurveyAsked(at=NOW, channel="email"))
    late = NOW + timedelta(days=SETTINGS.answer_days, seconds=1)
    assert rating_of(state, "5", "", "de", NOW + timedelta(days=1), SETTINGS) == Rating(score=5, alone=True)
    assert rating_of(state, "5", "", "de", late, SETTINGS) is None
    assert rating_of(state, "", "4", "de", NOW, SETTINGS) == Rating(score=4, alone=True)
    assert rating_of(state, "", "9", "de", NOW, SETTINGS) is None
    state = evolve(evolve(state, events.Closed(at=NOW)), events.Reopened(at=NOW))
    assert rating_of(state, "5", "", "de", NOW, SETTINGS) is None
