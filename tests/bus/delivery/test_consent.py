"""Who may be contacted, for what and when: the rule, against a slow reading of it, and its guard while sending."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.delivery.consent import Entry, QuietHours, country_of, may_contact

NOON = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)  # a Tuesday
PURPOSES = ("marketing", "survey", "callback", "news-of-partners", "")
CHANNELS = ("email", "phone", "post", "")
ALWAYS = QuietHours(earliest_hour=0, latest_hour=24, rest_days=False)

moments = st.integers(0, 12).map(lambda hours: NOON + timedelta(hours=hours))
entries = st.lists(
    st.builds(
        Entry,
        purpose=st.sampled_from(PURPOSES),
        channel=st.sampled_from(CHANNELS),
        given=st.booleans(),
        at=moments,
        expires_at=st.none() | moments,
    ),
    max_size=6,
)


def slowly(said: list[Entry], purpose: str, channel: str, when: datetime) -> bool:
    """The rule read aloud, entry after entry in the order of time, withdrawals last within a moment."""
    stopped, agreed = False, False
    for entry in sorted(said, key=lambda e: (e.at, not e.given)):
        over = entry.expires_at is not None and entry.expires_at <= when
        if entry.purpose not in (purpose, "") or entry.channel not in (channel, ""):
            continue
        if entry.given:
            stopped, agreed = False, agreed or not over
        elif not over:
            stopped, agreed = True, False
    return not stopped and (agreed or purpose in ("survey", "callback"))


@given(entries, st.sampled_from(PURPOSES[:-1]), st.sampled_from(CHANNELS[:-1]), moments)
def test_the_newest_word_decides(said: list[Entry], purpose: str, channel: str, when: datetime) -> None:
    verdict = may_contact(said, purpose, channel, when, ALWAYS, "DE")
    assert verdict.permitted == slowly(said, purpose, channel, when)
    assert bool(verdict.reason) != verdict.permitted
    assert may_contact(reversed(said), purpose, channel, when, ALWAYS, "DE") == verdict


@given(entries, st.sampled_from(CHANNELS[:-1]), moments)
def test_an_answer_is_always_allowed(said: list[Entry], channel: str, when: datetime) -> None:
    night = QuietHours(earliest_hour=0, latest_hour=1)
    assert may_contact(said, "service", channel, when, night, "DE").permitted


@given(entries, st.sampled_from(PURPOSES[:-1]), st.sampled_from(CHANNELS[:-1]), moments)
def test_after_a_stop_nothing_but_answers_goes_anywhere(
    said: list[Entry], purpose: str, channel: str, when: datetime
) -> None:
    stop = Entry(purpose="", channel="", given=False, at=NOON + timedelta(days=1))
    assert may_contact([*said, stop], purpose, channel, when, ALWAYS, "NO").reason == "withdrawn"


AGREED = [Entry(purpose="marketing", channel="", given=True, at=NOON - timedelta(days=900))]
HOLIDAYS = {date(2026, 11, 25), date(2026, 11, 27)}


@given(
    st.integers(0, 14 * 24 * 60),
    st.integers(0, 22).flatmap(lambda early: st.tuples(st.just(early), st.integers(early + 1, 24))),
    st.booleans(),
    st.sampled_from(["DE", "NO", "GB", ""]),
)
def test_nobody_is_disturbed_and_nobody_waits_longer_than_needed(
    minutes: int, hours: tuple[int, int], rest_days: bool, country: str
) -> None:
    quiet = QuietHours(earliest_hour=hours[0], latest_hour=hours[1], rest_days=rest_days)
    zone = ZoneInfo({"NO": "Europe/Oslo", "GB": "Europe/London"}.get(country, "Europe/Berlin"))

    def awake(moment: datetime) -> bool:
        local = moment.astimezone(zone)
        rests = rest_days and (local.weekday() == 6 or local.date() in HOLIDAYS)
        return not rests and hours[0] <= local.hour < hours[1]

    when = NOON + timedelta(minutes=minutes)
    verdict = may_contact(AGREED, "marketing", "email", when, quiet, country, lambda day, _: day in HOLIDAYS)
    assert verdict.permitted == awake(when)
    if verdict.not_before is not None:
        assert awake(verdict.not_before)
        assert verdict.not_before > when
        # Every quarter of an hour before it would have disturbed somebody.
        while (when := when + timedelta(minutes=15)) < verdict.not_before:
            assert not awake(when)
    assert may_contact(AGREED, "survey", "email", when, quiet, country).permitted
    assert may_contact(AGREED, "marketing", "post", when, quiet, country).permitted


@pytest.mark.parametrize(
    ("country", "day", "next_day"),
    [
        ("NO", "2026-05-17", "2026-05-18"),
        ("DE", "2026-10-03", "2026-10-05"),  # a Saturday, and the Sunday after it
        ("GB", "2026-08-31", "2026-09-01"),
        ("DE", "2026-12-25", "2026-12-28"),
    ],
)
def test_the_holidays_are_those_of_the_addressee(country: str, day: str, next_day: str) -> None:
    when = datetime.fromisoformat(f"{day}T12:00:00+00:00")
    verdict = may_contact(AGREED, "marketing", "phone", when, QuietHours(), country)
    assert verdict.not_before is not None
    assert verdict.not_before.astimezone(ZoneInfo("Europe/Berlin")).date().isoformat() == next_day
    other = may_contact(AGREED, "marketing", "phone", when, QuietHours(rest_days=False), country)
    assert other.permitted


def test_a_night_ends_by_the_clock_that_was_put_forward() -> None:
    evening = datetime(2026, 3, 28, 21, 0, tzinfo=UTC)  # Saturday; on Sunday the clocks change
    verdict = may_contact(AGREED, "marketing", "email", evening, QuietHours(rest_days=False), "DE")
    assert verdict.not_before == datetime(2026, 3, 29, 7, 0, tzinfo=UTC)


def test_the_country_of_a_number_is_known() -> None:
    assert [country_of("", "+4722550107"), country_of("", "a@b.example"), country_of("GB", "+49301")] == [
        "NO",
        "",
        "GB",
    ]
