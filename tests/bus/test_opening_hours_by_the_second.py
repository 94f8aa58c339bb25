"""Open time against somebody who sits before the clock on the wall and counts every second."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bus.opening_hours import OpeningHours, add_open_time, open_time_between

SECOND = timedelta(seconds=1)
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
BERLIN, OSLO = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Oslo")

SPANS = (
    "00:00-24:00", "08:00-18:00", "00:00-00:20, 23:40-24:00", "22:00-24:00", "00:00-06:00", "01:50-02:10, 02:40-03:05",
    "02:15-02:45", "02:30-06:00", "00:00-02:30", "",
)  # fmt: skip
DAYS = (
    date(2026, 3, 28), date(2026, 3, 29),  # the night that lacks an hour
    date(2026, 10, 24), date(2026, 10, 25),  # the night that has one twice
    date(2026, 12, 24), date(2026, 12, 31), date(2026, 5, 16), date(2025, 10, 30), date(2028, 2, 28),
)  # fmt: skip
HOLIDAYS = {
    "DE": {date(2026, 12, 25), date(2026, 12, 26), date(2027, 1, 1), date(2025, 10, 31)},
    "NO": {date(2026, 12, 25), date(2026, 12, 26), date(2027, 1, 1), date(2026, 5, 17)},
}
"""Those of Hamburg and of Norway that lie within reach of DAYS, written down by hand."""


def count(hours: OpeningHours, start: datetime, most: timedelta) -> Iterator[tuple[datetime, bool]]:
    """Every second from `start` on, and whether it was open: the bells ring when the clock first shows their time."""
    zone = ZoneInfo(hours.zone)
    moment = start.astimezone(UTC)
    local = moment.astimezone(zone)
    day, shown = local.date(), 0
    # What the clock has shown on this day before the counting began.
    earlier = datetime.combine(day, datetime.min.time(), zone).astimezone(UTC)
    while earlier < moment:
        local = earlier.astimezone(zone)
        if local.date() == day:
            shown = max(shown, local.hour * 60 + local.minute)
        earlier += timedelta(minutes=1)
    for _ in range(int(most.total_seconds())):
        local = moment.astimezone(zone)
        if local.date() != day:
            day, shown = local.date(), 0
        shown = max(shown, local.hour * 60 + local.minute)
        week = getattr(hours, WEEK[day.weekday()])
        spans = [] if day in HOLIDAYS[hours.country] else [span for span in week.split(", ") if span]
        yield moment, any(_minutes(span[:5]) <= shown < _minutes(span[6:]) for span in spans)
        moment += SECOND


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


MOST = timedelta(hours=3)


@given(
    spans=st.tuples(st.sampled_from(SPANS), st.sampled_from(SPANS)),
    place=st.sampled_from([("Europe/Berlin", "DE", "HH"), ("Europe/Oslo", "NO", "")]),
    day=st.sampled_from(DAYS),
    second=st.integers(0, 86_399),
    length=st.integers(1, int(MOST.total_seconds())),
    aware_by=st.sampled_from([UTC, BERLIN, ZoneInfo("America/New_York")]),
)
@example(("00:00-24:00", "00:00-24:00"), ("Europe/Berlin", "DE", "HH"), date(2026, 3, 29), 1800, 7200, BERLIN)
@example(("00:00-24:00", "00:00-24:00"), ("Europe/Berlin", "DE", "HH"), date(2026, 10, 25), 1800, 9000, BERLIN)
@example(("02:15-02:45", "02:15-02:45"), ("Europe/Oslo", "NO", ""), date(2026, 3, 28), 9000, 3000, UTC)
@example(("22:00-24:00", "00:00-06:00"), ("Europe/Berlin", "DE", "HH"), date(2026, 12, 31), 85_000, 7000, UTC)
@example(("02:30-06:00", "00:00-02:30"), ("Europe/Berlin", "DE", "HH"), date(2026, 3, 29), 0, 4000, UTC)
@example(("00:00-02:30", "02:30-06:00"), ("Europe/Berlin", "DE", "HH"), date(2026, 3, 29), 0, 7200, UTC)
@settings(max_examples=20, deadline=None)
def test_open_time_is_what_somebody_counts(
    spans: tuple[str, str], place: tuple[str, str, str], day: date, second: int, length: int, aware_by: ZoneInfo
) -> None:
    zone, country, state = place
    days = {name: spans[number % 2] for number, name in enumerate(WEEK)}
    if not any(days.values()):
        return
    hours = OpeningHours(zone=zone, country=country, state=state, **days)
    midnight = datetime.combine(day, datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    start = (midnight + timedelta(seconds=second)).astimezone(aware_by)
    counted, reached = 0, None
    for moment, is_open in count(hours, start, MOST):
        counted += is_open
        if reached is None and counted == length:
            reached = moment + SECOND
    end = (start.astimezone(UTC) + MOST).astimezone(aware_by)
    assert open_time_between(hours, start, end) == timedelta(seconds=counted)
    found = add_open_time(hours, start, timedelta(seconds=length)).astimezone(UTC)
    if reached is not None:
        assert found == reached
    else:
        assert found > start.astimezone(UTC) + MOST


@pytest.mark.parametrize(
    ("zone", "start", "hours_later", "ends"),
    [
        # Half past midnight on the night with 23 hours, told in the company's own zone.
        (BERLIN, datetime(2026, 3, 29, 0, 30), 2, datetime(2026, 3, 29, 3, 30)),
        (BERLIN, datetime(2026, 10, 25, 0, 30), 3, datetime(2026, 10, 25, 2, 30, fold=1)),
        (OSLO, datetime(2026, 10, 24, 23, 0), 5, datetime(2026, 10, 25, 3, 0)),
    ],
)
def test_an_hour_is_an_hour_in_every_zone(zone: ZoneInfo, start: datetime, hours_later: int, ends: datetime) -> None:
    always = OpeningHours(zone="Europe/Berlin", country="DE", state="HH", **dict.fromkeys(WEEK, "00:00-24:00"))
    begun, ended = start.replace(tzinfo=zone), ends.replace(tzinfo=zone)
    assert add_open_time(always, begun, timedelta(hours=hours_later)).astimezone(UTC) == ended.astimezone(UTC)
    assert open_time_between(always, begun, ended) == timedelta(hours=hours_later)
