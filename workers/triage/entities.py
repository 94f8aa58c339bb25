"""What a text names: orders, invoices, receipts, case numbers, codes, amounts, days, addresses, phone numbers.

Each finding says where it stands, its normal form, and whether its own check holds. Precedence: a character belongs to
one finding only, the pack's own numbers before amounts, amounts before bare numbers. What is ambiguous (12/02/2025)
is given in the order of the text's language and marked as not valid in itself.
"""

import re
from collections.abc import Iterator
from datetime import date

import phonenumbers

from bus.message import number_is_valid
from workers.case.work import Entity
from workers.packs import Pack

__all__ = ["Entities"]

MAX_ENTITIES = 64
"""Per message: a letter names a handful of things, a table pasted into a mail names hundreds."""

_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4}")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CASE = re.compile(r"(?<![0-9])(?:[0-9][ -]?){13}[0-9](?![0-9])")
_CODE = re.compile(r"(?<![0-9.,+#-])(?:[0-9] ?){5}[0-9](?![0-9]|[.,][0-9])")
_NUMBER = (
    r"[0-9]{1,3}(?:[ .'\u00a0\u202f][0-9]{3})+(?:[.,][0-9]{1,2})?"
    r"|[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]{1,2})?"
    r"|[0-9]{1,7}(?:[.,][0-9]{1,2})?"
)
_CURRENCIES = {
    "€": "EUR", "eur": "EUR", "euro": "EUR", "euros": "EUR",
    "kr": "NOK", "kr.": "NOK", "nok": "NOK", "kroner": "NOK", "krone": "NOK", ",-": "NOK",
    "£": "GBP", "gbp": "GBP", "pound": "GBP", "pounds": "GBP", "quid": "GBP",
    "$": "USD", "usd": "USD", "dollar": "USD", "dollars": "USD",
    "dkk": "DKK", "sek": "SEK", "chf": "CHF",
}  # fmt: skip
_UNIT = "|".join(re.escape(unit) for unit in sorted(_CURRENCIES, key=len, reverse=True))
_AMOUNT = re.compile(
    rf"(?<![\w.,-])(?:(?P<before>{_UNIT})\s?(?P<n1>{_NUMBER})|(?P<n2>{_NUMBER})\s?(?P<after>{_UNIT}))(?![A-Za-zÀ-ÿ0-9])",
    re.IGNORECASE,
)
_BARE_AMOUNT = re.compile(r"(?<![\w.,:/-])[0-9]{1,6}[.,][0-9]{2}(?![\w/]|[.,:-][0-9]| ?%| ?uhr)", re.IGNORECASE)
_ISO_DAY = re.compile(r"(?<![0-9])(20[0-9]{2})-([01][0-9])-([0-3][0-9])(?![0-9])")
_DOTTED_DAY = re.compile(r"(?<![0-9.])([0-3]?[0-9])\. ?([01]?[0-9])\. ?((?:20)?[0-9]{2})(?![0-9])")
_SLASHED_DAY = re.compile(r"(?<![0-9/])([0-3]?[0-9])/([0-3]?[0-9])/((?:20)?[0-9]{2})(?![0-9/])")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "januar january jan", "februar february feb", "märz mars march mär", "april apr", "mai may",
            "juni june jun", "juli july jul", "august aug", "september sep sept", "oktober october okt oct",
            "november nov", "dezember desember december dez des dec",
        ), start=1,
    )
    for name in names.split()
}  # fmt: skip
_NAMED_DAY = re.compile(
    rf"(?<![0-9])(?:([0-3]?[0-9])(?:\.|st|nd|rd|th)? (?:of )?({'|'.join(_MONTHS)})\.?,? (20[0-9]{{2}}))(?![0-9])",
    re.IGNORECASE,
)
_PHONE = re.compile(
    r"(?<![\w+])(?:\+|00)[0-9][0-9 ()/.-]{6,18}[0-9](?![0-9])|(?<![\w.,+-])0[0-9][0-9 /.-]{5,14}[0-9](?![0-9])"
)
_DIGIT = re.compile(r"[0-9]")
_BESIDE_DIGITS = 24
"""Nothing that is looked for by its digits begins or ends further from the nearest of them: "kroner", a country's
letters, and what may not stand behind.
"""
_CHOICE = re.compile(r"^\W*([1-9])\W*$")
_REGIONS = {"de": "DE", "nb": "NO", "en": "GB"}


