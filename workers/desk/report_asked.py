"""What somebody asks a report for, from words to days: the same for the page, the interface and the command."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from bus.store.port import Store
from workers.desk.report_reading import MOST_DAYS, read_report
from workers.desk.reports import DIMENSIONS, Report
from workers.packs.hours import OpeningHours

__all__ = ["Asked", "asked_for", "read_asked"]

_DAYS_SHOWN = 7
"""A week is what people compare first."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Days (both included; None for the usual ones) and what to tell apart by."""

    since: date | None
    until: date | None
    by: tuple[str, ...]


def asked_for(since: str, until: str, by: str) -> Asked:
    """Days as `2026-03-27` or empty, dimensions separated by commas. Raises ValueError with `day` or `by`."""
    wanted = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    if not set(wanted) <= set(DIMENSIONS):
        raise ValueError("by")
    return Asked(since=_day(since), until=_day(until), by=wanted)


async def read_asked(store: Store, tenant: str, asked: Asked, *, now: datetime, hours: OpeningHours) -> Report | None:
    """The report; None for a span that is empty or longer than `MOST_DAYS`."""
    zone = ZoneInfo(hours.zone)
    until = asked.until or now.astimezone(zone).date()
    since = asked.since or until - timedelta(days=_DAYS_SHOWN - 1)
    if not 0 <= (until - since).days < MOST_DAYS:
        return None
    return await read_report(store, tenant, since=since, until=until, by=asked.by, zone=zone)


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
