"""How sure is sure enough: one threshold per risk class, chosen from predictions on examples not seen in training.

A threshold is the smallest probability above which the lower bound of the precision (Clopper-Pearson, one-sided)
reaches the target of the class. The predictions come from models that lack a quarter of the examples and are asked
about wordings unlike any other, so they are worse than what the product meets; the thresholds are on the safe side.

A pack with a few thousand examples cannot show 97 % at any useful coverage. The targets below are what it can show;
what money and rights need beyond them is not left to a probability: proof, the customer's yes and the policy engine.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from workers.packs import Pack

__all__ = ["CEILING", "FLOOR", "TARGETS", "Thresholds", "bound_reaches", "choose", "same_work"]

TARGETS: Mapping[str, float] = {"information": 0.80, "reversible": 0.83, "money": 0.85, "legal": 0.75}
"""Precision whose lower bound must be reached. Legal acts: recall first, a right must not be lost in a question."""

FLOOR = 0.35
"""Never accept below, whatever the figures say: with forty labels this is still more than all others together weigh."""

CEILING = 0.85
"""Used where the target is never reached: what is surer than this is accepted."""

ASK_FLOOR = 0.25
"""The two best labels together must reach this before a question is built from them; below it a person is better."""

_STEPS = np.arange(FLOOR, CEILING, 0.01)
_CONFIDENCE = 0.9
_LEAST = 30
"""Predictions needed above a threshold before its precision says anything."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """The probability from which a label of a risk class is accepted."""

    by_risk: dict[str, float]

    def of(self, risk: str) -> float:
        """For a risk class; an unknown one counts as money."""
        return self.by_risk.get(risk, self.by_risk["money"])


def choose(folds: Sequence[tuple[str, str, float]], pack: Pack) -> Thresholds:
    """From (true label, predicted label, probability) of held-back examples.

    All classes of risk share the predictions: of one class alone there are too few for an honest bound.
    """
    shares = np.array([share for *_, share in folds])
    right = np.array([same_work(pack, true, found) for true, found, _ in folds])
    return Thresholds(by_risk={risk: _smallest(shares, right, target) for risk, target in TARGETS.items()})


def same_work(pack: Pack, one: str, other: str) -> bool:
    """Whether two labels lead to the same procedure: confusing them costs the customer nothing."""
    if one == other:
        return True
    first, second = pack.issues.get(one), pack.issues.get(other)
    return (
        first is not None and second is not None and bool(first.procedure)
        and (first.department, first.procedure) == (second.department, second.procedure)
    )  # fmt: skip


def _smallest(shares: np.ndarray, right: np.ndarray, target: float) -> float:
    for step in _STEPS:
        above = shares >= step
        count, hits = int(above.sum()), int(right[above].sum())
        if count >= _LEAST and bound_reaches(target, hits, count):
            return round(float(step), 2)
    return CEILING


def bound_reaches(target: float, hits: int, count: int) -> bool:
    """Whether the lower bound of the precision is `target` or more: with a precision of just `target`, so many hits or
    more among `count` must be rarer than the confidence leaves room for. The same as comparing the bound itself.
    """
    if not hits:
        return False
    logarithms = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, count + 1)))))  # Of factorials.
    more = np.arange(hits, count + 1)
    chances = logarithms[count] - logarithms[more] - logarithms[count - more]
    chances += more * math.log(target) + (count - more) * math.log1p(-target)
    return float(np.exp(chances).sum()) <= 1 - _CONFIDENCE
