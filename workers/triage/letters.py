"""The statistics of letters by which py3langid tells languages, the same figures and several times faster.

Its automaton walks over every byte of a text in Python. People use few words many times, and where the automaton goes
from a word depends only on the word and on where it came from: so the way through a word is walked once and remembered.
What was learned (automaton and table) stays the library's own; only the walking and the counting are done here.
"""

import math
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
from py3langid.langid import MODEL_FILE, LanguageIdentifier

__all__ = ["Letters"]

REMEMBERED_WAYS = 30_000
"""Then all are forgotten; some hundred bytes each."""

LONGEST_REMEMBERED = 40
"""Characters; anything longer is no word that comes again."""


class Letters:
    """py3langid's probabilities among some of its languages, for plain words with one space between them."""

    def __init__(self, wanted: Iterable[str]) -> None:
        # An identifier of our own: the module's global one would be narrowed for everybody in the process.
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._identifier.set_languages(sorted(set(wanted) & set(self._identifier.labels)))
        self.names: tuple[str, ...] = tuple(self._identifier.nb_classes)
        """The languages of `shares`, by py3langid's names."""
        self._next = self._identifier.tk_nextmove
        self._rows = self._identifier._rowbase  # pyright: ignore[reportPrivateUsage]
        self._found = self._identifier.tk_output
        self._table: Any = np.ascontiguousarray(self._identifier.nb_ptc, dtype=np.float32)
        self._base: Any = np.asarray(self._identifier.nb_pc, dtype=np.float32)
        self._ways: dict[tuple[int, str], tuple[int, Any]] = {}

    def shares(self, words: str) -> list[float]:
        """The probability of each language of `names`."""
        text = unicodedata.normalize("NFC", words)
        state, before = 0, ""
        walked: list[Any] = []
        for word in text.split(" "):
            way = self._ways.get((state, word)) if before else None
            state, features = way or self._walk(state, word, before)
            walked.append(features)
            before = " "
        visited = np.concatenate(walked)
        if not len(visited):
            return [1 / len(self.names)] * len(self.names)
        visited.sort()
        last = np.ones(len(visited), dtype=bool)
        np.not_equal(visited[1:], visited[:-1], out=last[:-1])
        ends = last.nonzero()[0]
        counts = ends.astype(np.float32)
        counts[1:] -= counts[:-1].copy()
        counts[0] += 1
        scores = np.log1p(counts) @ self._table[visited[ends]] + self._base
        # The library flattens by the square root of the bytes, so that long texts do not become certain of anything.
        scores /= math.sqrt(len(text.encode()))
        raised = np.exp(scores - scores.max())
        return (raised / raised.sum()).tolist()

    def _walk(self, state: int, word: str, before: str) -> tuple[int, Any]:
        start = state
        features: list[int] = []
        for letter in (before + word).encode():
            state = self._next[self._rows[state] + letter]
            feature = self._found[state]
            if feature >= 0:
                features.append(feature)
        way = state, np.array(features, dtype=np.int32)
        if before and len(word) <= LONGEST_REMEMBERED:
            if len(self._ways) >= REMEMBERED_WAYS:
                self._ways.clear()
            self._ways[start, word] = way
        return way
