"""Whether a scan has arrived whole, by the structure of its format. Bytes only: nothing is decoded here.

A file that has not changed for a while may still be half written (network shares deliver in bursts), so a pause is
not an end. PDF ends with its index and %%EOF, JPEG with its end marker, PNG with IEND, and a TIFF's directories and
strips lie inside the file.
"""

import re
import struct
from enum import Enum

__all__ = ["Completeness", "judge", "media_type"]


class Completeness(Enum):
    """COMPLETE: take it. DOUBTFUL: it ends, but its index is broken: take it later. INCOMPLETE: more must come."""

    COMPLETE = "complete"
    DOUBTFUL = "doubtful"
    INCOMPLETE = "incomplete"


_TAIL_BYTES = 2048
_MOST_DIRECTORIES = 2000
"""More pages than any letter; a chain that long is a loop."""
_START_XREF = re.compile(rb"startxref\s+(\d{1,12})\s+%%EOF[\s\x00]*$")
_OBJECT = re.compile(rb"\s*(xref|\d+\s+\d+\s+obj)")


def media_type(data: bytes) -> str:
    """The media type of the formats that we read, by their first bytes; empty for everything else."""
    if data.startswith((b"II*\x00", b"MM\x00*")):
        return "image/tiff"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    # Readers accept a PDF whose header follows some junk, and scanners make use of it.
    return "application/pdf" if b"%PDF-" in data[:1024] else ""


def could_become(data: bytes) -> bool:
    """Whether these few first bytes may yet grow into a format that we read."""
    return len(data) < 8 or bool(media_type(data))


def judge(data: bytes) -> Completeness:
    """Whether the bytes are a whole file. What is none of our formats is whole as it is."""
    if not could_become(data):
        return Completeness.COMPLETE
    look = {"application/pdf": _pdf, "image/jpeg": _jpeg, "image/png": _png, "image/tiff": _tiff}.get(media_type(data))
    try:
        return look(data) if look else Completeness.INCOMPLETE
    except struct.error:
        # The bytes end in the middle of a number.
        return Completeness.INCOMPLETE


def _pdf(data: bytes) -> Completeness:
    tail = data[-_TAIL_BYTES:]
    if b"%%EOF" not in tail:
        return Completeness.INCOMPLETE
    match = _START_XREF.search(tail)
    if match is None:
        return Completeness.DOUBTFUL
    offset = int(match.group(1)) + max(0, data.find(b"%PDF-", 0, 1024))
    if any(_OBJECT.match(data[place : place + 64]) for place in (offset, int(match.group(1)))):
        return Completeness.COMPLETE
    return Completeness.DOUBTFUL


def _jpeg(data: bytes) -> Completeness:
    """Walk the segments to the picture, so that the end marker of an embedded thumbnail is not taken for ours."""
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return Completeness.DOUBTFUL if data.rstrip(b"\x00").endswith(b"\xff\xd9") else Completeness.INCOMPLETE
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        position += 2 + length
        if marker == 0xDA:
            return Completeness.COMPLETE if data.find(b"\xff\xd9", position) >= 0 else Completeness.INCOMPLETE
    return Completeness.INCOMPLETE


def _png(data: bytes) -> Completeness:
    position = 8
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        position += 12 + length
        if kind == b"IEND":
            return Completeness.COMPLETE if position <= len(data) else Completeness.INCOMPLETE
    return Completeness.INCOMPLETE


_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_OFFSETS, _COUNTS = (273, 324), (279, 325)
"""Tags of where strips and tiles lie and how long they are."""


def _tiff(data: bytes) -> Completeness:
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(order + "I", data, 4)
    if directory < 8:
        return Completeness.INCOMPLETE
    for _ in range(_MOST_DIRECTORIES):
        if directory + 2 > len(data):
            return Completeness.INCOMPLETE
        (entries,) = struct.unpack_from(order + "H", data, directory)
        end = directory + 2 + 12 * entries
        if end + 4 > len(data) or not _strips_inside(data, order, directory, entries):
            return Completeness.INCOMPLETE
        (directory,) = struct.unpack_from(order + "I", data, end)
        if directory == 0:
            return Completeness.COMPLETE
    return Completeness.DOUBTFUL


def _strips_inside(data: bytes, order: str, directory: int, entries: int) -> bool:
    places: list[int] = []
    lengths: list[int] = []
    for index in range(entries):
        tag, kind, count, value = struct.unpack_from(order + "HHII", data, directory + 2 + 12 * index)
        size = _SIZES.get(kind, 1) * count
        if size > 4 and value + size > len(data):
            return False
        if tag in _OFFSETS or tag in _COUNTS:
            start = value if size > 4 else directory + 2 + 12 * index + 8
            letter = {3: "H", 4: "I", 13: "I"}.get(kind)
            if letter is None:
                return False
            (places if tag in _OFFSETS else lengths).extend(struct.unpack_from(f"{order}{count}{letter}", data, start))
    return all(place + length <= len(data) for place, length in zip(places, lengths, strict=False))
