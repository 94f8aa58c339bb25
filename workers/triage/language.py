"""In which language to answer: what is known of the case, the channel and the number first, then the text.

No detector is safe on a few Scandinavian words (the best of them get 62-72 % of one-word texts right), so a short
text never overrules what is known; a long one may, because people do change language.
"""

from workers.packs import Pack
from workers.triage.letters import Letters
from workers.triage.lists import plain

__all__ = ["Hints", "Languages"]

SURE_WORDS = 8
"""From so many words on the text may overrule what was known (97 % and more right, measured)."""

ENOUGH_WORDS = 3
"""From so many words on the text decides when nothing is known."""

SURE_SHARE = 0.9
"""Probability that the text must reach to overrule a prior."""

PLAIN_VOTES = 4
"""So many words that only one of the languages has, and none of another's, need no statistics of letters."""

MAX_CHARACTERS = 600
"""More of a letter tells no more about its language."""


class Hints:
    """What is known before reading, each a language or empty: of the case or thread, the channel, the number."""

    __slots__ = ("case", "channel", "number")

    def __init__(self, *, case: str = "", channel: str = "", number: str = "") -> None:
        self.case = case
        self.channel = channel
        self.number = number


class Languages:
    """Decides among the languages of a pack."""

    def __init__(self, pack: Pack) -> None:
        self._languages = pack.languages
        self._default = pack.default_language
        self._tells = _telling_words(pack)
        # `no` is what many mark Norwegian as; Danish must be a candidate, or it would pass for Norwegian unseen.
        self._names = {"no": "nb", "nb": "nb", **{language: language for language in pack.languages}}
        self._letters = Letters({*pack.languages, "no", "nb", "nn"})
        self._names |= {"nn": "nb"}

    def decide(self, words: str, hints: Hints) -> tuple[str, str]:
        """The language and how it was found: case, text, channel, number, words or default.

        `words` are plain words (`workers.triage.lists.plain`).
        """
        tokens = words[:MAX_CHARACTERS].split()
        count = sum(not token.isdigit() for token in tokens)
        prior, prior_by = self._prior(hints)
        votes = self._votes(tokens)
        best = max(votes, key=lambda language: votes[language]) if votes else ""
        clear = bool(best) and sum(votes[best] == value for value in votes.values()) == 1 and votes[best] > 0
        if prior and count < SURE_WORDS:
            # Two small words of one other language and none of the known one: somebody who switched in a short line.
            if clear and best != prior and votes[best] >= 3 and votes.get(prior, 0) == 0:
                return best, "words"
            return prior, prior_by
        if count < ENOUGH_WORDS:
            return (best, "words") if clear else (self._default, "default")
        if clear and votes[best] >= PLAIN_VOTES and all(votes[best] == value or value <= 0 for value in votes.values()):
            return best, "words"
        name, share = self._by_letters(" ".join(tokens))
        if clear and best != name and votes[best] >= 2 * votes.get(name, 0) + 2:
            # Many small words of one language outweigh the statistics of letters.
            name, share = best, SURE_SHARE
        if prior and name != prior and share < SURE_SHARE:
            return prior, prior_by
        return name, "text"

    def _prior(self, hints: Hints) -> tuple[str, str]:
        for value, by in ((hints.case, "case"), (hints.channel, "channel"), (hints.number, "number")):
            if value in self._languages:
                return value, by
        return "", ""

    def _votes(self, tokens: list[str]) -> dict[str, int]:
        votes = dict.fromkeys(self._languages, 0)
        for told in filter(None, map(self._tells.get, tokens)):
            for language, vote in told:
                votes[language] += vote
        return votes

    def _by_letters(self, text: str) -> tuple[str, float]:
        totals = dict.fromkeys(self._languages, 0.0)
        for name, share in zip(self._letters.names, self._letters.shares(text), strict=True):
            language = self._names.get(name, "")
            if language in totals:
                totals[language] += share
        best = max(totals, key=lambda language: totals[language])
        return best, totals[best]


def _telling_words(pack: Pack) -> dict[str, list[tuple[str, int]]]:
    """For and against which languages a word speaks."""
    own = _own_words(pack)
    tells: dict[str, list[tuple[str, int]]] = {}
    for language in pack.languages:
        for word in own[language]:
            tells.setdefault(word, []).append((language, 1))
        for word in frozenset(pack.words[language].foreign_words):
            tells.setdefault(word, []).append((language, -1))
    return tells


def _own_words(pack: Pack) -> dict[str, frozenset[str]]:
    """Words by which each language is told from the pack's others: its small words, and those that only its lists and
    examples have.
    """
    words: dict[str, set[str]] = {language: set() for language in pack.languages}
    for language in pack.languages:
        lists = pack.words[language]
        for entries in (lists.yes, lists.no, lists.done, lists.thanks, lists.greeting, lists.person_alone):
            words[language].update(word for entry in entries for word in plain(entry).split())
    for example in pack.examples:
        words[example.language].update(word for word in plain(example.text).split() if not word.isdigit())
    own: dict[str, frozenset[str]] = {}
    for language in pack.languages:
        others: set[str] = set().union(*(words[other] for other in pack.languages if other != language))
        own[language] = frozenset(words[language] - others) | frozenset(pack.words[language].function_words)
    return own
