"""Words and pieces of words as sparse matrices, the same as scikit-learn's vectorisers give and several times faster.

People use few words many times: the pieces of a word are looked up once and remembered by their places in the
vocabulary. What the vectorisers learned (vocabulary, weights) stays their own; only the counting is done here.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

__all__ = ["Pieces", "Words"]

REMEMBERED_WORDS = 20_000
"""Then all are forgotten; some hundred bytes each."""

LONGEST_REMEMBERED = 40
"""Characters; anything longer is no word that comes again."""


class _Counted(ABC):
    """`transform` of a fitted vectoriser with `sublinear_tf` and length 1 (`norm="l2"`)."""

    def __init__(self, fitted: TfidfVectorizer) -> None:
        self._places: dict[str, int] = fitted.vocabulary_
        self._weights: Any = np.asarray(fitted.idf_, dtype=np.float32)

    @abstractmethod
    def _of_text(self, text: str, found: list[Any]) -> int:
        """Add arrays of places in the vocabulary, one place per occurrence; how many there are."""

    def transform(self, rows: Sequence[str]) -> Any:
        """One row per text, which is taken as it is (no change of case)."""
        found: list[Any] = []
        ends = [0]
        total = 0
        for text in rows:
            total += self._of_text(text, found)
            ends.append(total)
        places = np.concatenate(found) if found else np.empty(0, dtype=np.int32)
        shape = (len(rows), len(self._weights))
        matrix: Any = csr_matrix((np.ones(total, dtype=np.float32), places, np.array(ends)), shape=shape)
        matrix.sum_duplicates()
        data = (np.log(matrix.data) + 1) * self._weights[matrix.indices]
        lengths = np.sqrt(np.add.reduceat(np.append(data * data, np.float32(0)), matrix.indptr[:-1]))
        filled = np.diff(matrix.indptr)
        lengths[filled == 0] = 1
        matrix.data = data / np.repeat(lengths, filled)
        return matrix


class Words(_Counted):
    """With `token_pattern` and `ngram_range=(1, 2)`: words, and words with their next one."""

    def __init__(self, fitted: TfidfVectorizer) -> None:
        super().__init__(fitted)
        self._split = re.compile(fitted.token_pattern).findall

    def _of_text(self, text: str, found: list[Any]) -> int:
        words = self._split(text)
        terms = [*words, *map("{} {}".format, words, words[1:])]
        places = [place for place in map(self._places.get, terms) if place is not None]
        found.append(np.array(places, dtype=np.int32))
        return len(places)


class Pieces(_Counted):
    """With `analyzer="char_wb"`: pieces of words."""

    def __init__(self, fitted: TfidfVectorizer) -> None:
        super().__init__(fitted)
        self._shortest, self._longest = fitted.ngram_range
        self._known: dict[str, Any] = {}

    def _of_text(self, text: str, found: list[Any]) -> int:
        total = 0
        for word in text.split():
            places = self._known.get(word)
            if places is None:
                places = self._of_word(word)
            found.append(places)
            total += len(places)
        return total

    def _of_word(self, word: str) -> Any:
        padded = f" {word} "
        found: list[int] = []
        for size in range(self._shortest, self._longest + 1):
            # A word shorter than the piece counts once, as a whole.
            for start in range(max(1, len(padded) - size + 1)):
                place = self._places.get(padded[start : start + size])
                if place is not None:
                    found.append(place)
            if size >= len(padded):
                break
        places = np.array(found, dtype=np.int32)
        if len(word) <= LONGEST_REMEMBERED:
            if len(self._known) >= REMEMBERED_WORDS:
                self._known.clear()
            self._known[word] = places
        return places
