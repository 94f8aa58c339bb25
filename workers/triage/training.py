"""Training of the intent model by scikit-learn. Imported only where there is something to train: that library takes two
seconds of the processor and 70 MB, and nearly every start finds its model trained.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from workers.triage.model import Model, normal, softmax
from workers.triage.pieces import PIECE_SIZES, WORD, WORD_SIZES, Pieces, Words

__all__ = ["FOLDS", "train"]

FOLDS = 3
REGULARISATION = 1.0
TOLERANCE = 1e-2
"""Of the solver: finer ones cost a multiple of the time and change no figure."""

WORD_SHARE = 0.6
"""Weight of whole words beside pieces of words: found by cross-validation, pieces carry compounds and misspellings."""

_FLOAT: Any = np.float32
_TEMPERATURES = np.geomspace(0.5, 20.0, 60)


def train(texts: Sequence[str], labels: Sequence[str], groups: Sequence[str] | None = None) -> Model:
    """Train and calibrate. `groups` (languages) keep the folds balanced. Raises ValueError with fewer than two
    labels or examples too few to hold any back.
    """
    if len(set(labels)) < 2:
        raise ValueError("a model needs examples of at least two labels")
    rows = [normal(text) for text in texts]
    names = tuple(sorted(set(labels)))
    place = {name: number for number, name in enumerate(names)}
    targets = np.array([place[label] for label in labels])
    strata = [f"{label}|{group}" for label, group in zip(labels, groups or labels, strict=True)]
    rare = {stratum for stratum, count in Counter(strata).items() if count < FOLDS}
    strata = ["rare" if stratum in rare else stratum for stratum in strata]
    scores = np.zeros((len(rows), len(names)), dtype=np.float32)
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for learn, hold in splitter.split(rows, strata):
        part = _fit([rows[i] for i in learn], targets[learn], names)
        scores[hold] = part.scores([rows[i] for i in hold])[0]
    temperature = _temperature(scores, targets)
    shares = softmax(scores * temperature)
    best = shares.argmax(axis=1)
    folds = [
        (names[target], names[found], round(float(shares[row, found]), 4))
        for row, (target, found) in enumerate(zip(targets, best, strict=True))
    ]
    whole = _fit(rows, targets, names)
    whole.temperature, whole.folds = temperature, tuple(folds)
    return whole


def _fit(rows: Sequence[str], targets: Any, names: Sequence[str]) -> Model:
    words: Any = TfidfVectorizer(
        ngram_range=WORD_SIZES, sublinear_tf=True, token_pattern=WORD, lowercase=False, dtype=_FLOAT
    )
    pieces: Any = TfidfVectorizer(
        analyzer="char_wb", ngram_range=PIECE_SIZES, sublinear_tf=True, lowercase=False, dtype=_FLOAT, min_df=2
    )
    whole: Any = words.fit_transform(rows)
    features: Any = hstack([whole * WORD_SHARE, pieces.fit_transform(rows)]).tocsr()
    classifier: Any = LinearSVC(C=REGULARISATION, tol=TOLERANCE)
    classifier.fit(features, targets)
    weights = np.zeros((len(names), features.shape[1]), dtype=np.float32)
    bias = np.full(len(names), -1.0, dtype=np.float32)
    classes = classifier.classes_
    if len(classes) == 2:
        weights[classes] = np.vstack([-classifier.coef_[0], classifier.coef_[0]])
        bias[classes] = [-classifier.intercept_[0], classifier.intercept_[0]]
    else:
        weights[classes] = classifier.coef_
        bias[classes] = classifier.intercept_
    weights[:, : len(words.vocabulary_)] *= WORD_SHARE
    return Model(
        labels=names,
        words=Words(words.vocabulary_, words.idf_),
        pieces=Pieces(pieces.vocabulary_, pieces.idf_),
        weights=weights,
        bias=bias,
        temperature=1.0,
        folds=(),
    )


def _temperature(scores: Any, targets: Any) -> float:
    """The factor on the scores under which the held-back labels are most likely."""
    rows = np.arange(len(targets))

    def loss(factor: float) -> float:
        return float(-np.log(softmax(scores * factor)[rows, targets] + 1e-12).mean())

    return float(min(_TEMPERATURES, key=loss))
