"""Written replies made fit for the ear: amounts, dates and order numbers read as people say them.

Deterministic, and only what is certain is touched: anything unknown is left to the speech engine.
"""

import re
from collections.abc import Callable, Sequence

__all__ = ["spoken"]

_MONTHS = {
    "de": ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
           "Dezember"),
    "nb": ("januar", "februar", "mars", "april", "mai", "juni", "juli", "august", "september", "oktober", "november",
           "desember"),
    "en": ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December"),
}  # fmt: skip

# one, many, one hundredth, many hundredths
_CURRENCIES = {
    "EUR": {"de": ("Euro", "Euro", "Cent", "Cent"), "nb": ("euro", "euro", "cent", "cent"),
            "en": ("euro", "euros", "cent", "cents")},
    "NOK": {"de": ("norwegische Krone", "norwegische Kronen", "Öre", "Öre"), "nb": ("krone", "kroner", "øre", "øre"),
            "en": ("Norwegian krone", "Norwegian kroner", "øre", "øre")},
    "GBP": {"de": ("Pfund", "Pfund", "Pence", "Pence"), "nb": ("pund", "pund", "pence", "pence"),
            "en": ("pound", "pounds", "penny", "pence")},
}  # fmt: skip
_AND = {"de": "und", "nb": "og", "en": "and"}
_SYMBOLS = {"€": "EUR", "EUR": "EUR", "Euro": "EUR", "kr": "NOK", "NOK": "NOK", "£": "GBP", "GBP": "GBP"}

_SPACE = " \u00a0\u202f"
_FIGURE = rf"\d{{1,3}}(?:[{_SPACE}.,]\d{{3}})+(?:[.,]\d{{2}})?(?!\d)|\d+(?:[.,]\d{{2}})?(?!\d)"
_AMOUNT = re.compile(
    rf"(?<![\w.,-])(?:(?P<before>€|£|EUR|NOK|GBP|kr\.?)[{_SPACE}]?(?P<one>{_FIGURE})"
    rf"|(?P<two>{_FIGURE})[{_SPACE}]?(?P<after>€|£|EUR\b|NOK\b|GBP\b|Euro\b|kr\b\.?))"
)
_ISO_DATE = re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b")
_DOTTED_DATE = re.compile(r"(?<![\d.])(\d{1,2})\.(\d{1,2})\.(\d{4})\b")
_REFERENCE = re.compile(r"\b([A-Z]{1,4})-(\d{3,})\b")
_LONG_NUMBER = re.compile(r"(?<![\d.,])\d{7,}(?![\d.,]\d)")


def spoken(text: str, language: str) -> str:
    """`text` as it should be read out in `language`."""
    steps: Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = (
        (_AMOUNT, lambda match: _amount(match, language)),
        (_ISO_DATE, lambda match: _date(match, (3, 2, 1), language)),
        (_DOTTED_DATE, lambda match: _date(match, (1, 2, 3), language)),
        (_REFERENCE, lambda match: f"{' '.join(match[1])}, {_in_threes(match[2])}"),
        (_LONG_NUMBER, lambda match: _in_threes(match[0])),
    )
    for pattern, say in steps:
        text = pattern.sub(say, text)
    return text


def _amount(match: re.Match[str], language: str) -> str:
    code = _SYMBOLS[(match["before"] or match["after"]).rstrip(".")]
    whole, hundredths = _parts(match["one"] or match["two"])
    one, many, small_one, small_many = _CURRENCIES[code][language]
    words = f"{whole} {one if whole == 1 else many}"
    if not hundredths:
        return words
    if language == "de" and code == "EUR":
        return f"{words} {hundredths}"  # "49 Euro 90", as everybody says it
    return f"{words} {_AND[language]} {hundredths} {small_one if hundredths == 1 else small_many}"


def _parts(figure: str) -> tuple[int, int]:
    digits = re.sub(f"[{_SPACE}]", "", figure)
    separator = digits[-3:-2]
    if separator in (".", ","):
        return int(re.sub("[.,]", "", digits[:-3]) or "0"), int(digits[-2:])
    return int(re.sub("[.,]", "", digits)), 0


def _date(match: re.Match[str], order: tuple[int, int, int], language: str) -> str:
    day, month, year = (int(match[group]) for group in order)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return match[0]
    name = _MONTHS[language][month - 1]
    return f"{day} {name} {year}" if language == "en" else f"{day}. {name} {year}"


def _in_threes(digits: str) -> str:
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    return ", ".join(" ".join(group) for group in groups)
