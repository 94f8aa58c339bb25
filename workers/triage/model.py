"""The intent model: a linear classifier over words and pieces of words, trained from the pack's own examples.

One model for all languages of a pack, so that understanding does not hang on guessing the language first. Its
probabilities are calibrated by one temperature, fitted on predictions that each example got from a model which had not
seen it (`training`). Saved as plain arrays (no pickle: a model file can be read but never run anything).
"""

import os
import re
from collections.abc import Mapping, MutableMapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from workers.case.work import Intent
from workers.triage.pieces import Pieces, Rows, Words

__all__ = ["Model", "Prediction", "model_path", "normal", "softmax"]

LAYOUT = 2
"""Raise it when features or training change, so that no older file is taken for a new one."""

TOP = 3
"""Intents that are kept: the right one is among the first three nearly always, and people choose from three."""

SENTENCE_SHARE = 0.5
"""Weight of the surest sentence beside the whole text, when there are several sentences."""

_DIGIT = re.compile(r"[0-9]+")
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
    """A trained model. Build it with `training.train` or `load`."""

    def __init__(
        self,
        *,
        labels: Sequence[str],
        words: Words,
        pieces: Pieces,
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
        # By place and laid out for the product: a slice of the whole would be copied for every batch.
        count = len(words.vocabulary)
        self._word_weights = np.ascontiguousarray(self._weights[:, :count].T)
        self._piece_weights = np.ascontiguousarray(self._weights[:, count:].T)
        self._names = _by_place(words.vocabulary)
        self._loud = np.array([not label.startswith(_QUIET) for label in self.labels])

    def predict(
        self, messages: Sequence[Sequence[str]], alone: MutableMapping[str, Any] | None = None
    ) -> list[Prediction]:
        """One prediction per message, all in one pass. A message is its whole text, then its sentences.

        `alone` takes what the model says of each of the texts by itself, for `likeliest`.
        """
        texts = [text for parts in messages for text in parts]
        if not texts:
            return []
        scores, words = self.scores([normal(text) for text in texts])
        shares = softmax(scores * self.temperature)
        if alone is not None:
            alone.update(zip(texts, shares, strict=True))
        found: list[Prediction] = []
        row = 0
        for parts in messages:
            mixed = self._mixed(shares[row : row + len(parts)])
            order = _first(mixed)
            places = np.flatnonzero(mixed > 0.005)
            found.append(
                Prediction(
                    intents=self._intents(mixed, order),
                    shares={
                        self.labels[i]: share for i, share in zip(places.tolist(), mixed[places].tolist(), strict=True)
                    },
                    words=self._why(words, row, order[0]),
                )
            )
            row += len(parts)
        return found

    def likeliest(self, texts: Sequence[str], alone: MutableMapping[str, Any]) -> list[tuple[Intent, ...]]:
        """The most likely labels of each text by itself. What `alone` has is not read again, the rest is added."""
        fresh = [text for text in dict.fromkeys(texts) if text not in alone]
        if fresh:
            scores, _ = self.scores([normal(text) for text in fresh])
            alone.update(zip(fresh, softmax(scores * self.temperature), strict=True))
        return [self._intents(alone[text], _first(alone[text])) for text in texts]

    def _intents(self, shares: Any, places: Sequence[int]) -> tuple[Intent, ...]:
        return tuple(Intent(label=self.labels[place], confidence=round(float(shares[place]), 4)) for place in places)

    def _mixed(self, shares: Any) -> Any:
        """Of the whole and its sentences: the surest sentence that asks for something counts beside the whole."""
        if len(shares) == 1:
            return shares[0]
        sentences = shares[1:]
        loud = (sentences * self._loud).max(axis=1)
        surest = sentences[int(loud.argmax())]
        return (1 - SENTENCE_SHARE) * shares[0] + SENTENCE_SHARE * surest

    def scores(self, rows: Sequence[str]) -> tuple[Any, Rows]:
        """Each label's score for each text, not yet a probability, and the words that they come from."""
        words = self._words.transform(rows)
        pieces = self._pieces.transform(rows)
        return words.times(self._word_weights) + pieces.times(self._piece_weights) + self._bias, words

    def _why(self, words: Rows, row: int, label: int) -> tuple[str, ...]:
        places, found = words.of(row)
        gains = found * self._word_weights[places, label]
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
                word_idf=self._words.weights,
                piece_idf=self._pieces.weights,
                words=_packed(self._words.vocabulary),
                pieces=_packed(self._pieces.vocabulary),
                figures=np.frombuffer(msgspec.json.encode(figures), dtype=np.uint8),
            )
        temporary.rename(path)

    @staticmethod
    def load(path: Path) -> "Model":
        """Read a saved model. Raises OSError, ValueError, KeyError or BadZipFile when it is not one."""
        with np.load(path, allow_pickle=False) as arrays:
            figures = msgspec.json.decode(arrays["figures"].tobytes(), type=_Figures)
            return Model(
                labels=figures.labels,
                words=Words(_unpacked(arrays["words"]), arrays["word_idf"]),
                pieces=Pieces(_unpacked(arrays["pieces"]), arrays["piece_idf"]),
                weights=arrays["weights"],
                bias=arrays["bias"],
                temperature=figures.temperature,
                folds=figures.folds,
            )


def model_path(folder: Path, pack_id: str, digest: str) -> Path:
    """Where the model of a pack lies: another pack, or another version of the library, is another file."""
    return folder / "models" / f"{pack_id}-{digest}-{LAYOUT}-{version('scikit-learn')}.npz"


def normal(text: str) -> str:
    """As the vocabulary has it: no capitals, and every number the same."""
    return _DIGIT.sub("0", text.casefold())


def _first(shares: Any) -> list[int]:
    """Where the largest shares are, the largest first."""
    return np.argsort(-shares)[:TOP].tolist()


def softmax(scores: Any) -> Any:
    """Probabilities from scores, row by row."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


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
