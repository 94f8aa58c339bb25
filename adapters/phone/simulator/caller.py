"""The simulated caller: which of the turns can be done now, and when patience ends."""

from collections.abc import Sequence

from adapters.phone.simulator.script import Keys, Say, Turn, Wait

__all__ = ["Caller"]

_PATIENCE_S = 15.0
"""After the last turn a caller hears out what is said, this long at least."""

_LONGEST_S = 180.0
"""A caller who finds no opportunity for the next turn (words, while only keys are asked for) gives up after this."""


class Caller:
    """Turns in order. A Wait begins when its turn comes and holds back what follows."""

    def __init__(self, turns: Sequence[Turn], now: float) -> None:
        self._turns = list(turns)
        self._waits_until: float | None = None
        self._quiet_since = now
        self._hangs_up = False

    @property
    def left_over(self) -> int:
        """Turns not done."""
        return len(self._turns)

    def acts_at(self, now: float) -> float | None:
        """When the next turn can begin: now, or at the end of the wait before it; None when there is no turn left."""
        self._pass(now)
        if self._waits_until is not None:
            return self._waits_until
        return now if self._turns else None

    def peek(self, now: float) -> Say | Keys | None:
        """The turn to be done now, if any."""
        self._pass(now)
        if self._waits_until is not None or not self._turns:
            return None
        turn = self._turns[0]
        return turn if isinstance(turn, Say | Keys) else None

    def done(self, now: float) -> None:
        """The turn of `peek` was done."""
        self._turns.pop(0)
        self._quiet_since = now

    def leaves(self, now: float, *, asked: bool) -> bool:
        """Whether the caller hangs up now. `asked`: the line waits for words, and the caller has none left."""
        self._pass(now)
        if self._waits_until is not None:
            return False
        if self._turns:
            return now >= self._quiet_since + _LONGEST_S
        return self._hangs_up or asked or now >= self._quiet_since + _PATIENCE_S

    def _pass(self, now: float) -> None:
        while True:
            if self._waits_until is not None:
                if now < self._waits_until:
                    return
                self._waits_until = None
                self._quiet_since = now
                self._hangs_up = not self._turns
            if not self._turns or not isinstance(self._turns[0], Wait):
                return
            self._waits_until = now + self._turns.pop(0).seconds  # type: ignore[union-attr]
