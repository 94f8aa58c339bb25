"""The child that typesets a letter and checks the finished PDF. One request and one answer per line.

A fresh interpreter, never a fork: the typesetter hangs after one. Its memory is limited for good, its CPU time anew
for each letter. Only PDF/A is made, because only then a missing character is an error instead of an empty box.
"""

import io
import sys
from pathlib import Path
from typing import Any

import msgspec

from adapters.post.limited import limit_cpu_from_now, limit_memory

__all__ = ["Checks", "Made", "Request", "Start", "main", "make", "preflight"]

_MILLIMETRE = 72 / 25.4
_EDGE_MM = 5
"""Printers and franking machines need this much clear on every side."""
_CHECK_DPI = 200
_NOT_WHITE = 250
WINDOWS_MM = {"din": (20.0, 45.0, 105.0, 90.0), "no": (15.0, 44.0, 110.0, 70.0)}
"""Left, top, right and bottom of the address window, from the top left of the page."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """First line: the limits."""

    megabytes: int
    cpu_s: int


class Checks(msgspec.Struct, frozen=True, kw_only=True):
    """What must be true of the finished letter."""

    layout: str
    window: tuple[str, ...]
    number: str
    most_pages: int


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The data of a letter as JSON, its date as seconds since 1970, and what to check; the PDF goes to `file`."""

    letter: str
    written: int
    checks: Checks
    file: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """How many pages were made; `problem` says, for people, why the letter must not be posted."""

    pages: int = 0
    problem: str = ""


def make(letter: str, written: int) -> bytes:
    """Typeset a letter as PDF/A-2b. Raises `typst.TypstError` when a character cannot be printed."""
    import typst

    template = Path(__file__).with_name("letter.typ")
    compiler = typst.Compiler(template, root=template.parent, ignore_system_fonts=True)
    made: Any = compiler.compile(format="pdf", pdf_standards="a-2b", sys_inputs={"letter": letter}, timestamp=written)
    return made


def preflight(pdf: bytes, checks: Checks) -> Made:
    """Look at the finished PDF as the printer and the post will: page size, window, edges, codes."""
    import pypdfium2

    document = pypdfium2.PdfDocument(io.BytesIO(pdf))
    pages = len(document)
    problem = ""
    if b"pdfaid:part" not in pdf:
        problem = "the letter is no archive PDF"
    elif pages > checks.most_pages:
        problem = f"the letter has {pages} pages, more than {checks.most_pages}"
    for number in range(pages if not problem else 0):
        page = document[number]
        problem = _page_problem(page, checks) or ("" if number else _window_problem(page, checks))
        page.close()
        if problem:
            problem = f"page {number + 1}: {problem}"
            break
    document.close()
    return Made(pages=pages, problem=problem)


def _page_problem(page: Any, checks: Checks) -> str:
    import numpy
    import zxingcpp

    width, height = page.get_size()
    if abs(width - 210 * _MILLIMETRE) > 1 or abs(height - 297 * _MILLIMETRE) > 1:
        return "it is not A4"
    picture = page.render(scale=_CHECK_DPI / 72, grayscale=True).to_numpy().squeeze()
    edge = round(_EDGE_MM * _CHECK_DPI / 25.4) - 1
    inside = numpy.full_like(picture, 255)
    inside[edge:-edge, edge:-edge] = picture[edge:-edge, edge:-edge]
    if (numpy.minimum(picture, 255)[inside != picture] < _NOT_WHITE).any():
        return "something is printed in the edge that must stay clear"
    if checks.number:
        codes = zxingcpp.read_barcodes(picture, formats=zxingcpp.barcode_formats_from_str("QRCode"))
        right = sum(code.text == checks.number for code in codes)
        if right != 2 or len(codes) != 2:
            return "the codes cannot be read"
    return ""


def _window_problem(page: Any, checks: Checks) -> str:
    left, top, right, bottom = (value * _MILLIMETRE for value in WINDOWS_MM[checks.layout])
    height = page.get_size()[1]
    text = page.get_textpage().get_text_bounded(left=left, right=right, top=height - top, bottom=height - bottom)
    if "".join(text.split()) != "".join("".join(checks.window).split()):
        return "the address does not stand alone in the window"
    for item in page.get_objects(max_depth=4):
        if item.type == 1:
            continue
        x0, y0, x1, y1 = item.get_bounds()
        if x0 < right and x1 > left and y0 < height - top and y1 > height - bottom:
            return "something is drawn in the window"
    return ""


def _serve(request: Request) -> Made:
    import typst

    try:
        pdf = make(request.letter, request.written)
    except typst.TypstError as error:
        missing = "could not be displayed" in str(error)
        return Made(problem="a character cannot be printed" if missing else "the letter cannot be typeset")
    Path(request.file).write_bytes(pdf)
    return preflight(pdf, request.checks)


def main() -> None:
    """Serve requests until standard input ends."""
    lines, out = sys.stdin.buffer, sys.stdout.buffer
    start = msgspec.json.decode(lines.readline(), type=Start)
    limit_memory(start.megabytes)
    for line in lines:
        limit_cpu_from_now(start.cpu_s)
        made = _serve(msgspec.json.decode(line, type=Request))
        out.write(msgspec.json.encode(made) + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
