"""The promise ledger: when it warns, whom it can tell, and that no sentence of the pack names a time without it."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.message import Party
from bus.opening_hours import open_time_between
from workers.case.model import CaseState, ReplyNote, Route
from workers.case.promised import undertakings
from workers.case.promises import LEAST_WARNING, MOST_WARNING, PROMISING, warn_at, way_to
from workers.packs import load

PACK = load("shop")
HOURS = PACK.policy.service.hours
BERLIN = ZoneInfo("Europe/Berlin")
TUESDAY = datetime(2026, 11, 24, 9, 0, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("span", "ahead"),
    [
        (timedelta(minutes=4), timedelta(minutes=2)),  # half-way: five minutes would be too many
        (timedelta(minutes=10), timedelta(minutes=5)),
        (timedelta(hours=4), timedelta(hours=1)),
        (timedelta(hours=8), timedelta(hours=2)),
    ],
)
def test_the_last_quarter_warns_but_never_less_than_five_minutes(span: timedelta, ahead: timedelta) -> None:
    assert warn_at(TUESDAY, TUESDAY + span, HOURS) == TUESDAY + span - ahead


def test_a_long_promise_warns_a_working_day_before_and_not_in_the_night() -> None:
    monday = datetime(2026, 11, 30, 9, 0, tzinfo=BERLIN)
    # 220 open hours from the second to the last: a quarter would be five days.
    assert warn_at(TUESDAY, TUESDAY + timedelta(days=30), HOURS) == datetime(2026, 12, 23, 11, 0, tzinfo=BERLIN)
    # From Friday at five to Monday at nine two hours are open: the warning comes on Monday, not on Sunday night.
    assert warn_at(datetime(2026, 11, 27, 17, 0, tzinfo=BERLIN), monday, HOURS) == monday - timedelta(minutes=30)
    # For a promise that lies outside the hours the clock counts.
    night = datetime(2026, 11, 24, 23, 0, tzinfo=BERLIN)
    assert warn_at(night, night + timedelta(minutes=10), HOURS) == night + timedelta(minutes=5)


@given(
    made=st.datetimes(datetime(2026, 1, 1), datetime(2027, 6, 1)).map(lambda each: each.replace(tzinfo=UTC)),
    seconds=st.integers(60, 60 * 86_400),
)
def test_a_warning_leaves_time_and_is_no_alarm_without_end(made: datetime, seconds: int) -> None:
    until = made + timedelta(seconds=seconds)
    warned = warn_at(made, until, HOURS)
    assert made <= warned < until
    open_time = open_time_between(HOURS, made, until)
    left = open_time_between(HOURS, warned, until) if open_time else until - warned
    whole = open_time or until - made
    assert left <= MOST_WARNING
    assert left >= min(LEAST_WARNING, whole / 2)
    assert left <= max(LEAST_WARNING, whole / 4)


def heard_on(*channels: str, left: str = "", failed: str = "") -> CaseState:
    routes = {
        channel: Route(
            channel=channel, account="a", address=Party(kind=channel, address="x"), at=TUESDAY, left=channel == left
        )
        for channel in channels
    }
    replies = (ReplyNote(id="r", channel=failed, kind="answer", state="failed"),) if failed else ()
    return CaseState(
        id="k", tenant="shop", number="1", channel=channels[-1], routes=routes, replies=replies, created=TUESDAY,
        updated=TUESDAY,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("state", "channel"),
    [
        (heard_on("phone", "email"), "email"),
        (heard_on("email", "phone"), "email"),
        (heard_on("post", "email", "phone"), "email"),
        (heard_on("post", "phone"), "post"),
        (heard_on("email", "chat"), "chat"),
        (heard_on("email", "chat", left="chat"), "email"),
        (heard_on("chat", left="chat"), "chat"),
        (heard_on("email", failed="email"), None),
        (heard_on("post", "email", failed="email"), "post"),
        (heard_on("phone"), None),
        (heard_on("counter"), None),
    ],
)
def test_the_customer_is_told_where_he_can_hear_it(state: CaseState, channel: str | None) -> None:
    route = way_to(state)
    assert (None if route is None else route.channel) == channel


FUTURE = {"de": "3. Dezember 2026", "nb": "3. desember 2026", "en": "3 December 2026"}
MEANT = {
    "anything-else.letter": "when the case is closed, which the notice does",
    "anything-else.notice": "when the case is closed, which the notice does",
    "proof.code": "how long the code is good", "proof.code.spoken": "how long the code is good",
    "proof.mail.text": "how long the code is good",
    "status.late": "asks the customer to come back",
    "ack.account.terminate": "the day of receipt",
}  # fmt: skip
"""Sentences with a time that lies before the customer, and is nothing that we undertake."""
PAST = re.compile(
    r"^(bill\.|praise\.mail|withdraw\.|charge\.duplicate|status\.(delivered|missing)|(return|exchange)\.late|refund\.should)"
)
"""Sentences that tell what has been."""


def names_a_time(language: str, key: str) -> bool:
    """Whether the sentence would be read as a promise, or has a place for a time."""
    phrase = PACK.phrases[language][key]
    values = {name: "14" if name in ("days", "minutes") else FUTURE[language] for name in phrase.placeholders}
    values |= dict.fromkeys(phrase.placeholders - {"date", "until", "days", "minutes"}, "X")
    read = undertakings(phrase.fill(values), language, TUESDAY, HOURS)
    return bool(read) or bool(phrase.placeholders & {"date", "until", "days", "minutes"})


@pytest.mark.parametrize("language", ["de", "nb", "en"])
def test_no_sentence_names_a_time_without_a_promise(language: str) -> None:
    named = {key for key in PACK.phrases[language] if names_a_time(language, key) and not PAST.match(key)}
    behind = {key for key in named if key.removesuffix(".spoken") in PROMISING}
    assert sorted(named - behind - MEANT.keys()) == []
    # And each that makes a promise tells the customer by when, in every language.
    month = {"de": "Monat", "nb": "måned", "en": "month"}
    silent = [key for key in PROMISING if key not in named and month[language] not in PACK.phrases[language][key].text]
    assert silent == []
