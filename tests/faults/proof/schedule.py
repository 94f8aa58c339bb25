"""What is broken, and when: a list made from the seed alone, before anything starts. A seed repeats its schedule."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Disturbance", "schedule"]


@dataclass(frozen=True)
class Disturbance:
    """`at` seconds after the start `kind` happens to `target`, for `lasts` seconds (or until it is started again)."""

    at: float
    kind: str
    target: str
    lasts: float


_EVERY_S = (1.5, 5.0)
"""Between two disturbances; they overlap when they last."""
_QUIET_S = 2.0
"""The first moments of a run, so that every kind meets work in progress."""


def schedule(
    seed: int, seconds: float, kinds: Mapping[str, tuple[float, Sequence[str], tuple[float, float]]]
) -> list[Disturbance]:
    """Disturbances in order. `kinds`: name -> (weight, possible targets, shortest and longest duration)."""
    chance = random.Random(seed)
    planned: list[Disturbance] = []
    names = sorted(kinds)
    at = _QUIET_S
    while at < seconds:
        kind = chance.choices(names, [kinds[name][0] for name in names])[0]
        _, targets, (shortest, longest) = kinds[kind]
        planned.append(Disturbance(at, kind, chance.choice(list(targets)), chance.uniform(shortest, longest)))
        at += chance.uniform(*_EVERY_S)
    return planned
