"""The pack's word lists, compiled: which entry of a list stands in a text."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

__all__ = ["GAP_WORDS", "Index", "Phrases", "plain"]

GAP_WORDS = 4
"""So many words may stand for `...`: enough for what is said between, too few to bridge two sentences."""

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_NEVER = re.compile(r"(?!)")
_KEY = 4
"""Letters of a first word by which a list knows that none of its entries can stand in a text."""


def plain(text: str) -> str:
    """Lower-case words with one space between them: what entries are matched against."""
    return " ".join(_WORD.findall(text.lower().replace("’", "'")))


class Phrases:
    """One list. Matching takes time proportional to the text."""

    def __init__(self, entries: Sequence[str]) -> None:
        parts = sorted((_pattern(entry) for entry in entries if entry.strip()), key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![^ ])(?:{'|'.join(parts)})(?![^ ])") if parts else _NEVER
        self.keys = _keys_of(entries)
        """First letters of its entries; None when one may begin with anything."""
        self._whole = frozenset(plain(entry) for entry in entries)

    def find(self, words: str) -> str:
        """The first entry found in plain words, as it stands there; or nothing."""
        if self.keys is None:
            match = self._pattern.search(words)
            return match.group() if match is not None else ""
        # Tried where a word begins like one of the entries, and not at every letter.
        places = _places_in(words)
        if self.keys.isdisjoint(places):
            return ""
        for start in sorted(start for key in self.keys & places.keys() for start in places[key]):
            match = self._pattern.match(words, start)
            if match is not None:
                return match.group()
        return ""

    def all(self, words: str) -> tuple[str, ...]:
        """Every entry found."""
        return tuple(self._pattern.findall(words)) if self._possible(words) else ()

    def spans(self, words: str) -> list[tuple[int, int]]:
        """Where entries stand."""
        return [match.span() for match in self._pattern.finditer(words)] if self._possible(words) else []

    def is_whole(self, words: str) -> bool:
        """Whether the plain words are exactly one entry."""
        return words in self._whole

    def at_start(self, words: str) -> int:
        """The length of an entry with which the plain words begin; 0 for none."""
        if self.keys is not None and words.split(" ", 1)[0][:_KEY] not in self.keys:
            return 0
        match = self._pattern.match(words)
        return match.end() if match is not None else 0

    def consumes(self, words: str) -> str:
        """What is left of plain words when every entry is taken out."""
        return " ".join(self._pattern.sub(" ", words).split()) if self._possible(words) else words

    def _possible(self, words: str) -> bool:
        # Forty lists are tried on every text and nearly all have nothing in it: a look at the first letters tells.
        return self.keys is None or not self.keys.isdisjoint(_places_in(words))


class Index:
    """Many lists by the first letters of their entries: which of them are worth trying on a text."""

    def __init__(self, lists: Mapping[tuple[str, str], Phrases]) -> None:
        self._always = frozenset(place for place, phrases in lists.items() if phrases.keys is None)
        self._places: dict[str, set[tuple[str, str]]] = {}
        for place, phrases in lists.items():
            for key in phrases.keys or ():
                self._places.setdefault(key, set()).add(place)

    def possible(self, words: str) -> set[tuple[str, str]]:
        """The places of lists that may have an entry in plain words."""
        known = self._places.keys() & _places_in(words).keys()
        return set(self._always).union(*(self._places[key] for key in known))


@lru_cache(maxsize=16)
def _places_in(words: str) -> Mapping[str, Sequence[int]]:
    """Where words begin, by their first letters."""
    places: dict[str, list[int]] = {}
    start = 0
    for word in words.split(" "):
        places.setdefault(word[:_KEY], []).append(start)
        start += len(word) + 1
    return places


def _keys_of(entries: Sequence[str]) -> frozenset[str] | None:
    """The first letters of every entry; None when one of them may begin with anything."""
    keys: set[str] = set()
    for entry in entries:
        first = entry.lower().split()[0]
        words = plain(first).split()
        stem = words[0] if words else ""
        if first.startswith(("*", "...")) or not stem or (first.endswith("*") and len(stem) < _KEY):
            return None
        keys.add(stem[:_KEY])
    return frozenset(keys)


def _pattern(entry: str) -> str:
    pieces: list[str] = []
    for word in entry.lower().split():
        if word == "...":
            pieces.append(rf"(?:[^ ]+ ){{0,{GAP_WORDS}}}")
        else:
            # Entries are cut into words as texts are, so that "x-ten" and "art. 15" meet what is read.
            stem = " ".join(_WORD.findall(word.replace("*", "")))
            if stem:
                stem = re.escape(stem) + ("[^ ]*" if word.endswith("*") else "")
                pieces.append(("[^ ]*" if word.startswith("*") else "") + stem + " ")
    text = "".join(pieces)
    return text.removesuffix(" ") if text.endswith(" ") and not text.endswith(f"{{0,{GAP_WORDS}}}") else text
