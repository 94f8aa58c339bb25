"""When to try again, when to let the log go on meanwhile, and when a person must look: pure decisions.

in the lane (seconds, only its key waits) -> parked (minutes, hours) -> dead letter and a case at the desk
"""

import random
from datetime import datetime, timedelta

import msgspec

from bus.errors import Conflict, PermanentError, PoisonError, TransientError

__all__ = ["GiveUp", "Park", "RetryPolicy", "TryAgain", "Verdict", "error_class"]


class TryAgain(msgspec.Struct, frozen=True):
    """Handle the record again after `after_s` seconds; only its key waits meanwhile."""

    after_s: float


class Park(msgspec.Struct, frozen=True):
    """Lay the record aside, and what follows of its key behind it, until `until`; the log goes on."""

    until: datetime
    reason: str


class GiveUp(msgspec.Struct, frozen=True):
    """Dead letter and a case at the desk."""

    reason: str


Verdict = TryAgain | Park | GiveUp


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
    """Exponential back-off with jitter, in the lane and then parked.

    `first_s` is about one lock time-out; `cap_s` keeps the lane of one customer from sleeping through a repair;
    `lane_s` is how long a restart or a failover usually takes: what lasts longer shall not hold the log back.
    `park_cap_s` is how long a customer may wait at most once the fault is mended. `park_limit_s`: who wrote in the
    morning hears from a person in the afternoon. `unexpected_attempts` are few, because a fault of the program seldom
    mends itself and the customer waits; conflicts are races that the next read resolves.
    """

    first_s: float = 0.2
    cap_s: float = 10.0
    lane_s: float = 30.0
    park_cap_s: float = 300.0
    park_limit_s: float = 4 * 3600.0
    unexpected_attempts: int = 3
    conflict_attempts: int = 50

    def decide(
        self,
        error: BaseException,
        *,
        attempt: int,
        waited_s: float,
        now: datetime,
        deadline: datetime | None,
        jitter: random.Random,
        parked_since: datetime | None = None,
    ) -> Verdict:
        """What follows the `attempt`-th failure in the lane (from 1), `waited_s` after the first.

        `parked_since` is the first failure of a record that was parked before: its time in the lane is used up. A
        record that cannot make its deadline goes to a person, at once.
        """
        kind = error_class(error)
        if kind in ("permanent", "poison"):
            return GiveUp(kind)
        if isinstance(error, Conflict):
            if attempt >= self.conflict_attempts:
                return GiveUp("conflict")
            return TryAgain(jitter.uniform(0, min(0.002 * attempt, 0.05)))
        if kind == "unexpected" and attempt >= self.unexpected_attempts:
            return GiveUp(kind)
        ceiling = min(self.cap_s, self.first_s * 2 ** min(attempt - 1, 30))
        delay = jitter.uniform(ceiling / 2, ceiling)
        if kind == "unexpected" or (parked_since is None and waited_s + delay <= self.lane_s):
            late = deadline is not None and now + timedelta(seconds=delay) > deadline
            return GiveUp("deadline") if late else TryAgain(delay)
        return self._park(kind, parked_since or now - timedelta(seconds=waited_s), now, deadline, jitter)

    def _park(
        self, kind: str, since: datetime, now: datetime, deadline: datetime | None, jitter: random.Random
    ) -> Park | GiveUp:
        """As long again as the fault has lasted already, so that the distances double."""
        ceiling = min(self.park_cap_s, max(self.lane_s, (now - since).total_seconds()))
        until = now + timedelta(seconds=jitter.uniform(ceiling / 2, ceiling))
        if deadline is not None and until > deadline:
            return GiveUp("deadline")
        if until > since + timedelta(seconds=self.park_limit_s):
            return GiveUp(kind)
        return Park(until, kind)
