"""Words and pieces of words as sparse rows, the same as scikit-learn's vectorisers give and several times faster.

People use few words many times: the pieces of a word are looked up once and remembered by their places in the
vocabulary. What the vectorisers learned (vocabulary, weights) stays their own; only the counting is done here, with
numpy alone: whoever understands never loads the libraries that training needs, which cost more than all the rest of a
start.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

__all__ = ["PIECE_SIZES", "WORD", "WORD_SIZES", "Pieces", "Rows", "Words"]

WORD = r"\w+"
WORD_SIZES = (1, 2)
"""Words in a row that count as one: words, and words with their next one."""

PIECE_SIZES = (2, 5)
"""Characters of a piece: the shortest and the longest."""

REMEMBERED_WORDS = 20_000
"""Then all are forgotten; some hundred bytes each."""

LONGEST_REMEMBERED = 40
"""Characters; anything longer is no word that comes again."""


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """One row per text: row `n` has `gains[ends[n] : ends[n + 1]]` at `places` of the same slice, sorted."""

    ends: Any
    places: Any
    gains: Any

    def of(self, row: int) -> tuple[Any, Any]:
        """Places and gains of one row."""
        span = slice(self.ends[row], self.ends[row + 1])
        return self.places[span], self.gains[span]

    def times(self, weights: Any) -> Any:
        """The product with a matrix of one line per place: one line per text."""
        found = np.empty((len(self.ends) - 1, weights.shape[1]), dtype=weights.dtype)
        for row in range(len(found)):
            places, gains = self.of(row)
            np.dot(gains, weights.take(places, axis=0), out=found[row])
        return found


class _Counted(ABC):
    """`transform` of a vectoriser with `sublinear_tf` and length 1 (`norm="l2"`), from its vocabulary and `idf_`."""

    def __init__(self, vocabulary: Mapping[str, int], weights: Any) -> None:
        self.vocabulary = vocabulary
        self.weights: Any = np.asarray(weights, dtype=np.float32)

    @abstractmethod
    def _of_text(self, text: str, found: list[Any]) -> int:
        """Add arrays of places in the vocabulary, one place per occurrence; how many there are."""

    def transform(self, rows: Sequence[str]) -> Rows:
        """One row per text, which is taken as it is (no change of case)."""
        found: list[Any] = []
        counts = [self._of_text(text, found) for text in rows]
        # One number for row and place: what is the same twice is counted, and all rows are sorted, in one go.
        starts = np.arange(len(rows) + 1, dtype=np.int64) * len(self.weights)
        keys = np.concatenate(found, dtype=np.int64) if found else np.empty(0, dtype=np.int64)
        keys += np.repeat(starts[:-1], counts)
        keys, times = np.unique(keys, return_counts=True)
        ends = np.searchsorted(keys, starts)
        filled = np.diff(ends)
        places = keys - np.repeat(starts[:-1], filled)
        gains = (np.log(times.astype(np.float32)) + 1) * self.weights[places]
        lengths = np.sqrt(np.add.reduceat(np.append(gains * gains, np.float32(0)), ends[:-1]))
        lengths[filled == 0] = 1
        return Rows(ends=ends, places=places, gains=gains / np.repeat(lengths, filled))


class Words(_Counted):
    """With `token_pattern=WORD` and `ngram_range=WORD_SIZES`: words, and words with their next one."""

    def __init__(self, vocabulary: Mapping[str, int], weights: Any) -> None:
        super().__init__(vocabulary, weights)
        self._split = re.compile(WORD).findall

    def _of_text(self, text: str, found: list[Any]) -> int:
        words = self._split(text)
        terms = [*words, *map("{} {}".format, words, words[1:])]
        places = [place for place in map(self.vocabulary.get, terms) if place is not None]
        found.append(np.array(places, dtype=np.int32))
        return len(places)


class Pieces(_Counted):
    """With `analyzer="char_wb"` and `ngram_range=PIECE_SIZES`: pieces of words."""

    def __init__(self, vocabulary: Mapping[str, int], weights: Any) -> None:
        super().__init__(vocabulary, weights)
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
        shortest, longest = PIECE_SIZES
        for size in range(shortest, longest + 1):
            # A word shorter than the piece counts once, as a whole.
            for start in range(max(1, len(padded) - size + 1)):
                place = self.vocabulary.get(padded[start : start + size])
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