class Entities:
    """Finds what a text names, by the patterns of a pack."""

    def __init__(self, pack: Pack) -> None:
        # OCR and dictation turn SO-10234 into "SO 10234" or "so10234"; the pack's pattern decides in the normal form.
        self._own = [
            (kind, re.compile(_loose(pattern), re.IGNORECASE), re.compile(pattern))
            for kind, pattern in pack.file.identifiers.items()
        ]
        self._currencies = pack.file.currencies

    def find(self, text: str, language: str) -> tuple[Entity, ...]:
        """Everything found, in the order of the text."""
        taken: list[tuple[int, int]] = []
        found: list[Entity] = []
        for entity in self._candidates(text, language):
            if any(entity.start < end and start < entity.end for start, end in taken):
                continue
            taken.append((entity.start, entity.end))
            found.append(entity)
            if len(found) == MAX_ENTITIES:
                break
        return tuple(sorted(found, key=lambda entity: entity.start))

    def _candidates(self, text: str, language: str) -> Iterator[Entity]:
        for match in _EMAIL.finditer(text) if "@" in text else ():
            yield _entity("email", match.group().casefold(), match)
        for kind, loose, strict in self._own:
            for match in loose.finditer(text):
                prefix = re.match(r"[A-Za-z]+", match.group())
                digits = "".join(c for c in _repaired(match.group()[prefix.end() if prefix else 0 :]) if c.isdigit())
                value = f"{prefix.group().upper() if prefix else ''}-{digits}"
                if strict.fullmatch(value):
                    yield _entity(kind, value, match)
        places = [match.start() for match in _DIGIT.finditer(text)]
        if not places:
            return
        # Patterns are tried where digits are, and not at every letter of a mail that names one number.
        window = max(0, places[0] - _BESIDE_DIGITS), places[-1] + _BESIDE_DIGITS
        for match in _IBAN.finditer(text) if len(places) > 1 else ():
            value = match.group().replace(" ", "")
            yield _entity("iban", value, match, valid=_iban_is_valid(value))
        for match in _CASE.finditer(text, *window) if len(places) >= 14 else ():
            value = "".join(c for c in match.group() if c.isdigit())
            if number_is_valid(value):
                yield _entity("case", value, match)
        yield from _days(text, window)
        yield from self._amounts(text, language, window)
        for match in _PHONE.finditer(text, *window) if "+" in text or "0" in text else ():
            value = _phone(match.group(), language)
            if value:
                yield _entity("phone", value, match)
        for match in _CODE.finditer(text, *window) if len(places) >= 6 else ():
            yield _entity("code", match.group().replace(" ", ""), match)
        match = _CHOICE.match(text)
        if match is not None:
            yield Entity(kind="choice", value=match.group(1), start=match.start(1), end=match.end(1))

    def _amounts(self, text: str, language: str, window: tuple[int, int]) -> Iterator[Entity]:
        for match in _AMOUNT.finditer(text, *window):
            unit = (match["before"] or match["after"]).casefold()
            minor = _minor(match["n1"] or match["n2"], language)
            if minor is not None:
                yield _entity("amount", f"{minor} {_CURRENCIES[unit]}", match)
        currency = self._currencies.get(language)
        if currency is None:
            return
        for match in _BARE_AMOUNT.finditer(text, *window):
            minor = _minor(match.group(), language)
            if minor is not None:
                # Without a currency it is only likely to be money.
                yield _entity("amount", f"{minor} {currency}", match, valid=False)


def _loose(pattern: str) -> str:
    prefix, _, _ = pattern.partition("-")
    if prefix == pattern or not prefix.isalpha():
        return rf"(?<!\w){pattern}(?!\w)"
    return rf"(?<![\w-]){prefix}[ ]?[-–.:]?[ ]?[0-9OolI](?:[ ]?[0-9OolI]){{4}}(?![0-9A-Za-z])"


def _repaired(text: str) -> str:
    return text.replace("O", "0").replace("o", "0").replace("l", "1").replace("I", "1")


def _entity(kind: str, value: str, match: re.Match[str], *, valid: bool = True) -> Entity:
    return Entity(kind=kind, value=value, start=match.start(), end=match.end(), valid=valid)


def _minor(number: str, language: str) -> int | None:
    """Minor units of a written number. German and Norwegian use the comma for decimals, English the point."""
    text = re.sub(r"[ '\u00a0\u202f]", "", number)
    decimal = "." if language == "en" else ","
    other = "," if decimal == "." else "."
    last = max(text.rfind("."), text.rfind(","))
    if last >= 0 and len(text) - last - 1 in (1, 2):
        # Two digits at the end are cents, whatever the sign: people write 24.99 in German mails too.
        whole, part = text[:last], text[last + 1 :].ljust(2, "0")
    else:
        whole, part = text, "00"
    whole = whole.replace(other, "").replace(decimal, "")
    return int(whole) * 100 + int(part) if whole.isdigit() and part.isdigit() else None


def _days(text: str, window: tuple[int, int]) -> Iterator[Entity]:
    for match in _ISO_DAY.finditer(text, *window) if "-" in text else ():
        yield from _day(match, match[1], match[2], match[3])
    for match in _DOTTED_DAY.finditer(text, *window):
        yield from _day(match, match[3], match[2], match[1])
    for match in _SLASHED_DAY.finditer(text, *window) if "/" in text else ():
        first, second = int(match[1]), int(match[2])
        # British order is day first; a second number above 12 can only be American.
        day, month = (second, first) if second > 12 >= first else (first, second)
        yield from _day(match, match[3], str(month), str(day), valid=first > 12 or second > 12 or first == second)
    for match in _NAMED_DAY.finditer(text, *window):
        yield from _day(match, match[3], str(_MONTHS[match[2].casefold()]), match[1])


def _day(match: re.Match[str], year: str, month: str, day: str, *, valid: bool = True) -> Iterator[Entity]:
    full = int(year) if len(year) == 4 else 2000 + int(year)
    try:
        value = date(full, int(month), int(day)).isoformat()
    except ValueError:
        return
    yield _entity("date", value, match, valid=valid)


def _phone(written: str, language: str) -> str:
    text = "+" + written[2:] if written.startswith("00") else written
    try:
        number = phonenumbers.parse(text, _REGIONS.get(language))
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _iban_is_valid(value: str) -> bool:
    turned = value[4:] + value[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1
