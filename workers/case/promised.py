"""Deadlines that a person names in a reply: "wir melden uns bis Freitag" is a promise, and somebody has to keep it.

Only what the writer undertakes counts. "Bitte senden Sie das Gerät bis Freitag zurück" asks something of the customer,
and "bis Freitag geschlossen" tells when nobody is there. What is found is shown to the writer, who may take it back.
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from workers.packs.hours import OpeningHours, closing_time, open_days_later

__all__ = ["Undertaking", "undertakings"]

MAX_UNDERTAKINGS = 5
"""Per reply: who promises more than this at once has written a list, and a person should look at it."""


class Undertaking(msgspec.Struct, frozen=True, kw_only=True):
    """`what` is the sentence that promises, `until` the moment by which."""

    what: str
    until: datetime


class _Language(msgspec.Struct, frozen=True):
    by: re.Pattern[str]
    within: re.Pattern[str]
    undertakes: re.Pattern[str]
    asks: re.Pattern[str]


_DAYS = {
    name: day
    for day, names in enumerate(
        (
            "montag mandag monday", "dienstag tirsdag tuesday", "mittwoch onsdag wednesday",
            "donnerstag torsdag thursday", "freitag fredag friday", "samstag sonnabend lørdag saturday",
            "sonntag søndag sunday",
        )
    )
    for name in names.split()
}  # fmt: skip
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "januar january", "februar february", "märz mars march", "april", "mai may", "juni june", "juli july",
            "august", "september", "oktober october", "november", "dezember desember december",
        ), start=1,
    )
    for name in names.split()
}  # fmt: skip
_NUMBERS = {
    "ein": 1, "eine": 1, "einem": 1, "einer": 1, "eines": 1, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5, "sechs": 6,
    "sieben": 7, "acht": 8, "zehn": 10, "vierzehn": 14,
    "en": 1, "et": 1, "ett": 1, "to": 2, "tre": 3, "fire": 4, "fem": 5, "seks": 6, "sju": 7, "syv": 7, "åtte": 8,
    "ti": 10, "fjorten": 14,
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "ten": 10,
    "fourteen": 14,
}  # fmt: skip
_TODAY = (
    "heute abend", "heute", "ende des tages", "i dag", "i kveld", "dagen", "utgangen av dagen", "today", "tonight",
    "end of the day", "end of today",
)  # fmt: skip
_TOMORROW = ("morgen", "i morgen", "tomorrow")
_AFTER_TOMORROW = ("übermorgen", "i overmorgen", "the day after tomorrow")
_END_OF_WEEK = (
    "ende der woche", "ende dieser woche", "wochenende", "utgangen av uken", "utgangen av uka", "uken", "uka",
    "end of the week", "end of this week", "this week",
)  # fmt: skip
_WORDS = sorted((*_TODAY, *_TOMORROW, *_AFTER_TOMORROW, *_END_OF_WEEK, *_DAYS), key=len, reverse=True)
_DAY = (
    rf"(?P<word>{'|'.join(_WORDS)})\b"
    rf"|(?P<day>[0-3]?[0-9])(?:\.|st|nd|rd|th)?\s?(?:of )?(?P<month>{'|'.join(_MONTHS)})\b(?: (?P<year>20[0-9]{{2}}))?"
    r"|(?P<d>[0-3]?[0-9])\.\s?(?P<m>[01]?[0-9])\.\s?(?P<y>20[0-9]{2})?"
)
_COUNT = rf"(?P<count>[0-9]{{1,2}}|{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_LANGUAGES = {
    "de": _Language(
        by=_pattern(
            rf"\b(?:bis spätestens|spätestens bis|spätestens|bis|noch|am|im laufe)\s+"
            rf"(?:(?:zum|zu|am|des|diesen|kommenden|nächsten)\s+)*(?:{_DAY})"
        ),
        within=_pattern(
            rf"\b(?:innerhalb|binnen|in)\s+(?:(?:von|der|den|nächsten|kommenden)\s+)*{_COUNT}\s+"
            r"(?P<unit>stunden?|tag(?:en?|es)?|werktag(?:en?|es)?|arbeitstag(?:en?|es)?|wochen?)\b"
        ),
        undertakes=_pattern(r"\b(?:ich|wir|(?:erhalten|bekommen|hören|haben) sie|sie (?:erhalten|bekommen|hören))\b"),
        asks=_pattern(
            r"\bbitten? (?:sie|um)\b|\bbitte (?!entschuldigen)|\b(?:können|könnten|müssen) sie\b|geschlossen|geöffnet"
            r"|\bsie (?:müssen|können|haben zeit)\b|\b(?:senden|schicken|geben|teilen|melden|antworten) sie\b"
        ),
    ),
    "nb": _Language(
        by=_pattern(
            rf"\b(?:senest innen|innen|senest|før|på|i løpet av|allerede)\s+"
            rf"(?:(?:førstkommende|kommende|den)\s+)*(?:{_DAY})"
            r"|(?P<only>\bi dag\b|\bi morgen\b|\bi overmorgen\b|\bi kveld\b)"
        ),
        within=_pattern(
            rf"\b(?:innen|i løpet av|om)\s+(?:(?:de|neste|nærmeste)\s+)*{_COUNT}\s+"
            r"(?P<unit>timer?|dag(?:er)?|virkedag(?:er)?|arbeidsdag(?:er)?|uker?)\b"
        ),
        undertakes=_pattern(r"\b(?:jeg|vi|du (?:får|hører|mottar)|(?:får|hører|mottar) du)\b"),
        asks=_pattern(
            r"\bvennligst\b|\b(?:kan|må) du\b|\bdu (?:må|kan)\b|\bber (?:deg|om)\b|stengt|åpent"
            r"|(?:^|\n)\s*(?:send|gi|ring|svar|returner|lever)\b"
        ),
    ),
    "en": _Language(
        by=_pattern(
            rf"\b(?:by|before|no later than|on|at the latest by)\s+(?:(?:the|this|next|coming)\s+)*(?:{_DAY})"
            r"|(?P<only>\btoday\b|\btomorrow\b|\btonight\b|\bthis week\b)"
        ),
        within=_pattern(
            rf"\b(?:within|in)\s+(?:(?:the|next|coming)\s+)*{_COUNT}\s+"
            r"(?P<unit>hours?|days?|working days?|business days?|weeks?)\b"
        ),
        undertakes=_pattern(r"\b(?:i|we|i['’]ll|we['’]ll|you(?: will|['’]ll) (?:have|get|receive|hear))\b"),
        asks=_pattern(
            r"\bplease (?!be assured)|\b(?:could|can|would) you\b|\byou (?:need|have|must|can)\b|\blet us know\b"
            r"|\bclosed\b|\bsend us\b"
        ),
    ),
}
_SENTENCE = re.compile(r"(?<=[!?])\s+|(?<=\D\.)\s+(?=[A-ZÄÖÜÆØÅ])|\n+")


def undertakings(text: str, language: str, now: datetime, hours: OpeningHours) -> tuple[Undertaking, ...]:
    """What a person's reply promises by a time, in the order of the text; nothing for a language that is not known.

    A day ends when people go home, in the company's zone. A weekday is the next one, never today: who means today
    says so. Times that lie in the past promise nothing.
    """
    known = _LANGUAGES.get(language)
    if known is None:
        return ()
    found: list[Undertaking] = []
    for sentence in _SENTENCE.split(text):
        if known.asks.search(sentence) or not known.undertakes.search(sentence):
            continue
        until = min((each for each in _deadlines(sentence, known, now, hours) if each > now), default=None)
        if until is not None:
            found.append(Undertaking(what=sentence.strip(), until=until))
    return tuple(found[:MAX_UNDERTAKINGS])


def _deadlines(sentence: str, language: _Language, now: datetime, hours: OpeningHours) -> Iterator[datetime]:
    today = now.astimezone(ZoneInfo(hours.zone)).date()
    for match in language.within.finditer(sentence):
        yield _within(match, now, today, hours)
    for match in language.by.finditer(sentence):
        day = _day_of(match, today)
        if day is not None:
            yield closing_time(hours, day)


def _within(match: re.Match[str], now: datetime, today: date, hours: OpeningHours) -> datetime:
    written = match["count"].casefold()
    count = int(written) if written.isdigit() else _NUMBERS[written]
    unit = match["unit"].casefold()
    if unit.startswith(("stund", "time", "hour")):
        return now + timedelta(hours=count)
    if unit.startswith(("werk", "arbeit", "virke", "arbeid", "working", "business")):
        return closing_time(hours, open_days_later(hours, today, count))
    days = count * 7 if unit.startswith(("woche", "uke", "week")) else count
    return closing_time(hours, today + timedelta(days=days))


def _day_of(match: re.Match[str], today: date) -> date | None:
    groups = match.groupdict()
    word = (groups.get("only") or groups.get("word") or "").casefold()
    if word:
        if word in _TODAY:
            return today
        if word in _TOMORROW:
            return today + timedelta(days=1)
        if word in _AFTER_TOMORROW:
            return today + timedelta(days=2)
        if word in _END_OF_WEEK:
            return today + timedelta(days=(4 - today.weekday()) % 7)
        return today + timedelta(days=(_DAYS[word] - today.weekday() - 1) % 7 + 1)
    month = _MONTHS[match["month"].casefold()] if match["month"] else int(match["m"])
    year = match["year"] or match["y"]
    try:
        day = date(int(year) if year else today.year, month, int(match["day"] or match["d"]))
    except ValueError:
        return None
    # "Bis zum 3. Januar", written in December, is next year's.
    return day if year or day >= today else day.replace(year=day.year + 1)
