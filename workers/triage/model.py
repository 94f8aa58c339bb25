"""The intent model: a linear classifier over words and pieces of words, trained from the pack's own examples.

One model for all languages of a pack, so that understanding does not hang on guessing the language first. Its
probabilities are calibrated by one temperature, fitted on predictions that each example got from a model which had not
seen it. Saved as plain arrays (no pickle: a model file can be read but never run anything).
"""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import sklearn
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from workers.case.work import Intent
from workers.triage.pieces import Pieces, Words

__all__ = ["FOLDS", "Model", "Prediction", "model_path"]

LAYOUT = 2
"""Raise it when features or training change, so that no older file is taken for a new one."""

TOP = 3
"""Intents that are kept: the right one is among the first three nearly always, and people choose from three."""

FOLDS = 3
REGULARISATION = 1.0
TOLERANCE = 1e-2
"""Of the solver: finer ones cost a multiple of the time and change no figure."""

WORD_SHARE = 0.6
"""Weight of whole words beside pieces of words: found by cross-validation, pieces carry compounds and misspellings."""

SENTENCE_SHARE = 0.5
"""Weight of the surest sentence beside the whole text, when there are several sentences."""

_WORD = r"\w+"
_FLOAT: Any = np.float32
_DIGIT = re.compile(r"[0-9]+")
_TEMPERATURES = np.geomspace(0.5, 20.0, 60)
_QUIET = ("talk.", "noise.", "other.")


class Prediction(msgspec.Struct, frozen=True, kw_only=True):
    """The most likely labels with calibrated probabilities, all labels' probabilities, and the words that decided."""

    intents: tuple[Intent, ...]
    shares: Mapping[str, float]
    words: tuple[str, ...] = ()


