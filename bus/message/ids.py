"""Ids are derived, never random: what arrives twice has the same id twice.

An id is a prefix and 20 characters of Crockford base 32 (100 bits of BLAKE2b): short enough to read aloud,
long enough that two contacts of one tenant never share one.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

__all__ = ["derive_id", "derive_number", "number_is_valid"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 20
_PAIRS = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
"""Two characters at a time: ids are derived many times per contact."""
_REMEMBERED = 4_096
"""Ids kept, some hundred bytes each: a contact's are derived when its batch is prepared, and when it is handled."""
_SHIFTS = tuple(range(5 * (_LENGTH - 2), -1, -10))


def _digest(parts: Iterable[str]) -> int:
    pieces: list[bytes] = []
    for part in parts:
        data = part.encode("utf-8", "surrogatepass")
        # The length before the data keeps ("a", "bc") and ("ab", "c") apart.
        pieces += (len(data).to_bytes(8, "big"), data)
    return int.from_bytes(hashlib.blake2b(b"".join(pieces), digest_size=16).digest(), "big")


@lru_cache(maxsize=_REMEMBERED)
def derive_id(prefix: str, *parts: str) -> str:
    """`<prefix>-<20 characters>` from the parts, the same for the same parts.

    Prefixes in use: c contact, r reply, k case, p person, t timer, e event.
    """
    number = _digest(parts) >> (128 - 5 * _LENGTH)
    return f"{prefix}-{''.join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])}"


@lru_cache(maxsize=_REMEMBERED)
def derive_number(*parts: str) -> str:
    """A case number: 12 digits and 2 check digits (ISO 7064 mod 97-10), the form that OCR and keypads read best."""
    body = f"{_digest(parts) % 10**12:012d}"
    check = 98 - int(body + "00") % 97
    return f"{body}{check:02d}"


def number_is_valid(number: str) -> bool:
    """Whether 14 digits carry the right check digits."""
    return len(number) == 14 and number.isascii() and number.isdigit() and int(number) % 97 == 1
