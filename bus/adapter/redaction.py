"""Takes card numbers, their check codes and national identity numbers out of a text before anything is stored.

A Luhn digit alone proves nothing: one number in ten passes it, and a Norwegian KID always does. So a card number is
what has the range and the length of a card brand, passes Luhn (ISO/IEC 7812-1), is written as cards are written, and
is not called something else (IBAN, order, KID, phone number). Hidden digits become `•`, one for one, so that the
ranges of the text stay valid; the last four of a card stay, for people to match (PCI DSS 3.4.1).
"""

import re
from collections.abc import Iterator, Sequence

from stdnum import iban
from stdnum.exceptions import ValidationError
from stdnum.no import fodselsnummer

from bus.message.ids import number_is_valid

__all__ = ["HIDDEN", "redact"]

HIDDEN = "•"

_DIGIT_WORDS = {
    "null": "0", "zero": "0", "oh": "0",
    "eins": "1", "ein": "1", "en": "1", "ett": "1", "one": "1",
    "zwei": "2", "zwo": "2", "to": "2", "two": "2",
    "drei": "3", "tre": "3", "three": "3",
    "vier": "4", "fire": "4", "four": "4",
    "fünf": "5", "fuenf": "5", "fem": "5", "five": "5",
    "sechs": "6", "seks": "6", "six": "6",
    "sieben": "7", "sju": "7", "syv": "7", "seven": "7",
    "acht": "8", "åtte": "8", "eight": "8",
    "neun": "9", "ni": "9", "nine": "9",
}  # fmt: skip
_WORDS = "|".join(sorted(_DIGIT_WORDS, key=len, reverse=True))
_TOKEN = rf"(?:[0-9]+|\b(?:{_WORDS})\b)"
# Tokens and separators share no character, so the search is linear.
_RUN = re.compile(rf"{_TOKEN}(?:[ \u00a0\u202f.,-]{{1,2}}{_TOKEN})*", re.IGNORECASE)
_PIECE = re.compile(_TOKEN, re.IGNORECASE)

# O for 0, l for 1 and their like, as scanners misread; only in the layout that cards have.
_SCANNED = re.compile(r"(?<![A-Za-z0-9])[0-9OolISB]{4}(?:[ -][0-9OolISB]{4}){3}(?![A-Za-z0-9])")
_MISREAD = str.maketrans("OolISB", "001158")
_LEAST_TRUE_DIGITS = 12

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ ]?[A-Z0-9]{4}){2,7}(?:[ ]?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_IBAN_LENGTHS = {"DE": 22, "NO": 15, "GB": 22, "AT": 20, "CH": 21, "DK": 18, "SE": 24}

_CARD_WORD = re.compile(
    r"visa|master ?card|maestro|amex|american express|diners|discover|kort|karte|\bcard|\bpan\b", re.IGNORECASE
)
_ACCOUNT_WORD = re.compile(r"\bkid\b|iban|kontonummer|account number", re.IGNORECASE)
_OTHER_WORD = re.compile(
    r"\bkid\b|iban|bestell|auftrag|\bord(?:re|er)|bestilling|rechnung|faktura|invoice|sendung|tracking|sporing"
    r"|paket|parcel|pakke|kunden|kunde|customer|vorgang|saks?nummer|saks?nr|case|referen|telefon|mobil|phone"
    r"|konto|account|\bean\b|artikel|varenummer|serien|serial",
    re.IGNORECASE,
)
_CONTEXT = 32
"""Characters before a number in which the word that names it is looked for."""

_CHECK_CODE = re.compile(
    r"\b(?:cvv2?|cvc2?|cid|kartenprüf(?:nummer|ziffer)|card verification)\b[^0-9\n]{0,24}([0-9]{3,4})(?![0-9])",
    re.IGNORECASE,
)
_CHECK_CODE_BESIDE_CARD = re.compile(
    r"(?:prüf(?:nummer|ziffer|code)|sicherheits(?:code|nummer)|sikkerhetskoden?|kontrollkoden?|security (?:code|number)"
    r"|(?<![0-9])[01][0-9] ?/ ?(?:20)?[0-9]{2})[^0-9\n]{1,24}([0-9]{3,4})(?![0-9])",
    re.IGNORECASE,
)
_NATIONAL_ID = re.compile(r"(?:fødsels|person)(?:nummer|nr)[^0-9\n]{0,16}([0-9]{6} ?[0-9]{5})(?![0-9])", re.IGNORECASE)

_LAYOUTS = {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 4, 4, 2), (4, 4, 4, 1)}
_SHORTEST, _LONGEST = 13, 19


