"""What somebody asks a report for, from words to days: the same for the page, the interface and the command."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from bus.opening_hours import OpeningHours
from bus.store.port import Store
from workers.desk.report_reading import MOST_DAYS, read_report
from workers.desk.reports import CHOSEN, DIMENSIONS, Report

__all__ = ["NONE", "Asked", "asked_for", "read_asked"]

_DAYS_SHOWN = 7
"""A week is what people compare first."""

NONE = "none"
"""In place of the name: figures of which that is not known, or that count against nobody."""

_LONGEST = 200
"""Characters of a value: the longest name of a person, with room to spare."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Days (both included; None for the usual ones) and what to tell apart by."""

    since: date | None
    until: date | None
    by: tuple[str, ...]
    only: Mapping[str, str] = {}
    """What is counted alone, by dimension."""


def asked_for(since: str, until: str, by: str, only: Mapping[str, str] | None = None) -> Asked:
    """Days as `2026-03-27` or empty, dimensions separated by commas; `only` with `NONE` for what nobody knows, and
    nothing for all. Raises ValueError with `day`, `by` or `only`."""
    wanted = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    if not set(wanted) <= set(DIMENSIONS):
        raise ValueError("by")
    chosen = {name: value for name, value in (only or {}).items() if value}
    if not set(chosen) <= set(CHOSEN) or any(len(value) > _LONGEST for value in chosen.values()):
        raise ValueError("only")
    chosen = {name: "" if value == NONE else value for name, value in chosen.items()}
    return Asked(since=_day(since), until=_day(until), by=wanted, only=chosen)


async def read_asked(store: Store, tenant: str, asked: Asked, *, now: datetime, hours: OpeningHours) -> Report | None:
    """The report; None for a span that is empty or longer than `MOST_DAYS`."""
    zone = ZoneInfo(hours.zone)
    until = asked.until or now.astimezone(zone).date()
    since = asked.since or until - timedelta(days=_DAYS_SHOWN - 1)
    if not 0 <= (until - since).days < MOST_DAYS:
        return None
    return await read_report(store, tenant, since=since, until=until, by=asked.by, zone=zone, only=asked.only)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError("day") from None
    if not 2000 <= day.year < 2200:
        raise ValueError("day")  # the ends of the calendar have no midnight in every zone
    return day
