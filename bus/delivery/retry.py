"""When to try again, and when a person must look: pure decisions on errors, attempts and time."""

import random
from datetime import datetime, timedelta

import msgspec

from bus.errors import Conflict, PermanentError, PoisonError, TransientError

__all__ = ["GiveUp", "RetryPolicy", "TryAgain", "error_class"]


class TryAgain(msgspec.Struct, frozen=True):
    """Handle the record again after `after_s` seconds; only its key waits meanwhile."""

    after_s: float


class GiveUp(msgspec.Struct, frozen=True):
    """Dead letter and a case at the desk."""

    reason: str


def error_class(error: BaseException) -> str:
    """transient, permanent, poison or unexpected; the word that dead letters and metrics carry."""
    if isinstance(error, PoisonError):
        return "poison"
    if isinstance(error, PermanentError):
        return "permanent"
    if isinstance(error, TransientError):
        return "transient"
    return "unexpected"


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential back-off with full jitter.

    `first_s` is about one lock time-out; `cap_s` keeps the lane of one customer from sleeping through a repair;
    `attempts` of a transient error span about two minutes; `unexpected_attempts` are fewer, because a fault of the
    program seldom mends itself and the customer waits; conflicts are races that the next read resolves.
    """

    first_s: float = 0.2
    cap_s: float = 30.0
    attempts: int = 10
    unexpected_attempts: int = 3
    conflict_attempts: int = 50

    def decide(
        self, error: BaseException, attempt: int, now: datetime, deadline: datetime | None, jitter: random.Random
    ) -> TryAgain | GiveUp:
        """What follows the `attempt`-th failure (from 1). A record that cannot make its deadline goes to a person."""
        kind = error_class(error)
        if kind in ("permanent", "poison"):
            return GiveUp(kind)
        if isinstance(error, Conflict):
            if attempt >= self.conflict_attempts:
                return GiveUp("conflict")
            return TryAgain(jitter.uniform(0, min(0.002 * attempt, 0.05)))
        limit = self.attempts if kind == "transient" else self.unexpected_attempts
        if attempt >= limit:
            return GiveUp(kind)
        ceiling = min(self.cap_s, self.first_s * 2 ** (attempt - 1))
        delay = jitter.uniform(ceiling / 2, ceiling)
        if deadline is not None and now + timedelta(seconds=delay) > deadline:
            return GiveUp("deadline")
        return TryAgain(delay)
