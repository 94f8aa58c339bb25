"""Header fields: unfolding, encoded words (RFC 2047), parameters (RFC 2231), addresses (RFC 5322), dates.

Own code, because the standard library's structured header parser takes seconds for a hostile 30 kB line and raises on
real mail. Everything here is linear, never raises, and takes what mail programs really send.
"""

import base64
import binascii
import re
from datetime import UTC, datetime
from email.utils import parsedate_tz
from urllib.parse import unquote_to_bytes

import msgspec

from adapters.email.charsets import decode_bytes
from bus.message import clean_text

__all__ = [
    "Address",
    "decode_words",
    "message_ids",
    "parse_addresses",
    "parse_date",
    "parse_parameters",
    "unfold",
]

MAX_FIELD = 16_384
"""Characters of one field that are looked at; RFC 5322 asks for 998 a line, real ones stay below 2,000."""

MAX_ADDRESSES = 500
MAX_PARAMETERS = 100

_FOLD = re.compile(r"[\r\n]+[ \t]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def unfold(value: str) -> str:
    """One line, with raw 8-bit bytes (surrogates from the parser) read as UTF-8, else Windows-1252."""
    value = value[:MAX_FIELD]
    if "\n" in value or "\r" in value:
        value = _FOLD.sub(" ", value)
    if not value.isascii():
        data = value.encode("utf-8", "surrogateescape")
        value = decode_bytes(data, "")[0]
    return value.strip()


def decode_words(value: str) -> str:
    """Text of an unfolded field with its encoded words decoded.

    Neighbouring words of one charset are joined as bytes first: many programs cut a UTF-8 character in two.
    """
    if "=?" not in value:
        return _tidy(value)
    out: list[str] = []
    pending: list[bytes] = []
    pending_charset = ""
    position = 0

    def flush() -> None:
        if pending:
            out.append(decode_bytes(b"".join(pending), pending_charset)[0])
            pending.clear()

    while True:
        start = value.find("=?", position)
        word = _word_at(value, start) if start >= 0 else None
        while start >= 0 and word is None:
            if value.find("?=", start + 2) < 0:
                start = -1
                break
            start = value.find("=?", start + 2)
            word = _word_at(value, start) if start >= 0 else None
        if start < 0 or word is None:
            break
        charset, data, end = word
        between = value[position:start]
        if pending and not between.strip() and charset == pending_charset:
            pending.append(data)
        else:
            had_word = bool(pending)
            flush()
            # Blank between two words is no text (RFC 2047 6.2).
            if between.strip() or not had_word:
                out.append(between)
            pending_charset = charset
            pending.append(data)
        position = end
    flush()
    out.append(value[position:])
    return _tidy("".join(out))


def _word_at(value: str, start: int) -> tuple[str, bytes, int] | None:
    """(charset, bytes, end) of the encoded word that begins at `start`."""
    first = value.find("?", start + 2, start + 2 + 80)
    if first < 0 or first + 2 >= len(value) or value[first + 2] != "?" or first == start + 2:
        return None
    end = value.find("?=", first + 3)
    if end < 0:
        return None
    charset = value[start + 2 : first].partition("*")[0].lower()
    body = value[first + 3 : end].encode("utf-8", "surrogateescape")
    encoding = value[first + 1].upper()
    if encoding == "B":
        data = decode_base64(body)
    elif encoding == "Q":
        data = binascii.a2b_qp(body, header=True)
    else:
        return None
    return charset, data, end + 2


_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


def decode_base64(data: bytes) -> bytes:
    """Bytes of base64 text, whatever else stands in it; a broken tail loses only itself."""
    try:
        return base64.b64decode(data, validate=False)
    except (binascii.Error, ValueError):
        clean = _NOT_BASE64.sub(b"", data)
        # 4n+1 characters cannot be: the last one is noise.
        clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
        return base64.b64decode(clean + b"=" * (-len(clean) % 4))


def _tidy(value: str) -> str:
    value = clean_text(value)
    return _CONTROL.sub("", value.replace("\n", " ").replace("\t", " ")).strip()


class Address(msgspec.Struct, frozen=True):
    """One mailbox of a header: display name and address, either may be empty, never both."""

    name: str
    address: str


# One alternative per kind of token; each consumes what it looks at, so that the scan is linear.
_ADDRESS_TOKEN = re.compile(
    r'"(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?$)'
    r"|=\?[^?\s]{1,80}\?[BbQq]\?[^?]*\?="
    r"|<(?P<angle>[^<>]*)(?:>|$)"
    r"|(?P<special>[,;:()])"
    r'|[^",;:<>()=]+|=|>',
    re.DOTALL,
)


def parse_addresses(value: str) -> tuple[list[Address], int]:
    """Addresses of an unfolded list field, at most 500, and how many there were.

    Tokens are found before encoded words are decoded: a comma inside a word is part of a name.
    """
    found: list[Address] = []
    words: list[str] = []
    comment: list[str] = []
    angle = ""
    depth = count = 0

    def finish() -> None:
        nonlocal angle, count
        text = "".join(words).strip()
        address = _clean_address(angle or text) if angle or "@" in text else ""
        name = decode_words(text) if angle or not address else decode_words("".join(comment))
        if not address and "@" in name:
            # Encoded as a whole, against the standard, as many scripts do: =?utf-8?q?J=C3=B6rg_=3Ca=40b=3E?=
            head, _, tail = name[:1000].rpartition("<")
            address = _clean_address(tail.rstrip("> "))
            name = head.strip(' "') if address else name
        if address or name:
            count += 1
            if len(found) < MAX_ADDRESSES:
                found.append(Address(name=name[:200].strip(" '"), address=address))
        words.clear()
        comment.clear()
        angle = ""

    for match in _ADDRESS_TOKEN.finditer(value):
        special = match["special"]
        if special == "(":
            depth += 1
        elif special == ")":
            depth = max(0, depth - 1)
        elif depth:
            comment.append(match[0])
        elif special in (",", ";"):
            finish()
        elif special == ":":
            # The name of a group: what follows are its members.
            if "@" not in "".join(words[-3:]):
                words.clear()
        elif match["angle"] is not None:
            # A second pair of brackets wins only when the first held no address.
            angle = match["angle"] if "@" in match["angle"] or not angle else angle
        elif match["quoted"] is not None:
            words.append(match["quoted"].replace("\\\\", "\x00").replace("\\", "").replace("\x00", "\\"))
        else:
            words.append(match[0])
    finish()
    return found, count


_NOT_IN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f<>\"(),:;\[\]\\]")


