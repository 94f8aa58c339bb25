"""Words and dates of letters in German, Norwegian and English: what reading looks for and what writing uses."""

import re
from datetime import date

__all__ = ["CLOSING", "SALUTATION", "find_dates", "language_of", "long_date"]

MONTHS = {
    "de": (
        "Januar", "Februar", "März", "April", "Mai", "Juni",
        "Juli", "August", "September", "Oktober", "November", "Dezember",
    ),
    "nb": (
        "januar", "februar", "mars", "april", "mai", "juni",
        "juli", "august", "september", "oktober", "november", "desember",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
}  # fmt: skip

_STOP_WORDS = {
    "de": "der die das und ich nicht ist mit von auf für den eine ein zu wir habe sie mir bitte meine wurde",
    "nb": "og jeg det ikke er som på for av til med en et har vi dere meg hilsen fra varen ble min",
    "en": "the and i not is with of on for to a we have you my please was that it your from",
}
_WORD_SETS = {language: frozenset(words.split()) for language, words in _STOP_WORDS.items()}
_FEWEST_STOP_WORDS = 3

SALUTATION = re.compile(
    r"^\W{0,3}(sehr geehrte|guten (tag|morgen|abend)|hallo\b|liebe[rs]? |moin\b|"
    r"hei\b|hei,|kjære |god (dag|morgen|kveld)|til (rette|den det)|"
    r"dear |hello\b|hi\b|good (morning|afternoon|day|evening)|to whom)",
    re.IGNORECASE,
)
"""The line that opens a letter."""

CLOSING = re.compile(
    r"^\W{0,3}(mit (freundlich|best|herzlich|lieb|viel)\w* gr[uü](ß|ss|B)\w*|(freundliche|beste|viele|herzliche|liebe) "
    r"gr[uü](ß|ss|B)\w*|hochachtungsvoll|"
    r"(med )?(vennlig|beste?|hjertelig)( \w+)? hilsen\w*|(mvh|hilsen)\b|"
    r"yours (sincerely|faithfully|truly)|(kind|best|warm)( \w+)? (regards|wishes)|regards\b|sincerely\b|best wishes)",
    re.IGNORECASE,
)
"""The line that closes a letter."""


def long_date(day: date, language: str) -> str:
    """A date as a letter in this language writes it."""
    month = MONTHS.get(language, MONTHS["en"])[day.month - 1]
    return f"{day.day} {month} {day.year}" if language == "en" else f"{day.day}. {month} {day.year}"


def language_of(text: str, allowed: tuple[str, ...]) -> str:
    """The language with the most of its most frequent words; empty when too few were found to tell."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    counts = sorted((sum(word in _WORD_SETS[name] for word in words), name) for name in allowed if name in _WORD_SETS)
    return counts[-1][1] if counts and counts[-1][0] >= _FEWEST_STOP_WORDS else ""


_NAMED_MONTHS = {name.lower(): number for names in MONTHS.values() for number, name in enumerate(names, start=1)} | {
    "maerz": 3, "marz": 3, "jan": 1, "feb": 2, "apr": 4, "aug": 8, "sep": 9, "sept": 9, "okt": 10, "oct": 10,
    "nov": 11, "des": 12, "dez": 12, "dec": 12,
}  # fmt: skip
_DAY_MONTH = re.compile(r"\b(\d{1,2})(?:st|nd|rd|th)?\.? ?([A-Za-zä]{3,9})\.?,? (\d{4})\b")
_MONTH_DAY = re.compile(r"\b([A-Za-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})\b")
_NUMERIC = re.compile(r"\b(\d{1,2})[./] ?(\d{1,2})[./] ?(\d{4}|\d{2})\b")
_ISO = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")


def find_dates(text: str) -> list[date]:
    """Dates in a text, day before month as all three languages write it."""
    found: list[tuple[int, int, int]] = []
    found += [(int(y), _NAMED_MONTHS.get(m.lower(), 0), int(d)) for d, m, y in _DAY_MONTH.findall(text)]
    found += [(int(y), _NAMED_MONTHS.get(m.lower(), 0), int(d)) for m, d, y in _MONTH_DAY.findall(text)]
    found += [(int(y) if len(y) == 4 else 2000 + int(y), int(m), int(d)) for d, m, y in _NUMERIC.findall(text)]
    found += [(int(y), int(m), int(d)) for y, m, d in _ISO.findall(text)]
    days: list[date] = []
    for year, month, day in found:
        try:
            days.append(date(year, month, day))
        except ValueError:
            continue
    return days
