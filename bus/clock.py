"""Time as a dependency: nothing in the house reads a clock that was not handed to it.

Times inside are aware UTC `datetime`; in tables they are integer microseconds since 1970 (`to_micros`).
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

__all__ = ["Clock", "SystemClock", "from_micros", "to_micros"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """What the time is (`now`, for people and due times) and how it passes (`monotonic`, for durations)."""

    def now(self) -> datetime:
        """The current moment, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; comparable between processes of one host, not across a reboot."""
        ...


class SystemClock:
    """The clock of the machine; `wrong_by` sets it wrong, for proofs (`bus.faultpoints`)."""

    def __init__(self, wrong_by: timedelta = timedelta()) -> None:
        self._wrong_by = wrong_by

    def now(self) -> datetime:
        return datetime.now(UTC) + self._wrong_by

    def monotonic(self) -> float:
        return time.monotonic()


def to_micros(moment: datetime) -> int:
    """Integer microseconds since 1970 of an aware moment. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on the time line; attach a zone first")
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime:
    """The aware UTC moment of `to_micros`."""
    return _EPOCH + timedelta(microseconds=micros)
