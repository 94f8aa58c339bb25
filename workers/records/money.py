"""Amounts and dates as customers read and hear them: 49,90 € · 1 249,00 kr · £5.00."""

from datetime import datetime
from zoneinfo import ZoneInfo

__all__ = ["format_date", "format_money", "speak_date", "speak_money"]

_SIGNS = {"EUR": "€", "GBP": "£", "NOK": "kr"}
_NO_BREAK = "\u00a0"

_SPOKEN = {
    ("de", "EUR"): ("Euro", "Cent"), ("de", "GBP"): ("Pfund", "Pence"), ("de", "NOK"): ("Kronen", "Öre"),
    ("nb", "EUR"): ("euro", "cent"), ("nb", "GBP"): ("pund", "pence"), ("nb", "NOK"): ("kroner", "øre"),
    ("en", "EUR"): ("euros", "cents"), ("en", "GBP"): ("pounds", "pence"), ("en", "NOK"): ("kroner", "øre"),
}  # fmt: skip
_ONE = {
    "Kronen": "Krone", "Pence": "Penny", "kroner": "krone", "pounds": "pound", "pence": "penny", "euros": "euro",
    "cents": "cent",
}  # fmt: skip
"""What a single one of them is called, where that is another word."""
_AND = {"de": "und", "nb": "og", "en": "and"}

_MONTHS = {
    "de": [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ],
    "nb": [
        "januar",
        "februar",
        "mars",
        "april",
        "mai",
        "juni",
        "juli",
        "august",
        "september",
        "oktober",
        "november",
        "desember",
    ],
    "en": [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ],
}
_ZONES = {"de": ZoneInfo("Europe/Berlin"), "nb": ZoneInfo("Europe/Oslo"), "en": ZoneInfo("Europe/London")}


def format_money(amount: int, currency: str, language: str) -> str:
    """An amount in minor units as the language writes it, with no-break spaces so that it never falls apart."""
    whole, part = divmod(abs(amount), 100)
    grouped = f"{whole:,}"
    sign = "-" if amount < 0 else ""
    mark = _SIGNS.get(currency, currency)
    if language == "en":
        shown = f"{grouped}.{part:02d}"
        return f"{sign}{mark}{shown}" if currency in ("EUR", "GBP") else f"{sign}{currency}{_NO_BREAK}{shown}"
    separator = "." if language == "de" else _NO_BREAK
    shown = f"{grouped.replace(',', separator)},{part:02d}"
    if language == "de" and currency == "NOK":
        mark = "NOK"
    return f"{sign}{shown}{_NO_BREAK}{mark}"


def speak_money(amount: int, currency: str, language: str) -> str:
    """An amount as somebody says it: `49 Euro und 90 Cent`, `1 krone`, `90 pence`."""
    whole, part = divmod(abs(amount), 100)
    major, minor = _SPOKEN.get((language, currency), (currency, ""))
    counted = [
        f"{count} {_ONE.get(name, name) if count == 1 else name}" for count, name in ((whole, major), (part, minor))
        if count
    ]  # fmt: skip
    return f" {_AND[language]} ".join(counted) or f"0 {major}"


def format_date(moment: datetime, language: str) -> str:
    """A day as the language writes it in a letter: `24. November 2026`, `24. november 2026`, `24 November 2026`."""
    local = moment.astimezone(_ZONES.get(language, _ZONES["en"]))
    dot = "" if language == "en" else "."
    return f"{local.day}{dot} {_MONTHS[language][local.month - 1]} {local.year}"


def speak_date(moment: datetime, language: str) -> str:
    """A day as somebody says it, without the year."""
    return format_date(moment, language).rsplit(" ", 1)[0]
