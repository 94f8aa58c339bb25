"""Deadlines that a person names in a reply: "wir melden uns bis Freitag" is a promise, and somebody has to keep it.

Only what the writer undertakes counts. "Bitte senden Sie das Gerät bis Freitag zurück" asks something of the customer,
and "bis Freitag geschlossen" tells when nobody is there. What is found is shown to the writer, who may take it back.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from bus.opening_hours import OpeningHours, closing_time, open_days_later, time_of_day
from workers.case.deadline_words import END_OF_WEEK, LANGUAGES, MONTHS, NUMBERS, PARTS, SENTENCE, WEEKDAYS, Language

__all__ = ["Undertaking", "undertakings"]

MAX_UNDERTAKINGS = 5
"""Per reply: who promises more than this at once has written a list, and a person should look at it."""


class Undertaking(msgspec.Struct, frozen=True, kw_only=True):
    """`what` is the sentence that promises, `until` the moment by which."""

    what: str
    until: datetime


_NOON, _WHOLE_DAY = 12 * 60, 24 * 60
"""In minutes since midnight, as all times of day here."""

_EARLIEST = 7 * 60
"""An hour before it is one of the afternoon, unless the writer says otherwise: nobody promises for the night."""

_LENGTHS = {
    "minut": timedelta(minutes=1), "halvtime": timedelta(minutes=30), "stund": timedelta(hours=1),
    "time": timedelta(hours=1), "hour": timedelta(hours=1),
}  # fmt: skip
"""Units that are counted by the second and not by days, by how the word begins."""


def undertakings(text: str, language: str, now: datetime, hours: OpeningHours) -> tuple[Undertaking, ...]:
    """What a person's reply promises by a time, in the order of the text; nothing for a language that is not known.

    A day without a time of day ends when people go home, in the company's zone, and at midnight when they have gone
    already; "in the afternoon" means its end. An hour from one to six is the afternoon's, unless it says otherwise
    ("3 am", "03:00"): nobody promises for the night. A weekday is the next one, never today: who means today says so.
    Times that lie in the past promise nothing.
    """
    known = LANGUAGES.get(language)
    if known is None:
        return ()
    found: list[Undertaking] = []
    for sentence in SENTENCE.split(text):
        if known.asks.search(sentence) or not known.undertakes.search(sentence):
            continue
        until = min((each for each in _deadlines(sentence, known, now, hours) if each > now), default=None)
        if until is not None:
            found.append(Undertaking(what=sentence.strip(), until=until))
    return tuple(found[:MAX_UNDERTAKINGS])


def _deadlines(sentence: str, language: Language, now: datetime, hours: OpeningHours) -> Iterator[datetime]:
    today = now.astimezone(ZoneInfo(hours.zone)).date()
    for match in language.within.finditer(sentence):
        yield _within(match, now, today, hours)
    for day, minutes in _moments(sentence, language, today):
        if minutes is not None:
            yield time_of_day(hours, day or today, minutes)
        elif day is not None:
            ends = closing_time(hours, day)
            yield ends if day != today or ends > now else time_of_day(hours, day, _WHOLE_DAY)


def _moments(sentence: str, language: Language, today: date) -> Iterator[tuple[date | None, int | None]]:
    """The days and times of day that a sentence names, each pair as it stands together."""
    start = language.lead.search(sentence)
    while start is not None:
        day: date | None = None
        minutes: int | None = None
        place = ends = start.end()
        while True:
            if day is None and (match := language.day.match(sentence, place)) is not None:
                day = _day_of(match, language, today)
                if day is None:
                    break
                place = ends = match.end()
            elif minutes is None and (match := language.time.match(sentence, place)) is not None:
                minutes = _minutes_of(match, language)
                if minutes is None:
                    break
                place = ends = match.end()
            elif (match := language.between.match(sentence, place)) is not None:
                place = match.end()
            else:
                break
        if minutes is not None or start.groupdict().get("weak") is None:
            yield day, minutes
        start = language.lead.search(sentence, max(ends, start.start() + 1))


def _within(match: re.Match[str], now: datetime, today: date, hours: OpeningHours) -> datetime:
    count = float(_number(match["count"]))
    if match["half"]:
        count -= 0.5
    unit = match["unit"].casefold()
    for begins, length in _LENGTHS.items():
        if unit.startswith(begins):
            # By the clock on the wall an hour would vanish, or count twice, on the nights when clocks change.
            return now.astimezone(UTC) + count * length
    if unit.startswith(("werk", "arbeit", "virke", "arbeid", "working", "business")):
        return closing_time(hours, open_days_later(hours, today, int(count)))
    days = int(count) * 7 if unit.startswith(("woche", "uke", "week")) else int(count)
    return closing_time(hours, today + timedelta(days=days))


def _number(written: str) -> int:
    return int(written) if written.isdigit() else NUMBERS[written.casefold()]


def _minutes_of(match: re.Match[str], language: Language) -> int | None:
    """The time of day in minutes since midnight, 24 o'clock as the end of the day; None for 24.30 and its like."""
    if match["part"]:
        return PARTS[match["part"].casefold()]
    written = match["hour"] or match["alone"] or match["of"]
    if written is None:
        return None
    minutes = _number(written) * 60 + int(match["minute"] or match["exact"] or 0)
    if match["half"]:
        minutes += -30 if language.half_before else 30
    elif match["quarter"]:
        minutes += -15 if match["way"].casefold() in ("vor", "på", "to") else 15
    unsaid = not match["early"] and not written.startswith("0") and minutes < _EARLIEST
    if minutes < _NOON and (match["late"] or unsaid):
        minutes += _NOON
    return minutes if minutes <= _WHOLE_DAY else None


def _day_of(match: re.Match[str], language: Language, today: date) -> date | None:
    if match["word"]:
        word = match["word"].casefold()
        if word in language.ahead:
            return today + timedelta(days=language.ahead[word])
        if word in END_OF_WEEK:
            return today + timedelta(days=(4 - today.weekday()) % 7)
        return today + timedelta(days=(WEEKDAYS[word] - today.weekday() - 1) % 7 + 1)
    month = MONTHS[match["month"].casefold()] if match["month"] else int(match["m"])
    year = match["year"] or match["y"]
    try:
        day = date(int(year) if year else today.year, month, int(match["day"] or match["d"]))
    except ValueError:
        return None
    # "Bis zum 3. Januar", written in December, is next year's.
    return day if year or day >= today else day.replace(year=day.year + 1)
