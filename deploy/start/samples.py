"""What each customer of the demo could say, in his own words, so that a newcomer has something to send at once."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["with_samples"]

_GREETING = {"de": "Guten Tag,", "nb": "Hei,", "en": "Hello,"}
_CLOSING = {"de": "Freundliche Grüße", "nb": "Vennlig hilsen", "en": "Kind regards"}
_OTHERWISE = {
    "de": ("Frage zu meiner Bestellung", "ich habe eine Frage zu meiner Bestellung. Rufen Sie mich bitte an?"),
    "nb": ("Spørsmål om bestillingen min", "jeg har et spørsmål om bestillingen min. Kan dere ringe meg?"),
    "en": ("A question about my order", "I have a question about my order. Could you call me, please?"),
}

_SAID = {
    "grete.ohlsen@kunde.example": (
        "Doppelte Abbuchung",
        "auf meiner Kartenabrechnung steht die Bestellung SO-10234 zweimal, je 49,90 EUR. Bitte prüfen Sie das.",
    ),
    "kari.lunde@kunde.example": (
        "Angrerett",
        "jeg vil bruke angreretten på bestilling SO-10301 og sende varen tilbake. Hvordan gjør jeg det?",
    ),
    "tom.baker@customer.example": (
        "Wrong price",
        "the shelf said 19.99 but I was charged 24.99 at the till. My receipt is R-77120.",
    ),
    "jonas.weber@kunde.example": (
        "Kaffeemaschine defekt",
        "meine Kaffeemaschine aus der Bestellung SO-10412 heizt nicht mehr. Was kann ich tun?",
    ),
    "anna.becker@kunde.example": (
        "Rückgabe",
        "ich möchte die Wolldecke aus der Bestellung SO-10420 zurückgeben. Sie passt farblich nicht.",
    ),
    "murat.yilmaz@kunde.example": (
        "Kopfhörer zurückgeben",
        "die Kopfhörer aus der Bestellung SO-10431 gefallen mir nicht. Kann ich sie noch zurückgeben?",
    ),
    "ingrid.haugen@kunde.example": (
        "Bytte størrelse",
        "strikkegenseren i bestilling SO-10440 er for liten. Kan jeg bytte den til størrelse L?",
    ),
    "lars.moen@kunde.example": (
        "Hvor er pengene?",
        "jeg har returnert lampen fra bestilling SO-10445. Når kommer pengene?",
    ),
    "emily.clarke@customer.example": ("Where is my kettle?", "where is my order SO-10450? It should be here by now."),
    "priya.shah@customer.example": (
        "Exchange",
        "the running shoes from order SO-10455 are too small. Could I exchange them for size 40?",
    ),
    "sabine.krueger@kunde.example": (
        "Teppich noch nicht da",
        "mein Teppich aus der Bestellung SO-10460 ist noch nicht angekommen. Wo ist er?",
    ),
}


def with_samples(customers: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The customers, each with `subject`, `mail` (also fit for a letter) and `call`."""
    found: list[dict[str, Any]] = []
    for customer in customers:
        language = customer["language"] if customer["language"] in _GREETING else "en"
        subject, said = _SAID.get(customer["email"], _OTHERWISE[language])
        mail = f"{_GREETING[language]}\n\n{said}\n\n{_CLOSING[language]}\n{customer['name']}"
        call = f"{_GREETING[language]} {said}"
        found.append({**customer, "subject": subject, "mail": mail, "call": call})
    return found
