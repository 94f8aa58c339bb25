"""When to try again, and when a person must look."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from bus.delivery.retry import GiveUp, RetryPolicy, TryAgain, error_class
from bus.errors import Conflict, PermanentError, PoisonError, StorageFull, TransientError

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
POLICY = RetryPolicy()


def decide(error: Exception, attempt: int, deadline: datetime | None = None) -> TryAgain | GiveUp:
    return POLICY.decide(error, attempt, NOW, deadline, random.Random(1))


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


def test_transient_errors_wait_longer_each_time_up_to_a_cap_and_end() -> None:
    delays = [verdict.after_s for n in range(1, 10) if isinstance(verdict := decide(TransientError(), n), TryAgain)]
    assert len(delays) == 9
    assert all(0.1 <= delay <= POLICY.cap_s for delay in delays)
    assert delays[-1] > 10 * delays[0]
    assert decide(TransientError(), POLICY.attempts) == GiveUp("transient")


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
