"""What a letter says about itself: sender, date, subject, reach. Pure functions of the lines that were read.

Zones in millimetres of an A4 page follow DIN 5008 and the Norwegian window positions: our own address lies in the
window, the sender above it, in the small line at its top, or at the right. Nothing found here proves anything.
"""

import re
import unicodedata
from datetime import date, timedelta

import msgspec

from adapters.post.config import Company
from adapters.post.recognise import Line
from adapters.post.words import CLOSING, SALUTATION, find_dates

__all__ = [
    "Found",
    "Sender",
    "closing_index",
    "find_sender",
    "letter_date",
    "own_lines",
    "salutation_index",
    "subject_index",
]

_POSTCODE_LINE = re.compile(
    r"(?:^|[\s,])(?:(?:D|DE|N|NO|A|AT|CH)[- ]?)?(\d{4,5}) +([A-ZÄÖÜÆØÅ][\w.ÄÖÜÆØÅäöüæøåß-]+(?: [\w.()/-]+){0,3})\s*$"
)
_UK_POSTCODE = re.compile(r"\b([A-Z]{1,2}[0-9][0-9A-Z]? ?[0-9][A-Z]{2})\s*$")
_SEPARATORS = re.compile(r"\s*(?:[·•|;*]|,| - | – | \. )\s*")
_LABEL = re.compile(r"^(absender|abs\.?|avsender|avs\.?|fra|from|sender|von)\s*[:.]\s*", re.IGNORECASE)
_TITLE = re.compile(r"^(herrn?|frau|familie|mr|mrs|ms|miss|dr|prof)\.?\s+", re.IGNORECASE)
_NAME = re.compile(r"^[^\W\d_][\w.'’-]*(?: [^\W\d_][\w.'’-]*){1,4}$")
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w/.-])(?:\+|00)?\d[\d ()/-]{6,18}\d(?![\w-])")
_REPLY_LABEL = re.compile(
    r"^(betreff|betr\.?|emne|vedr\.?|vedrørende|ang\.?|angående|subject|re|ref)\s*[:.]\s*", re.IGNORECASE
)
_PHONE_LABEL = re.compile(r"(tel|tlf|telefon|phone|mobil|handy|mobile)\W*$", re.IGNORECASE)
_LABEL_CHARACTERS = 20
_TOP_PART_MM = 140.0
_WINDOW_MM = (40.0, 95.0)
"""Top and bottom of the zone in which windows lie, all layouts taken together."""
_WINDOW_RIGHT_MM = 90.0
_MOST_BLOCK_LINES = 6
_OLDEST = timedelta(days=365)
_NEWEST = timedelta(days=1)
"""A letter written "tomorrow" is a scanner's clock or a careful writer."""


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote it, as it stands on the paper. `how`: block, return line, closing; `lines` are indexes of its lines."""

    name: str = ""
    address: tuple[str, ...] = ()
    how: str = ""
    page: int = 0
    box_mm: tuple[int, int, int, int] = (0, 0, 0, 0)
    lines: tuple[int, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A value and where on the paper it stands."""

    value: str
    page: int
    box_mm: tuple[int, int, int, int]


def box_of(lines: list[Line]) -> tuple[int, int, int, int]:
    """The box around lines, in whole millimetres."""
    return (
        round(min(line.left for line in lines)),
        round(min(line.top for line in lines)),
        round(max(line.right for line in lines)),
        round(max(line.bottom for line in lines)),
    )


def salutation_index(lines: list[Line]) -> int | None:
    """The line that opens the letter."""
    return next((index for index, line in enumerate(lines) if SALUTATION.match(line.text)), None)


def closing_index(lines: list[Line]) -> int | None:
    """The last line that closes the letter."""
    return next((index for index in range(len(lines) - 1, -1, -1) if CLOSING.match(lines[index].text)), None)


def subject_index(lines: list[Line], left_out: frozenset[int], day: Found | None) -> int | None:
    """The line that says what it is about: labelled, or the last one between the addresses and the salutation."""
    opening = salutation_index(lines)
    head = lines[: opening if opening is not None else min(len(lines), 15)]
    for index, line in enumerate(head):
        if index not in left_out and _REPLY_LABEL.match(line.text) and len(line.text) > len("Betreff: "):
            return index
    if opening is None or not opening:
        return None
    for index in range(opening - 1, -1, -1):
        line = lines[index]
        is_date = day is not None and line.page == day.page and day.value in line.text
        if index in left_out or is_date or line.page != lines[opening].page:
            continue
        if _place(line.text):
            # The end of an address: there is no subject between it and the salutation.
            return None
        close = lines[opening].top - line.bottom < 40
        return index if close and len(line.text) >= 5 and line.top > _WINDOW_MM[0] else None
    return None


def subject_text(line: str) -> str:
    """A subject line without its label."""
    return _REPLY_LABEL.sub("", line).strip()


def own_lines(lines: list[Line], company: Company) -> frozenset[int]:
    """Indexes of the lines of our own address on the first page."""
    names = {_folded(name) for name in company.all_names()}
    address = {_folded(line) for line in company.address}
    found: set[int] = set()
    for index, line in enumerate(lines):
        if line.page or line.top > _TOP_PART_MM:
            continue
        text = _folded(line.text)
        if any(_alike(text, own) for own in names | address):
            found.add(index)
    return frozenset(found) if len(found) >= min(2, len(address) + 1) else frozenset()


