"""When to try again, and when a person must look."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from bus.delivery.retry import GiveUp, Park, RetryPolicy, TryAgain, Verdict, error_class
from bus.errors import Conflict, PermanentError, PoisonError, StorageFull, TransientError

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
POLICY = RetryPolicy()


def decide(
    error: Exception,
    attempt: int,
    deadline: datetime | None = None,
    *,
    waited_s: float = 0.0,
    parked_since: datetime | None = None,
) -> Verdict:
    return POLICY.decide(
        error,
        attempt=attempt,
        waited_s=waited_s,
        now=NOW,
        deadline=deadline,
        jitter=random.Random(1),
        parked_since=parked_since,
    )


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (PoisonError(), "poison"),
        (PermanentError(), "permanent"),
        (StorageFull(), "transient"),
        (KeyError(), "unexpected"),
    ],
)
def test_error_classes(error: Exception, word: str) -> None:
    assert error_class(error) == word


def test_poison_and_permanent_errors_go_to_a_person_at_once() -> None:
    assert decide(PoisonError(), 1) == GiveUp("poison")
    assert decide(PermanentError(), 1) == GiveUp("permanent")


def test_transient_errors_wait_longer_each_time_up_to_a_cap() -> None:
    delays = [verdict.after_s for n in range(1, 12) if isinstance(verdict := decide(TransientError(), n), TryAgain)]
    assert len(delays) == 11
    assert all(0.1 <= delay <= POLICY.cap_s for delay in delays)
    assert delays[-1] > 10 * delays[0]


def test_what_lasts_longer_than_the_lane_waits_is_parked() -> None:
    verdict = decide(TransientError(), 8, waited_s=29.0)
    assert isinstance(verdict, Park)
    assert timedelta(seconds=15) <= verdict.until - NOW <= timedelta(seconds=30)
    assert verdict.reason == "transient"


@pytest.mark.parametrize(("minutes", "least_s", "most_s"), [(1, 30, 60), (3, 90, 180), (60, 150, 300)])
def test_a_parked_record_waits_about_as_long_as_the_fault_has_lasted_up_to_a_cap(
    minutes: int, least_s: int, most_s: int
) -> None:
    verdict = decide(TransientError(), 1, parked_since=NOW - timedelta(minutes=minutes))
    assert isinstance(verdict, Park)
    assert least_s <= (verdict.until - NOW).total_seconds() <= most_s


def test_a_parked_record_goes_to_a_person_at_its_limit() -> None:
    assert decide(TransientError(), 1, parked_since=NOW - timedelta(hours=4)) == GiveUp("transient")


def test_a_parked_record_whose_deadline_comes_before_the_next_attempt_goes_to_a_person() -> None:
    since = NOW - timedelta(minutes=3)
    assert decide(TransientError(), 1, NOW + timedelta(seconds=60), parked_since=since) == GiveUp("deadline")
    assert isinstance(decide(TransientError(), 1, NOW + timedelta(seconds=200), parked_since=since), Park)


def test_a_clock_that_went_back_does_not_make_a_parked_record_spin() -> None:
    verdict = decide(TransientError(), 1, parked_since=NOW + timedelta(hours=1))
    assert isinstance(verdict, Park)
    assert verdict.until - NOW >= timedelta(seconds=15)


def test_a_fault_of_the_program_is_tried_less_often() -> None:
    assert isinstance(decide(KeyError(), 1), TryAgain)
    assert decide(KeyError(), POLICY.unexpected_attempts) == GiveUp("unexpected")


def test_a_live_record_goes_to_a_person_when_its_deadline_cannot_be_kept() -> None:
    soon = NOW + timedelta(milliseconds=50)
    assert decide(TransientError(), 3, soon) == GiveUp("deadline")
    assert isinstance(decide(TransientError(), 3, NOW + timedelta(minutes=5)), TryAgain)


def test_a_lost_race_is_decided_again_almost_at_once() -> None:
    verdict = decide(Conflict(), 5)
    assert isinstance(verdict, TryAgain)
    assert verdict.after_s <= 0.05