def redact(text: str) -> tuple[str, tuple[str, ...]]:
    """The text with secrets hidden, of the same length, and the kinds found (card, cvv, national-id), sorted.

    Pure; time grows linearly with the text.
    """
    hide: set[int] = set()
    kinds: set[str] = set()
    protected = [match.span() for match in _IBAN.finditer(text) if _is_iban(match.group())]
    for positions in _cards(text, protected):
        hide.update(positions[:-4])
        kinds.add("card")
    codes = list(_CHECK_CODE.finditer(text))
    if "card" in kinds:
        codes += _CHECK_CODE_BESIDE_CARD.finditer(text)
    for match in codes:
        hide.update(range(*match.span(1)))
        kinds.add("cvv")
    for match in _NATIONAL_ID.finditer(text):
        if fodselsnummer.is_valid(match.group(1).replace(" ", "")):
            hide.update(i for i in range(*match.span(1)) if text[i] != " ")
            kinds.add("national-id")
    if not hide:
        return text, ()
    characters = list(text)
    for position in hide:
        characters[position] = HIDDEN
    return "".join(characters), tuple(sorted(kinds))


def _cards(text: str, protected: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """The positions of the digits (or letters of digit words) of each card number.

    Positions come as one list per number whose last four entries are the last four digits.
    """
    for run in _RUN.finditer(text):
        start, end = run.span()
        if end - start < _SHORTEST:
            continue
        pieces = [match for match in _PIECE.finditer(text, start, end) if not _inside(match.span(), protected)]
        yield from _cards_in_run(text, pieces)
    for match in _SCANNED.finditer(text):
        written = match.group().replace(" ", "").replace("-", "")
        true_digits = sum(character.isdigit() for character in written)
        if (
            _LEAST_TRUE_DIGITS <= true_digits < len(written)
            and not _inside(match.span(), protected)
            and _is_card(written.translate(_MISREAD))
        ):
            yield [i for i in range(*match.span()) if text[i] not in " -"]


def _cards_in_run(text: str, pieces: Sequence[re.Match[str]]) -> Iterator[list[int]]:
    first = 0
    while first < len(pieces):
        found = _card_from(text, pieces, first)
        if found == 0:
            first += 1
            continue
        members = pieces[first : first + found]
        first += found
        positions: list[int] = []
        for piece in members[:-1]:
            positions += range(*piece.span())
        last = members[-1]
        if last.group().isdigit():
            positions += range(*last.span())
            yield positions
        else:
            # Spoken digits: the last four words stay readable, as the last four digits do.
            positions = [i for piece in members[:-4] for i in range(*piece.span())]
            yield [*positions, -1, -1, -1, -1]


def _card_from(text: str, pieces: Sequence[re.Match[str]], first: int) -> int:
    """How many pieces from `first` on make a card number; 0 if none do. The longest reading wins."""
    digits, best = "", 0
    layout: list[int] = []
    for count, piece in enumerate(pieces[first : first + _LONGEST], start=1):
        word = piece.group()
        part = word if word.isdigit() else _DIGIT_WORDS[word.lower()]
        digits += part
        layout.append(len(part))
        if len(digits) > _LONGEST:
            break
        if len(digits) >= _SHORTEST and _is_card(digits) and _written_like_a_card(text, pieces[first], digits, layout):
            best = count
    return best


def _written_like_a_card(text: str, first: re.Match[str], digits: str, layout: Sequence[int]) -> bool:
    start = first.start()
    if start and (text[start - 1] == "+" or text[start - 1].isalpha()):
        return False
    if start > 1 and text[start - 1] == "-" and text[start - 2].isalnum():
        # An identifier with a prefix, such as SO-10234.
        return False
    before = text[max(0, start - _CONTEXT) : start]
    said_card = _last(_CARD_WORD, before)
    said_other = _last(_OTHER_WORD, before)
    like_card = tuple(layout) in _LAYOUTS
    if said_other > said_card and (not like_card or _last(_ACCOUNT_WORD, before) > said_card):
        # "Order 4539578763621486": what is called something else is that, unless it is grouped as only cards are.
        return False
    if said_card >= 0:
        return True
    if len(digits) in (13, 14):
        # Lengths of retired cards, and of phone and case numbers: only in a card's own layout.
        return like_card and not number_is_valid(digits)
    return len(layout) == 1 or like_card or max(layout) <= 2


def _last(pattern: re.Pattern[str], text: str) -> int:
    return max((match.start() for match in pattern.finditer(text)), default=-1)


def _is_card(digits: str) -> bool:
    return _brand(digits) and _luhn(digits)


def _brand(digits: str) -> bool:
    """Whether range and length are those of a card brand (ranges as published by the schemes)."""
    length, two, three, four = len(digits), int(digits[:2]), int(digits[:3]), int(digits[:4])
    if digits[0] == "4":
        return length in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return length == 16
    if two in (34, 37):
        return length == 15
    if 300 <= three <= 305 or four == 3095 or two in (36, 38, 39):
        return length == 14
    if four == 6011 or two in (62, 65) or 644 <= three <= 649 or 3528 <= four <= 3589:
        return 16 <= length <= 19
    return four in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763) and length >= 16


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_iban(written: str) -> bool:
    compact = written.replace(" ", "")
    if _IBAN_LENGTHS.get(compact[:2]) == len(compact):
        # A mistyped account number is still an account number.
        return True
    try:
        iban.validate(compact)
    except ValidationError:
        return False
    return True


def _inside(span: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in spans)
