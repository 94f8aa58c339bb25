"""What follows from the result of a transaction, for records that were fetched and for those that had been parked."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bus.delivery.committing import Next, effect_of, next_of
from bus.delivery.deciding import Decided
from bus.delivery.outcome import NOTHING
from bus.delivery.parking import ParkedRecord
from bus.delivery.retry import GiveUp, Park
from bus.log.port import StoredRecord
from bus.store.port import Result

LIES = {"topic": "in", "partition": 3, "offset": 7, "at": 0, "key": "k", "value": b"", "id": "a", "generation": 2}
FETCHED = StoredRecord(**LIES, headers={})
PARKED = ParkedRecord(**LIES, headers={}, attempts=1, first_failed_at=None)
ASIDE = Park(datetime(2026, 1, 5, tzinfo=UTC), "transient")


@pytest.mark.parametrize(
    ("record", "verdict", "reason", "expected"),
    [
        (FETCHED, None, "", Next.LET_GO),
        (FETCHED, GiveUp("poison"), "", Next.LET_GO),
        (FETCHED, ASIDE, "", Next.LAID_ASIDE),
        (FETCHED, None, "fenced", Next.LET_GO),
        (FETCHED, ASIDE, "fenced", Next.LET_GO),
        (FETCHED, None, "duplicate", Next.FOUND_DONE),
        (FETCHED, None, "conflict", Next.REFUSED),
        (FETCHED, None, "invalid", Next.REFUSED),
        (PARKED, None, "", Next.KEY_GOES_ON),
        (PARKED, GiveUp("permanent"), "", Next.KEY_GOES_ON),
        (PARKED, ASIDE, "", Next.LAID_ASIDE),
        (PARKED, None, "conflict", Next.ROW_MOVED),
        (PARKED, None, "invalid", Next.REFUSED),
    ],
)
def test_every_result_has_its_consequence(record: Any, verdict: Any, reason: str, expected: Next) -> None:
    result = Result(applied=not reason, reason=reason)
    assert next_of(Decided(record, NOTHING, verdict), result) is expected


def test_only_a_fetched_record_finishes_a_delivery() -> None:
    source = effect_of("g", Decided(FETCHED, NOTHING)).source
    assert source is not None
    assert (source.group, source.topic, source.partition, source.offset, source.generation) == ("g", "in", 3, 7, 2)
    assert effect_of("g", Decided(PARKED, NOTHING)).source is None
