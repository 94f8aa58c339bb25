"""Praise reaches whoever earned it: who is meant, and what is said to them. Pure.

A customer's words are passed on as they are, to the person and to the managers, by mail within the company.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence

import msgspec

__all__ = ["MOST_WORDS", "Colleague", "Colleagues", "meant", "told", "words_of"]

MANAGERS = frozenset({"manager"})

MOST_WORDS = 1_000
"""Characters of the customer's words that are passed on; longer letters can be read in the case."""

_LEAST_NAME = 3
"""Letters of a first or family name that is looked for by itself: shorter ones stand in other words' places."""


class Colleague(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who works here. `name` is the one in timelines, `shown` what customers and colleagues read of it (empty:
    the same). `mail` may be empty; `role` as at the desk."""

    name: str
    shown: str = ""
    mail: str = ""
    role: str = "representative"


Colleagues = Callable[[str], Awaitable[Sequence[Colleague]]]
"""Who works for a tenant now."""


def meant(
    text: str, colleagues: Iterable[Colleague], helpers: Sequence[str], *, writer: str = ""
) -> tuple[str, ...]:  # fmt: skip
    """Whom a text praises, by `Colleague.name`: everybody whose name, as people read it, stands in it, else the one
    person who answered the case, else nobody.

    Names count as whole words in any case of letters. A first or a family name alone counts when one person has it, or
    one of those who answered; of two people with the name that nobody tells apart, neither is meant. The `writer`'s own
    name, under his letter, praises nobody.
    """
    text = _place_of(writer).sub(" ", text) if writer.strip() else text
    everybody = {colleague.name: colleague.shown or colleague.name for colleague in colleagues}
    for helper in helpers:
        everybody.setdefault(helper, helper)
    named: dict[str, None] = {}
    for name, shown in sorted(everybody.items(), key=lambda one: len(one[1]), reverse=True):
        if _stands_in(shown, text):
            named[name] = None
            # What is one person's full name is nobody else's family name.
            text = _place_of(shown).sub(" ", text)
    for name, shown in everybody.items():
        for part in _parts(shown):
            same = [other for other, read in everybody.items() if part in _parts(read)]
            likely = [other for other in same if other in helpers] or same
            if likely == [name] and _stands_in(part, text):
                named[name] = None
    if named:
        return tuple(name for name in everybody if name in named)
    return tuple(helpers) if len(helpers) == 1 else ()


def told(names: Sequence[str], colleagues: Iterable[Colleague]) -> tuple[Colleague, ...]:
    """Who hears of it by mail: the people who are meant, and the managers."""
    return tuple(c for c in colleagues if c.mail and (c.name in names or c.role in MANAGERS))


def words_of(text: str) -> str:
    """The customer's words as they are passed on."""
    text = text.strip()
    return text if len(text) <= MOST_WORDS else f"{text[:MOST_WORDS].rstrip()} …"


def _parts(name: str) -> list[str]:
    words = [part.casefold() for part in name.split() if len(part) >= _LEAST_NAME]
    return words if len(words) > 1 else []


def _stands_in(name: str, text: str) -> bool:
    return bool(name) and _place_of(name).search(text) is not None


def _place_of(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
