"""The case number as people and machines read it: QR code on our letters, digits in groups, repair after OCR."""

import re

from bus.message import number_is_valid

__all__ = ["find_numbers", "group_number", "qr_svg"]

_LOOKS_LIKE = {
    "O": "0", "o": "0", "Q": "0", "D": "0",
    "I": "1", "l": "1", "|": "1", "i": "1", "!": "1",
    "Z": "2", "z": "2",
    "S": "5", "s": "5",
    "G": "6", "b": "6",
    "B": "8",
    "g": "9", "q": "9",
}  # fmt: skip
"""Letters that text recognition writes for digits. Digits are never changed into other digits: with two check digits
one in five foreign numbers could be "repaired" into a valid one."""
_MOST_LETTERS = 4
_CHARACTER = "[0-9" + re.escape("".join(_LOOKS_LIKE)) + "]"
_GROUPED = re.compile(
    # Not the middle of a longer number: an IBAN in groups of four also ends in 4-4-4-2.
    rf"(?<![0-9A-Za-z])(?<![0-9][ .-])({_CHARACTER}{{4}})[ .-]?({_CHARACTER}{{4}})[ .-]?({_CHARACTER}{{4}})"
    rf"[ .-]?({_CHARACTER}{{2}})(?![0-9A-Za-z])(?![ .-]?[0-9])"
)


def group_number(number: str) -> str:
    """14 digits as 4-4-4-2, the form that is printed."""
    return f"{number[:4]} {number[4:8]} {number[8:12]} {number[12:]}" if len(number) == 14 else number


def find_numbers(text: str) -> tuple[str, ...]:
    """Valid case numbers in a text, each once, in order. Letters read for digits are repaired when that is certain."""
    found: dict[str, None] = {}
    for match in _GROUPED.finditer(text):
        written = "".join(match.groups())
        if sum(not character.isdigit() for character in written) > _MOST_LETTERS:
            continue
        number = "".join(_LOOKS_LIKE.get(character, character) for character in written)
        if number_is_valid(number):
            found[number] = None
    return tuple(found)


def qr_svg(content: str) -> str:
    """A QR code (error level M) as SVG with its quiet zone; one path, so that no hair lines appear between modules."""
    import numpy
    import zxingcpp

    barcode = zxingcpp.create_barcode(content, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    modules = numpy.asarray(zxingcpp.write_barcode_to_image(barcode, scale=1, add_quiet_zones=False)) < 128
    quiet = 4
    side = len(modules) + 2 * quiet
    path: list[str] = []
    for row, values in enumerate(modules):
        edges = numpy.flatnonzero(numpy.diff(numpy.concatenate(([False], values, [False])).astype("int8")))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            path.append(f"M{start + quiet} {row + quiet}h{end - start}v1h-{end - start}z")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">'
        f'<path fill="#000" d="{"".join(path)}"/></svg>'
    )
