"""Attachments taken out of a mail before a tree is built, because the parser reads line by line.

A photo of 5 MB has 70,000 lines of base 64 that say nothing about the structure of the mail. They are replaced by one
line each and put back when the part is read: such a mail is read many times faster.
"""

import hashlib
import re

__all__ = ["Bulk"]

_SHORTEST = 8_192
"""Bytes of a run that is worth taking out."""

# Possessive: a run is consumed once and never tried again, whatever follows it.
_RUN = re.compile(rb"(?<=\n)(?:[A-Za-z0-9+/]{60,76}+\r?\n)++")


class Bulk:
    """`thin` is the mail without long runs of base 64; `restore` puts them back into a part of it."""

    def __init__(self, data: bytes) -> None:
        self._runs: list[bytes] = []
        pieces: list[bytes] = []
        position = 0
        # Without a digest of the whole mail in it, a mail could carry the mark itself and show another part's bytes.
        self._mark = b""
        for match in _RUN.finditer(data) if len(data) > _SHORTEST else ():
            if match.end() - match.start() < _SHORTEST:
                continue
            self._mark = self._mark or b"*bulk-" + hashlib.sha256(data).hexdigest().encode() + b"-"
            pieces += [data[position : match.start()], self._mark, b"%d*\r\n" % len(self._runs)]
            self._runs.append(match[0])
            position = match.end()
        self.thin = b"".join([*pieces, data[position:]]) if pieces else data
        self._pattern = re.compile(re.escape(self._mark) + rb"(\d+)\*\r?\n?") if self._mark else None

    def restore(self, part: bytes) -> bytes:
        """The bytes of a part as they stood in the mail."""
        if self._pattern is None or self._mark not in part:
            return part
        return self._pattern.sub(lambda match: self._runs[int(match[1])], part)
