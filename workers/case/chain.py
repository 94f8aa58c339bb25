"""The record of a case as a chain: each entry carries the digest of itself and of the one before.

Whoever changes, removes or slips in an entry afterwards breaks the chain from there on, and `broken_at` says where. The
snapshot carries the digest of the last entry, so that an entry cut off at the end is missed too.
"""

import hashlib
from collections.abc import Iterable

__all__ = ["broken_at", "link"]

_BYTES = 16
"""128 bits: nobody finds another entry with the same digest, and a row stays short."""


def link(before: str, data: str) -> str:
    """The digest of an entry (`data`, its JSON as stored) that follows the entry with the digest `before`."""
    return hashlib.blake2b(data.encode(), key=before.encode(), digest_size=_BYTES).hexdigest()


def broken_at(entries: Iterable[tuple[int, str, str]], last: str) -> int | None:
    """The number of the first entry at which the chain does not hold; None for an unbroken one.

    `entries` are (seq, data, chain) in order, from the first; `last` is the digest that the snapshot knows. An entry
    missing at the end breaks the chain at the number after the last that is there.
    """
    before, expected = "", 1
    for seq, data, chain in entries:
        if seq != expected or chain != link(before, data):
            return expected
        before, expected = chain, expected + 1
    return None if before == last else expected
