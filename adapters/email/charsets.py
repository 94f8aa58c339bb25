"""Bytes to text when the label may be wrong, unknown or missing."""

import codecs
import re
from functools import lru_cache

__all__ = ["decode_bytes"]

# After the WHATWG encoding standard: what mail programs call X is in truth its larger relative.
_ALIASES = {
    "ansix341968": "cp1252",
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euckr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso88591": "cp1252",
    "iso885911": "cp874",
    "iso885918i": "iso8859_8",
    "iso88598i": "iso8859_8",
    "iso88599": "cp1254",
    "ksc56011987": "cp949",
    "ksc5601": "cp949",
    "l1": "cp1252",
    "latin1": "cp1252",
    "macintosh": "mac_roman",
    "shiftjis": "cp932",
    "sjis": "cp932",
    "tis620": "cp874",
    "unicode11utf7": "utf-7",
    "unicode11utf8": "utf-8",
    "usascii": "cp1252",
    "utf8mb4": "utf-8",
    "xgbk": "gb18030",
    "xmacroman": "mac_roman",
    "xsjis": "cp932",
}
_NOT_CHARSETS = {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
"""Codecs of Python that turn text into text tricks, not bytes into text."""

_LABEL_NOISE = re.compile(r"[^a-z0-9]")


@lru_cache(maxsize=256)
def _codec(label: str) -> str:
    """The Python codec that a charset label means, or empty."""
    squeezed = _LABEL_NOISE.sub("", label.lower())
    alias = _ALIASES.get(squeezed)
    if alias is not None:
        return alias
    for candidate in (label.strip(" \"'\t"), squeezed):
        try:
            found = codecs.lookup(candidate)
        except (LookupError, ValueError):
            continue
        # `_is_text_encoding` is what bytes.decode itself asks before it refuses hex, zlib and the like.
        if getattr(found, "_is_text_encoding", False) and found.name.replace("-", "_") not in _NOT_CHARSETS:
            return found.name
    return ""


def decode_bytes(data: bytes, label: str) -> tuple[str, bool]:
    """Text of `data`, and whether it could be read without a guess that loses something.

    Order: for Western labels and none UTF-8 first when the bytes are valid UTF-8 (programs that label UTF-8 as ASCII or
    Latin-1 are common, Latin-1 text that happens to be valid UTF-8 is not); then the label; then UTF-8; then
    Windows-1252 with replacement.
    """
    if data.isascii() and b"\x1b" not in data and b"+" not in data and b"~" not in data and b"\x00" not in data:
        return data.decode("ascii"), True
    codec = _codec(label[:64]) if label else "cp1252"
    if codec in ("cp1252", "utf-8", ""):
        try:
            return data.decode("utf-8"), True
        except UnicodeDecodeError:
            pass
    else:
        try:
            return data.decode(codec), True
        except (UnicodeError, ValueError, OverflowError):
            pass
        try:
            return data.decode("utf-8"), True
        except UnicodeDecodeError:
            # Wrong in a few places is better than wrong everywhere, when the label is a known one.
            if data.count(b"\x00") * 4 < len(data) or codec.startswith("utf_16"):
                text = data.decode(codec, "replace")
                if text.count("\ufffd") * 20 <= len(text):
                    return text, False
    text = data.decode("cp1252", "replace")
    return text, codec == "cp1252" and "\ufffd" not in text
