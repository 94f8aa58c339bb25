"""What customers ask, and how an answer is recognised: three matters whose answers cannot be taken for one another.

An answer names no message. So order is judged by the matter: a conversation asks in an order that the seed chose, and
the answers must come in the same one.
"""

import random
import re
from collections.abc import Sequence

__all__ = ["LANGUAGES", "MATTERS", "goodbye", "matters_of", "order_of_matters", "question"]

LANGUAGES = ("de", "nb", "en")
MATTERS = ("hours", "delivery", "account")

_QUESTIONS = {
    "de": {
        "hours": "Wann haben Sie samstags geöffnet?",
        "delivery": "Wie lange dauert die Lieferung?",
        "account": "Ich habe mein Passwort vergessen und kann mich nicht anmelden.",
    },
    "nb": {
        "hours": "Når har dere åpent på lørdag?",
        "delivery": "Hvor lang tid tar leveringen?",
        "account": "Jeg har glemt passordet mitt og får ikke logget inn.",
    },
    "en": {
        "hours": "What are your opening hours on Saturday?",
        "delivery": "How long does delivery take?",
        "account": "I forgot my password and cannot sign in.",
    },
}
_ANSWERS = {
    "hours": ("Montag bis Freitag von 9", "mandag til fredag fra 9", "Monday to Friday from 9"),
    "delivery": ("Ein Paket braucht", "En pakke bruker", "A parcel takes"),
    "account": ("„Passwort vergessen“", "«Glemt passord»", "“Forgotten password”"),
}
_GOODBYES = {"de": "Nein danke, das war alles.", "nb": "Nei takk, det var alt.", "en": "No thank you, that was all."}


def question(matter: str, language: str, mark: str) -> str:
    """A question with the mark by which it is found again."""
    return f"{_QUESTIONS[language][matter]} ({mark})"


def spoken(matter: str, language: str) -> str:
    """A question as a caller says it."""
    return _QUESTIONS[language][matter]


def goodbye(language: str) -> str:
    """That was all."""
    return _GOODBYES[language]


def matters_of(text: str) -> tuple[str, ...]:
    """The matters that a text answers, in its order: answers that nobody has seen yet may come together in one."""
    plain = " ".join(text.split())
    found = [
        (place.start(), matter)
        for matter, phrases in _ANSWERS.items()
        for phrase in phrases
        for place in re.finditer(re.escape(phrase), plain)
    ]
    return tuple(matter for _, matter in sorted(found))


def order_of_matters(chance: random.Random, count: int) -> Sequence[str]:
    """So many matters, no two neighbours the same: whoever swaps or drops one is seen."""
    chosen: list[str] = []
    while len(chosen) < count:
        chosen.append(chance.choice([matter for matter in MATTERS if not chosen or matter != chosen[-1]]))
    return chosen
