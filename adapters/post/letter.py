"""From a reply to the data of a letter. Pure: what is written, where it goes, and what must be true of the result."""

import json
import re
import unicodedata
from datetime import date

import msgspec

from adapters.post.codes import group_number, qr_svg
from adapters.post.config import Company
from adapters.post.letter_words import LETTER_WORDS, LetterWords
from adapters.post.letter_worker import Checks
from adapters.post.words import CLOSING, SALUTATION, long_date
from bus.message import Reply, number_is_valid

__all__ = ["Composed", "Unprintable", "compose", "window_lines"]

_MOST_ADDRESS_LINES = 6
_MOST_PAGES = 20
_WIDE, _SMALL = 40, 54
"""Characters of an address line that fit into the window in the usual and in the small size."""
_LONGEST_WORD = 48
"""Longer words may be broken anywhere: a link of 300 characters must not run off the paper."""
_SMALL_AFTER_COMMA = frozenset((
    "vielen", "danke", "herzlichen", "wir", "ich", "es", "leider", "gern", "gerne", "die", "der", "das", "für", "zu",
    "auf", "am", "in", "mit", "nach", "schön", "gut",
))  # fmt: skip
"""German goes on small after the comma of the salutation; nouns, names and the polite Sie stay as they are."""
_REPLY_PREFIX = re.compile(r"^((re|aw|sv|antw|vs|fwd?)\s*:\s*)+", re.IGNORECASE)
_ITEM = re.compile(r"^\s*[-•*–]\s+")
_UNPRINTED = frozenset(("So", "Sk", "Cs", "Co", "Cn", "Cc", "Cf"))
"""Pictures, private and invisible characters: they carry no word, and most are in no typeface."""
_KEPT = frozenset("°©®™^`´¨\n")


class Unprintable(Exception):
    """No letter can be made of this reply; the text says why, for people."""


class Composed(msgspec.Struct, frozen=True, kw_only=True):
    """Data for the template, and what the finished letter is checked against."""

    letter: str
    checks: Checks


def compose(reply: Reply, company: Company, today: date) -> Composed:
    """The letter that carries a reply. Raises Unprintable."""
    language = reply.language if reply.language in LETTER_WORDS else "en"
    words = LETTER_WORDS[language]
    name = company.name_in(language)
    address = window_lines(reply)
    number = reply.case_number if number_is_valid(reply.case_number) else ""
    layout = "no" if language == "nb" else "din"
    own_address = [_printable(line) for line in company.address]
    return_line = " · ".join([_printable(name), *own_address])
    facts = [[words.case, group_number(number)]] if number else []
    facts.append([words.date, long_date(today, language)])
    if reply.signed_by:
        facts.append([words.person, _printable(reply.signed_by)])
    subject = _REPLY_PREFIX.sub("", _line(reply.subject)).strip() or words.subject
    opening, paragraphs, closing = _body(reply, words, name)
    if opening:
        paragraphs.insert(0, {"list": False, "lines": [opening]})
    data = {
        "language": language,
        "layout": layout,
        "company": _printable(name),
        "company_address": own_address,
        "return_line": return_line,
        "address": address,
        "address_size": 10.5 if max(map(len, address)) <= _WIDE else 8,
        "facts": facts,
        "subject": subject[:200],
        "paragraphs": paragraphs,
        "closing": closing,
        "signed": bool(reply.signed_by),
        "reach_title": words.reach_title,
        "reach": _reach(company, words),
        "return_hint": words.return_hint.format(group_number(number)) if number else words.return_hint_plain,
        "machine_hint": words.machine_hint if reply.automatic else "",
        "page_words": list(words.page),
        "code": qr_svg(number) if number else "",
    }
    return Composed(
        letter=json.dumps(data, ensure_ascii=False),
        checks=Checks(layout=layout, window=(return_line, *address), number=number, most_pages=_MOST_PAGES),
    )


def window_lines(reply: Reply) -> list[str]:
    """The recipient's lines as they stand in the window, name first. Raises Unprintable."""
    lines = [_line(line) for line in reply.to.address.splitlines()]
    lines = [line for line in lines if line]
    if len(lines) < 2:
        raise Unprintable("no postal address is known")
    name = _line(reply.to.name)
    if name and name.casefold() not in (line.casefold() for line in lines):
        lines.insert(0, name)
    if len(lines) > _MOST_ADDRESS_LINES:
        raise Unprintable(f"the address has {len(lines)} lines and the window holds {_MOST_ADDRESS_LINES}")
    if max(map(len, lines)) > _SMALL:
        raise Unprintable("a line of the address is too long for the window")
    return lines


def _body(reply: Reply, words: LetterWords, company: str) -> tuple[str, list[dict[str, object]], list[str]]:
    """Salutation, paragraphs and closing; those that the text brings along are not written twice."""
    text = _printable(reply.text).strip()
    if not text:
        raise Unprintable("the letter has no text")
    blocks = [block for block in re.split(r"\n\s*\n", text) if block.strip()]
    opening = ""
    if not SALUTATION.match(blocks[0]):
        named = words.opening_named.format(_line(reply.to.name))
        opening = named if reply.to.name else words.opening
        first, _, rest = blocks[0].partition(" ")
        if reply.language == "de" and first.lower() in _SMALL_AFTER_COMMA:
            blocks[0] = f"{first.lower()} {rest}"
    brings_closing = any(CLOSING.match(line) for block in blocks[-2:] for line in block.splitlines())
    signature = [_printable(reply.signed_by)] if reply.signed_by else []
    closing = [] if brings_closing else [words.closing, *signature, _printable(company)]
    return opening, [paragraph for block in blocks for paragraph in _paragraphs(block)], closing


def _paragraphs(block: str) -> list[dict[str, object]]:
    """Runs of list items and of ordinary lines."""
    found: list[dict[str, object]] = []
    for line in block.splitlines():
        is_item = bool(_ITEM.match(line))
        text = _breakable(_ITEM.sub("", line).strip())
        if found and found[-1]["list"] == is_item:
            lines = found[-1]["lines"]
            assert isinstance(lines, list)
            lines.append(text)
        else:
            found.append({"list": is_item, "lines": [text]})
    return found


def _reach(company: Company, words: LetterWords) -> list[str]:
    ways = ((company.phone, words.phone), (company.email, words.email), (company.web, words.web))
    return [form.format(_printable(value)) for value, form in ways if value]


def _printable(text: str) -> str:
    """Text without characters that no letter shows."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).replace("\t", " ")
    text = "".join(c for c in text if c in _KEPT or unicodedata.category(c) not in _UNPRINTED)
    return re.sub(r"[ \u00a0]+$", "", text, flags=re.MULTILINE)


def _line(text: str) -> str:
    return " ".join(_printable(text).split())


def _breakable(line: str) -> str:
    pieces = [
        "\u200b".join(word[i : i + _LONGEST_WORD] for i in range(0, len(word), _LONGEST_WORD))
        for word in line.split(" ")
    ]
    return " ".join(pieces)
