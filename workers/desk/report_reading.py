"""Reading timelines for a report, a day at a time and some cases at a time, so that a year fits into memory."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, select

from bus.clock import to_micros
from bus.store.port import Row, Store
from workers.case.events import decode_event
from workers.case.schema import case_event
from workers.desk.reports import MEASURED, Measure, Report, measures, report

__all__ = ["MOST_DAYS", "day_start", "measured", "measures_between", "read_report"]

MOST_DAYS = 400
"""A year and a month: the longest span that anybody compares, and an end to what one question may cost."""

_CASES_AT_ONCE = 200
"""Timelines in memory at a time: some dozen events each."""

_TOUCHED = (
    select(case_event.c.case_id)
    .where(
        case_event.c.tenant == bindparam("tenant"),
        case_event.c.kind.in_(MEASURED),
        case_event.c.at >= bindparam("since"),
        case_event.c.at < bindparam("until"),
    )
    .distinct()
)
_TIMELINES = select(case_event.c.case_id, case_event.c.seq, case_event.c.data).where(
    case_event.c.tenant == bindparam("tenant")
)


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """Midnight of the company's zone; a day may have 23 or 25 hours."""
    return datetime.combine(day, time(), zone)


async def read_report(
    store: Store, tenant: str, *, since: date, until: date, by: Sequence[str], zone: ZoneInfo,
    only: Mapping[str, str] | None = None,
) -> Report:  # fmt: skip
    """The report of the days from `since` to `until`, both included, as `reports.report` counts them.

    Raises ValueError for a span that is empty or longer than MOST_DAYS.
    """
    days = (until - since).days + 1
    if not 0 < days <= MOST_DAYS:
        raise ValueError("span")
    found: list[Measure] = []
    for number in range(days):
        begin, end = (day_start(since + timedelta(days=number + more), zone) for more in (0, 1))
        found += [measure async for measure in measures_between(store, tenant, begin, end)]
    return report(
        found, since=day_start(since, zone), until=day_start(until + timedelta(days=1), zone), by=by, zone=zone,
        only=only,
    )  # fmt: skip


async def measures_between(store: Store, tenant: str, since: datetime, until: datetime) -> AsyncIterator[Measure]:
    """Measures from `since` up to `until` (not included), case by case."""
    span = {"tenant": tenant, "since": to_micros(since), "until": to_micros(until)}
    touched = [row["case_id"] for row in await store.all(_TOUCHED, span)]
    for start in range(0, len(touched), _CASES_AT_ONCE):
        share = touched[start : start + _CASES_AT_ONCE]
        rows = await store.by_keys(_TIMELINES, case_event.c.case_id, share, {"tenant": tenant})
        for measure in measured(rows):
            if since <= measure.at < until:
                yield measure


def measured(rows: Sequence[Row]) -> Iterator[Measure]:
    """What the timelines tell whose lines were read (case_id, seq, data), in whatever order."""
    timelines: dict[str, list[tuple[int, str]]] = {}
    for row in rows:
        timelines.setdefault(row["case_id"], []).append((row["seq"], row["data"]))
    for timeline in timelines.values():
        yield from measures([decode_event(data) for _, data in sorted(timeline)])
