"""How satisfied a customer is: asked once at the end, on the channel of the matter, answered with a number from 1 to 5.

Pure. It never keeps a case open: the question goes with the goodbye, and an answer that is nothing but a number opens
nothing. A low score is no figure but a customer who was not helped: a person follows it up
(`workers.dialogue.manners`).

The question belongs to the customer's own matter, on its channel and at its end. It is asked of nobody who wants no
contact from us (section 7(3) UWG demands that every such mail says how to object; the German Federal Court of Justice
counts surveys as advertising, judgment VI ZR 225/17), nobody whose conversation was ended, and no machine.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from workers.case.closing import AUTOMATIC
from workers.case.model import CaseState
from workers.packs.policy import Satisfaction

__all__ = ["LOWEST", "Rating", "asks", "rating_in", "rating_of"]

LOWEST, HIGHEST = 1, 5

_NOT_ASKED = frozenset({AUTOMATIC, "stopped", "unanswered", "joined"})
"""Outcomes of cases in which nobody was served."""

_NUMBERS: Mapping[str, Mapping[str, int]] = {
    "de": {"eins": 1, "zwei": 2, "zwo": 2, "drei": 3, "vier": 4, "fünf": 5},
    "nb": {
        "én": 1, "ett": 1, "to": 2, "tre": 3, "fire": 4, "fem": 5,
        "ener": 1, "enar": 1, "toer": 2, "treer": 3, "firer": 4, "femmer": 5,
    },
    "en": {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5},
}  # fmt: skip
_ALONE: Mapping[str, Mapping[str, int]] = {"de": {"eine": 1, "ein": 1}, "nb": {"en": 1}, "en": {}}
"""Words that are a number only when no other stands beside them."""

_FILLING = frozenset(
    {
        *("note", "punkt", "punkte", "stern", "sterne", "zahl", "antwort", "die", "der", "das", "ein", "eine", "ich"),
        *(
            "gebe",
            "ihnen",
            "euch",
            "würde",
            "sage",
            "ist",
            "bitte",
            "danke",
            "dank",
            "vielen",
            "so",
            "da",
            "dann",
            "es",
        ),
        *("karakter", "stjerne", "stjerner", "poeng", "tall", "svar", "en", "et", "ei", "jeg", "gir", "gi", "dere"),
        *("ville", "sier", "er", "takk", "mange", "tusen", "det", "mitt", "min", "meine"),
        *(
            "score",
            "rating",
            "number",
            "star",
            "stars",
            "point",
            "points",
            "answer",
            "a",
            "an",
            "the",
            "i",
            "i'd",
            "it",
        ),
        *("give", "you", "would", "say", "is", "please", "thanks", "thank", "my"),
    }
)
"""What people say around the number."""

_OF_FIVE = re.compile(r"(?:\s*/\s*|\s+(?:von|av|out\s+of|of)\s+)(?:5|fünf|fem|five)\b")
_CASE_NUMBER = re.compile(r"(?<!\d)(?:\d[ \t.-]?){13}\d(?!\d)")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_LEADING = re.compile(r"\s*([1-5])(?:\s*/\s*5)?\s*(?:[,.;:!–-]+\s|\n)")


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """`alone`: the text says nothing else, so it asks for nothing."""

    score: int
    alone: bool


def asks(state: CaseState, settings: Satisfaction, channel: str) -> bool:
    """Whether the customer of a case that comes to its end is asked on a channel; once until it is opened again."""
    return (
        channel in settings.channels
        and state.survey_asked is None
        and not state.ended
        and state.tone != "abusive"
        and state.outcome not in _NOT_ASKED
        and bool(state.routes)
        # What is still promised is not at its end; the question comes when that is kept and the case is closed.
        and not state.open_promises()
    )


def rating_of(
    state: CaseState, text: str, digits: str, language: str, now: datetime, settings: Satisfaction
) -> Rating | None:
    """The score in a contact to a case that has asked for one, or None. `digits`: keys pressed on the telephone."""
    asked = state.survey_asked
    if asked is None or now > asked + timedelta(days=settings.answer_days):
        return None
    if digits:
        return Rating(score=int(digits), alone=True) if digits in ("1", "2", "3", "4", "5") else None
    return rating_in(text, language)


def rating_in(text: str, language: str) -> Rating | None:
    """The score that a text gives, or None: "4", "4/5", "eine Fünf", "en firer", "I'd give you a five, thanks".

    Exactly one number from 1 to 5 and words around it that say nothing; or such a digit at the very beginning, set off
    from what follows ("2, and here is why ..."), which is then for somebody to read.
    """
    words = _OF_FIVE.sub(" ", _CASE_NUMBER.sub(" ", text.casefold().replace("’", "'")))
    numbers = _NUMBERS.get(language, {})
    alone = _ALONE.get(language, {})
    scores: list[int] = []
    weak: list[int] = []
    for word in _WORD.findall(words):
        if word.isascii() and word.isdigit():
            scores.append(int(word))
        elif word in numbers:
            scores.append(numbers[word])
        elif word in alone:
            weak.append(alone[word])
        elif word not in _FILLING:
            break
    else:
        found = scores or weak
        if len(found) == 1 and LOWEST <= found[0] <= HIGHEST:
            return Rating(score=found[0], alone=True)
        return None
    leading = _LEADING.match(text)
    return Rating(score=int(leading[1]), alone=False) if leading is not None else None
