"""Open time to the second: weekends, holidays of the state, and the nights when the clocks change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.opening_hours import OpeningHours, add_open_time, is_open, open_time_between

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), "08:00-18:00")
HAMBURG = OpeningHours(zone="Europe/Berlin", country="DE", state="HH", **DAYS)
ALWAYS = OpeningHours(
    zone="Europe/Berlin", country="DE", state="HH", **dict.fromkeys((*DAYS, "saturday", "sunday"), "00:00-24:00")
)
LUNCH = OpeningHours(zone="Europe/Oslo", country="NO", tuesday="08:00-11:30, 12:15-15:45", saturday="10:00-14:00")
SECONDS = st.integers(0, 400 * 3600)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(lambda each: each.replace(tzinfo=UTC))


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=BERLIN)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("start", "hours", "ends"),
    [
        (at(2026, 11, 25, 9), 4, at(2026, 11, 25, 13)),
        # Friday at five: one hour is left, the rest is Monday's.
        (at(2026, 11, 27, 17), 4, at(2026, 11, 30, 11)),
        # At night nothing counts.
        (at(2026, 11, 24, 23, 30, 15), 1, at(2026, 11, 25, 9)),
        # Reformation Day is a holiday in Hamburg (in 2025 a Friday), and not in Bavaria.
        (at(2025, 10, 30, 17), 2, at(2025, 11, 3, 9)),
        # To the second.
        (at(2026, 11, 25, 17, 59, 59), 1, at(2026, 11, 26, 8, 59, 59)),
        # A whole day ends when the people leave, not the morning after.
        (at(2026, 11, 25, 8), 10, at(2026, 11, 25, 18)),
    ],
)
def test_open_hours_pass_while_people_work(start: datetime, hours: int, ends: datetime) -> None:
    assert add_open_time(HAMBURG, start, timedelta(hours=hours)) == ends


def test_the_state_decides_on_holidays() -> None:
    bavaria = OpeningHours(zone="Europe/Berlin", country="DE", state="BY", **DAYS)
    assert add_open_time(bavaria, at(2025, 10, 30, 17), timedelta(hours=2)) == at(2025, 10, 31, 9)


def test_a_night_with_a_change_of_the_clock_keeps_its_real_length() -> None:
    # 25 October 2026 has 25 hours, 29 March 2026 has 23.
    assert add_open_time(ALWAYS, at(2026, 10, 25, 0), timedelta(hours=25)) == at(2026, 10, 26, 0)
    assert add_open_time(ALWAYS, at(2026, 3, 29, 0), timedelta(hours=23)) == at(2026, 3, 30, 0)


def test_spans_with_a_break() -> None:
    tuesday = datetime(2026, 11, 24, 11, 0, tzinfo=ZoneInfo("Europe/Oslo"))
    assert add_open_time(LUNCH, tuesday, timedelta(hours=1)) == tuesday.replace(hour=12, minute=45)
    assert is_open(LUNCH, tuesday)
    assert not is_open(LUNCH, tuesday.replace(hour=12))


def test_nothing_to_wait_for_is_now() -> None:
    night = at(2026, 11, 24, 3)
    assert add_open_time(HAMBURG, night, timedelta()) == night


@given(start=MOMENTS, seconds=SECONDS)
@pytest.mark.parametrize("hours", [HAMBURG, ALWAYS, LUNCH])
def test_what_was_added_lies_between(hours: OpeningHours, start: datetime, seconds: int) -> None:
    length = timedelta(seconds=seconds)
    ends = add_open_time(hours, start, length)
    assert ends >= start
    assert open_time_between(hours, start, ends) == length
    if seconds:
        # Not a moment later than needed.
        assert open_time_between(hours, start, ends - timedelta(seconds=1)) == length - timedelta(seconds=1)


@given(start=MOMENTS, first=SECONDS, second=SECONDS)
def test_time_adds_up(start: datetime, first: int, second: int) -> None:
    one, two = timedelta(seconds=first), timedelta(seconds=second)
    assert add_open_time(HAMBURG, add_open_time(HAMBURG, start, one), two) == add_open_time(HAMBURG, start, one + two)


def test_hours_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="no day"):
        OpeningHours(zone="Europe/Berlin", country="DE")
    with pytest.raises(ValueError, match="does not end"):
        OpeningHours(zone="Europe/Berlin", country="DE", monday="18:00-08:00")