def find_sender(lines: list[Line], company: Company) -> Sender:
    """The sender's name and postal address: a block or line with a postcode in the upper part that is not our own."""
    own = own_lines(lines, company)
    candidates: list[tuple[float, Sender]] = []
    opening = salutation_index(lines)
    for index, line in enumerate(lines):
        if line.page or line.top > _TOP_PART_MM or index in own or (opening is not None and index >= opening):
            continue
        text = _LABEL.sub("", line.text)
        parts = [part for part in _SEPARATORS.split(text) if part]
        if len(parts) >= 3 and (place := _place(", ".join(parts))):
            address = tuple(parts)
            candidates.append((_likely(line) + 0.5, _sender(address, "return line", [line], (index,), place)))
        elif place := _place(text):
            if line.left < _WINDOW_RIGHT_MM and line.bottom > _WINDOW_MM[0] + 12:
                # An address in the window is the recipient's: no sender is better than a wrong one.
                continue
            block = _block_above(lines, index, own)
            address = tuple(_LABEL.sub("", lines[member].text).strip(" -.,·•©|") for member in block)
            members = [lines[member] for member in block]
            if len(block) >= 2:
                candidates.append((_likely(line), _sender(address, "block", members, tuple(block), place)))
    if not candidates:
        return Sender(name=_name_after_closing(lines), how="closing") if _name_after_closing(lines) else Sender()
    best = max(candidates, key=lambda item: item[0])[1]
    if best.name:
        return best
    name = _name_after_closing(lines)
    return msgspec.structs.replace(best, name=name, address=(name, *best.address)) if name else best


def _sender(address: tuple[str, ...], how: str, members: list[Line], indexes: tuple[int, ...], place: str) -> Sender:
    address = tuple(part for part in address if part)[:_MOST_BLOCK_LINES]
    first = _TITLE.sub("", address[0]) if address else ""
    name = first if _NAME.match(first) and first != place else ""
    return Sender(name=name, address=address, how=how, page=0, box_mm=box_of(members), lines=indexes)


def _place(text: str) -> str:
    """The postcode line of an address, if this line ends with one."""
    text = text.strip()
    if _UK_POSTCODE.search(text) or _POSTCODE_LINE.search(text):
        return text
    return ""


def _likely(line: Line) -> float:
    """How likely an address at this place is the sender's: above the window or at the right rather than in it."""
    score = 1.0
    if line.bottom < _WINDOW_MM[0] + 12:
        score += 2
    if line.left > 105:
        score += 1.5
    return score - line.top / 1000


def _block_above(lines: list[Line], last: int, own: frozenset[int]) -> list[int]:
    """The lines of the address that ends with `last`: close above one another and starting or ending together."""
    block = [last]
    while len(block) < _MOST_BLOCK_LINES:
        lowest = lines[block[0]]
        height = max(lowest.bottom - lowest.top, 2.5)
        above = [
            index
            for index, line in enumerate(lines)
            if line.page == lowest.page
            and index not in own
            and 0 < lowest.top - line.top < 2.6 * height
            and (abs(line.left - lowest.left) < 6 or abs(line.right - lowest.right) < 4)
        ]
        if not above:
            return block
        block.insert(0, max(above, key=lambda index: lines[index].top))
    return block


def _name_after_closing(lines: list[Line]) -> str:
    closing = closing_index(lines)
    if closing is None:
        return ""
    rest = CLOSING.sub("", lines[closing].text, count=1).strip(" ,.")
    for text in (rest, *(line.text for line in lines[closing + 1 : closing + 5])):
        text = _TITLE.sub("", text.strip(" ,.()"))
        if _NAME.match(text) and not find_dates(text):
            return text
    return ""


def letter_date(lines: list[Line], scanned: date | None) -> Found | None:
    """The day the letter was written: the date nearest to the top right, never after the scan (where that is known)."""
    opening = salutation_index(lines)
    best: tuple[float, Found] | None = None
    for index, line in enumerate(lines):
        if line.page or line.top > _TOP_PART_MM or (opening is not None and index >= opening):
            continue
        for day in find_dates(line.text):
            if scanned is not None and not scanned - _OLDEST <= day <= scanned + _NEWEST:
                continue
            score = line.right - line.top / 2
            if best is None or score > best[0]:
                best = (score, Found(value=day.isoformat(), page=line.page, box_mm=box_of([line])))
    return best[1] if best else None


def first_email(text: str) -> str:
    """The first e-mail address in a text."""
    match = _EMAIL.search(text)
    return match.group().lower() if match else ""


def first_phone(text: str) -> str:
    """The first telephone number that is labelled as one or starts with a country code; digits and + only."""
    for line in text.splitlines():
        for match in _PHONE.finditer(line):
            number = match.group()
            before = line[max(0, match.start() - _LABEL_CHARACTERS) : match.start()]
            digits = re.sub(r"\D", "", number)
            if (_PHONE_LABEL.search(before) or number.startswith(("+", "00"))) and 7 <= len(digits) <= 15:
                return "+" + digits if number.startswith("+") else digits
    return ""


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("ø", "o").replace("æ", "ae")).lower()
    return re.sub(r"[^a-z0-9]", "", text)


def _alike(text: str, own: str) -> bool:
    """Whether a line is one of ours, give or take what recognition gets wrong."""
    if not own or abs(len(text) - len(own)) > 3:
        return False
    from difflib import SequenceMatcher

    return SequenceMatcher(None, text, own, autojunk=False).ratio() >= 0.85