def _clean_address(text: str) -> str:
    """`local@domain` with the domain in lower case, or empty when it is none."""
    text = clean_text(text).strip().strip("'\"")
    if text.lower().startswith("mailto:"):
        text = text[7:]
    local, at, domain = text.rpartition("@")
    local, domain = local.strip().strip('"'), domain.strip().rstrip(".").lower()
    if not (at and local and domain) or len(text) > 320 or _NOT_IN_ADDRESS.search(domain):
        return ""
    if _CONTROL.search(local) or any(character in local for character in "<>,\n\t"):
        return ""
    if not domain.isascii():
        try:
            domain = domain.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return f"{local}@{domain}"


_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")


def message_ids(value: str, limit: int = 100) -> list[str]:
    """Message-IDs with their brackets, each once, in order; a field without brackets is taken by its words."""
    ids = _MESSAGE_ID.findall(value)
    if not ids:
        ids = [f"<{word}>" for word in re.findall(r"[^\s<>,;\"]{3,900}", value) if "@" in word]
    return [clean_text(one) for one in dict.fromkeys(ids)][:limit]


_EARLIEST, _LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def parse_date(value: str) -> datetime | None:
    """The aware UTC moment of a Date field, or None when it is none or cannot be true."""
    try:
        parts = parsedate_tz(value[:200])
        if parts is None:
            return None
        year, month, day, hour, minute, second = parts[:6]
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp() - (parts[9] or 0)
        found = datetime.fromtimestamp(moment, UTC)
    except (ValueError, OverflowError, TypeError, IndexError, OSError):
        return None
    return found if _EARLIEST < found < _LATEST else None


_PARAMETER = re.compile(
    r';\s*(?P<name>[^\s=;"]{1,200})\s*=\s*(?:"(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?$)|(?P<plain>[^;]*))',
    re.DOTALL,
)
_SECTION = re.compile(r"^(?P<name>[^*]+)(?:\*(?P<number>\d{1,3}))?(?P<encoded>\*)?$")


def parse_parameters(value: str) -> tuple[str, dict[str, str]]:
    """(value in lower case, parameters) of Content-Type or Content-Disposition.

    Takes RFC 2231 (language, charset, sections), RFC 2047 words inside quotes (against the standard, and common), and
    plain 8-bit names.
    """
    head, semicolon, _ = value.partition(";")
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    if not semicolon:
        return head.strip().lower(), plain
    for index, match in enumerate(_PARAMETER.finditer(value, len(head))):
        if index >= MAX_PARAMETERS:
            break
        section = _SECTION.match(match["name"])
        if section is None:
            continue
        text = match["quoted"].replace('\\"', '"') if match["quoted"] is not None else match["plain"].strip()
        name = section["name"].lower()
        if section["number"] is None and not section["encoded"]:
            plain.setdefault(name, text)
        else:
            number = int(section["number"] or 0)
            sections.setdefault(name, {}).setdefault(number, (bool(section["encoded"]), text))
    decoded = {name: decode_words(text) for name, text in plain.items()}
    decoded.update({name: _join_sections(parts) for name, parts in sections.items()})
    return head.strip().lower(), decoded


def _join_sections(parts: dict[int, tuple[bool, str]]) -> str:
    charset = ""
    data = bytearray()
    for number in sorted(parts):
        encoded, text = parts[number]
        if encoded:
            if number == 0 and text.count("'") >= 2:
                charset, _, text = text.split("'", 2)
            data += unquote_to_bytes(text)
        else:
            data += text.encode("utf-8", "replace")
    return _tidy(decode_bytes(bytes(data), charset or "utf-8")[0])
