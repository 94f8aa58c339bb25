"""Time while people work: opening hours of a company, counted to the second, with its holidays and the clock's changes.

A promise of "ten hours" made on Friday at five counts one of them on Friday and the rest on Monday; on the night when
the clocks change a day has 23 or 25 hours and the opening hours keep their length.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

__all__ = [
    "OpeningHours",
    "add_open_time",
    "closing_time",
    "is_open",
    "open_days_later",
    "open_time_between",
    "time_of_day",
]

_LOOK_AHEAD_DAYS = 60
"""A company that is closed for longer answers nobody: then the hours are wrong, not the wait long."""

_DAYS_REMEMBERED = 4096
"""Most times that are promised lie on the same few days: a year of them for ten companies."""

_Spans = Annotated[str, msgspec.Meta(pattern=r"^$|^\d\d:\d\d-\d\d:\d\d(, \d\d:\d\d-\d\d:\d\d)*$")]


class OpeningHours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When people work. A day is `08:00-18:00`, `08:00-12:00, 13:00-17:00`, or empty; `24:00` ends a day.

    `country` (ISO 3166) and `state` (as the package `holidays` names it, such as HH for Hamburg) say which days are
    public holidays; on those nobody works. Raises ValueError when a span ends before it begins.
    """

    zone: str
    country: str
    state: str = ""
    monday: _Spans = ""
    tuesday: _Spans = ""
    wednesday: _Spans = ""
    thursday: _Spans = ""
    friday: _Spans = ""
    saturday: _Spans = ""
    sunday: _Spans = ""

    def __post_init__(self) -> None:
        if not any(_week(self)):
            raise ValueError("hours: no day of the week is open")
        ZoneInfo(self.zone)


def add_open_time(hours: OpeningHours, start: datetime, length: timedelta) -> datetime:
    """The moment at which `length` of open time has passed since `start`, both aware; `start` when it is nothing.

    Raises ValueError when the company does not open for two months.
    """
    if not length:
        return start
    # Python counts within one zone by the clock on the wall; only in UTC is an hour always an hour.
    left, since = length, start.astimezone(UTC)
    for opens, closes in _spans_from(hours, since):
        begins = max(opens, since)
        if closes - begins >= left:
            return (begins + left).astimezone(start.tzinfo)
        left -= closes - begins
    raise ValueError("hours: the company does not open in time")


def open_time_between(hours: OpeningHours, start: datetime, end: datetime) -> timedelta:
    """How much of the time between two moments was open; nothing when `end` is not later."""
    total = timedelta()
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    for opens, closes in _spans_from(hours, start, until=end):
        if opens >= end:
            break
        total += max(timedelta(), min(closes, end) - max(opens, start))
    return total


def closing_time(hours: OpeningHours, day: date) -> datetime:
    """When people go home on a day; on a day on which nobody works, the hour of the latest closing of the week."""
    week = _week(hours)
    spans = () if _is_holiday(hours, day) else week[day.weekday()]
    return time_of_day(hours, day, max(closes for _, closes in spans or [span for each in week for span in each]))


def open_days_later(hours: OpeningHours, day: date, days: int) -> date:
    """The day that many working days later."""
    week = _week(hours)
    while days > 0:
        day += timedelta(days=1)
        if week[day.weekday()] and not _is_holiday(hours, day):
            days -= 1
    return day


def time_of_day(hours: OpeningHours, day: date, minutes: int) -> datetime:
    """When a clock on the company's wall first shows a time of a day (`minutes` since midnight, 1440 for its end), or
    first shows a later one where clocks skip it."""
    zone = ZoneInfo(hours.zone)
    if minutes == 24 * 60:
        day, minutes = day + timedelta(days=1), 0
    wall = datetime.combine(day, time(minutes // 60, minutes % 60), zone)
    moment = wall.astimezone(UTC)
    if moment.astimezone(zone).time() != wall.time():
        # Skipped when the clocks go forward: they do so at a full minute, not long before.
        moment = wall.replace(fold=1).astimezone(UTC)
        while moment.astimezone(zone).replace(tzinfo=None) < wall.replace(tzinfo=None):
            moment += timedelta(minutes=1)
    return moment


def is_open(hours: OpeningHours, moment: datetime) -> bool:
    """Whether people work at a moment."""
    return any(opens <= moment for opens, _ in _spans_from(hours, moment, until=moment + timedelta(microseconds=1)))


def _spans_from(
    hours: OpeningHours, start: datetime, *, until: datetime | None = None
) -> Iterator[tuple[datetime, datetime]]:
    """Open spans in UTC that end after `start`, in order; those of two months at most after the last that was used."""
    zone = ZoneInfo(hours.zone)
    day = start.astimezone(zone).date()
    last = until.astimezone(zone).date() if until is not None else None
    closed = 0
    while closed < _LOOK_AHEAD_DAYS and (last is None or day <= last):
        spans = _spans_of(hours, day)
        for opens, closes in spans:
            if closes > start:
                yield opens, closes
        closed = 0 if spans else closed + 1
        day += timedelta(days=1)


@lru_cache(maxsize=_DAYS_REMEMBERED)
def _spans_of(hours: OpeningHours, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """The open spans of one day, in UTC."""
    if _is_holiday(hours, day):
        return ()
    return tuple(
        (time_of_day(hours, day, opens), time_of_day(hours, day, closes))
        for opens, closes in _week(hours)[day.weekday()]
    )


@cache
def _week(hours: OpeningHours) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Per day of the week the spans in minutes of the day."""
    days = (
        hours.monday, hours.tuesday, hours.wednesday, hours.thursday, hours.friday, hours.saturday, hours.sunday,
    )  # fmt: skip
    return tuple(tuple(_span(text) for text in day.split(", ") if text) for day in days)


def _span(text: str) -> tuple[int, int]:
    opens, closes = (int(part[:2]) * 60 + int(part[3:]) for part in text.split("-"))
    if not opens < closes <= 24 * 60:
        raise ValueError(f"hours: {text} does not end after it begins")
    return opens, closes


@cache
def _holidays(country: str, state: str) -> Any:
    # Costs 50 ms to import; needed only when a time is promised.
    import holidays

    return holidays.country_holidays(country, subdiv=state or None)


def _is_holiday(hours: OpeningHours, day: date) -> bool:
    return day in _holidays(hours.country, hours.state)
