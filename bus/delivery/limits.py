"""The bounds of one worker in one process."""

import msgspec

__all__ = ["FAULTS", "RunnerLimits"]

FAULTS = 10
"""So often in a row may a fetch or a transaction fail for a reason that is not known to pass."""

_LONGEST_PAUSE_S = 5.0
"""Between two attempts to reach a store or a log that is away."""


class RunnerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much at once, and for how long.

    `max_in_flight` bounds memory: records of some kilobytes each; one partition may have `crowded` of them, so that
    a stuck one leaves room for others. `batch` is where a transaction stops getting cheaper per record. `fetch_wait_s`
    bounds how late a stop is noticed. `drain_s` fits under the 30 s that orchestrators give; its last `commit_s` belong
    to committing and leaving, whatever else was not finished. `commit_retry_s`: the log may be locked for a moment (a
    checkpoint, another process). `handle_s`: a decision that hangs is a fault; the longest honest one is a mail relay
    that takes its time.
    """

    max_in_flight: int = 1000
    crowded: int = 400
    batch: int = 200
    fetch_wait_s: float = 0.5
    drain_s: float = 20.0
    commit_s: float = 5.0
    commit_retry_s: float = 0.5
    handle_s: float = 120.0

    def pause_s(self, failures: int) -> float:
        """How long to wait before the next attempt at something that failed so often in a row."""
        return min(self.commit_retry_s * failures, _LONGEST_PAUSE_S)