class _Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept beside the arrays."""

    labels: tuple[str, ...]
    temperature: float
    folds: tuple[tuple[str, str, float], ...]
    """True label, predicted label and probability of each example when unseen: thresholds are chosen from them."""


class Model:
    """A trained model. Build it with `train` or `load`."""

    def __init__(
        self,
        *,
        labels: Sequence[str],
        words: TfidfVectorizer,
        pieces: TfidfVectorizer,
        weights: Any,
        bias: Any,
        temperature: float,
        folds: Sequence[tuple[str, str, float]],
    ) -> None:
        self.labels = tuple(labels)
        self.temperature = temperature
        self.folds = tuple(folds)
        self._words, self._pieces = words, pieces
        self._weights = np.ascontiguousarray(weights, dtype=np.float32)
        self._bias = np.asarray(bias, dtype=np.float32)
        self._fast_words, self._fast_pieces = Words(words), Pieces(pieces)
        # By place and laid out for the product: a slice of the whole would be copied for every batch.
        count = len(words.vocabulary_)
        self._word_weights = np.ascontiguousarray(self._weights[:, :count].T)
        self._piece_weights = np.ascontiguousarray(self._weights[:, count:].T)
        self._names = _by_place(words.vocabulary_)
        self._loud = np.array([not label.startswith(_QUIET) for label in self.labels])

    @staticmethod
    def train(texts: Sequence[str], labels: Sequence[str], groups: Sequence[str] | None = None) -> "Model":
        """Train and calibrate. `groups` (languages) keep the folds balanced. Raises ValueError with fewer than two
        labels or examples too few to hold any back.
        """
        if len(set(labels)) < 2:
            raise ValueError("a model needs examples of at least two labels")
        rows = [_normal(text) for text in texts]
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
            scores[hold] = part._scores([rows[i] for i in hold])[0]
        temperature = _temperature(scores, targets)
        shares = _softmax(scores * temperature)
        best = shares.argmax(axis=1)
        folds = [
            (names[target], names[found], round(float(shares[row, found]), 4))
            for row, (target, found) in enumerate(zip(targets, best, strict=True))
        ]
        whole = _fit(rows, targets, names)
        whole.temperature, whole.folds = temperature, tuple(folds)
        return whole

    def predict(self, messages: Sequence[Sequence[str]]) -> list[Prediction]:
        """One prediction per message, all in one pass. A message is its whole text, then its sentences."""
        flat = [_normal(text) for parts in messages for text in parts]
        if not flat:
            return []
        scores, features = self._scores(flat)
        shares = _softmax(scores * self.temperature)
        found: list[Prediction] = []
        row = 0
        for parts in messages:
            mixed = self._mixed(shares[row : row + len(parts)])
            order = np.argsort(-mixed)[:TOP]
            found.append(
                Prediction(
                    intents=tuple(Intent(label=self.labels[i], confidence=round(float(mixed[i]), 4)) for i in order),
                    shares={self.labels[i]: float(mixed[i]) for i in np.flatnonzero(mixed > 0.005)},
                    words=self._why(features, row, int(order[0])),
                )
            )
            row += len(parts)
        return found

    def _mixed(self, shares: Any) -> Any:
        """Of the whole and its sentences: the surest sentence that asks for something counts beside the whole."""
        if len(shares) == 1:
            return shares[0]
        sentences = shares[1:]
        loud = (sentences * self._loud).max(axis=1)
        surest = sentences[int(loud.argmax())]
        return (1 - SENTENCE_SHARE) * shares[0] + SENTENCE_SHARE * surest

    def _scores(self, rows: Sequence[str]) -> tuple[Any, tuple[Any, Any]]:
        words = self._fast_words.transform(rows)
        pieces = self._fast_pieces.transform(rows)
        scores = words @ self._word_weights + pieces @ self._piece_weights + self._bias
        return np.asarray(scores), (words, pieces)

    def _why(self, features: tuple[Any, Any], row: int, label: int) -> tuple[str, ...]:
        words = features[0]
        start, end = words.indptr[row], words.indptr[row + 1]
        places = words.indices[start:end]
        gains = words.data[start:end] * self._word_weights[places, label]
        best = np.argsort(-gains)[:TOP]
        return tuple(self._names[places[i]] for i in best if gains[i] > 0)

    def save(self, path: Path) -> None:
        """Write the file whole or not at all."""
        figures = _Figures(labels=self.labels, temperature=self.temperature, folds=self.folds)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("wb") as file:
            np.savez(
                file,
                weights=self._weights.astype(np.float16),
                bias=self._bias,
                word_idf=self._words.idf_.astype(np.float32),
                piece_idf=self._pieces.idf_.astype(np.float32),
                words=_packed(self._words.vocabulary_),
                pieces=_packed(self._pieces.vocabulary_),
                figures=np.frombuffer(msgspec.json.encode(figures), dtype=np.uint8),
            )
        temporary.rename(path)

    @staticmethod
    def load(path: Path) -> "Model":
        """Read a saved model. Raises OSError, ValueError, KeyError or BadZipFile when it is not one."""
        with np.load(path, allow_pickle=False) as arrays:
            figures = msgspec.json.decode(arrays["figures"].tobytes(), type=_Figures)
            words, pieces = _words(_unpacked(arrays["words"])), _pieces(_unpacked(arrays["pieces"]))
            words.idf_ = arrays["word_idf"]
            pieces.idf_ = arrays["piece_idf"]
            return Model(
                labels=figures.labels,
                words=words,
                pieces=pieces,
                weights=arrays["weights"],
                bias=arrays["bias"],
                temperature=figures.temperature,
                folds=figures.folds,
            )


def model_path(folder: Path, pack_id: str, digest: str) -> Path:
    """Where the model of a pack lies: another pack, or another version of the library, is another file."""
    return folder / "models" / f"{pack_id}-{digest}-{LAYOUT}-{sklearn.__version__}.npz"


def _fit(rows: Sequence[str], targets: Any, names: Sequence[str]) -> Model:
    words, pieces = _words(), _pieces()
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
    return Model(labels=names, words=words, pieces=pieces, weights=weights, bias=bias, temperature=1.0, folds=())


def _words(vocabulary: Mapping[str, int] | None = None) -> TfidfVectorizer:
    return TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORD, lowercase=False, dtype=_FLOAT,
        vocabulary=vocabulary,
    )  # fmt: skip


def _pieces(vocabulary: Mapping[str, int] | None = None) -> TfidfVectorizer:
    return TfidfVectorizer(
        analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, lowercase=False, dtype=_FLOAT,
        min_df=2 if vocabulary is None else 1, vocabulary=vocabulary,
    )  # fmt: skip


def _normal(text: str) -> str:
    return _DIGIT.sub("0", text.casefold())


def _softmax(scores: Any) -> Any:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _temperature(scores: Any, targets: Any) -> float:
    """The factor on the scores under which the held-back labels are most likely."""
    rows = np.arange(len(targets))

    def loss(factor: float) -> float:
        return float(-np.log(_softmax(scores * factor)[rows, targets] + 1e-12).mean())

    return float(min(_TEMPERATURES, key=loss))


def _by_place(vocabulary: Mapping[str, int]) -> list[str]:
    names = [""] * len(vocabulary)
    for name, place in vocabulary.items():
        names[place] = name
    return names


def _packed(vocabulary: Mapping[str, int]) -> Any:
    # Newlines never stand in a word or a piece: the vectorisers split at white space.
    return np.frombuffer("\n".join(_by_place(vocabulary)).encode(), dtype=np.uint8)


def _unpacked(array: Any) -> dict[str, int]:
    return {name: place for place, name in enumerate(array.tobytes().decode().split("\n"))}
