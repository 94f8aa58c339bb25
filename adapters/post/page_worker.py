"""The child that opens a stranger's file: one request per page on standard input, one answer per page.

Started afresh for every letter. Limits itself: address space for good, CPU seconds anew for each page. Dying is an
answer too: the reader starts another child and goes on with the next page.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from adapters.post.limited import limit_cpu_from_now, limit_memory

__all__ = ["Opened", "Order", "Page", "Setup", "main"]

_DOTS_PER_INCH = 300
"""What recognition models were trained for; finer scans are reduced to it."""
_LEAST_DOTS_PER_INCH = 100
"""Type cannot be read from less; only a poster needs to be drawn so coarsely."""
_POINTS_PER_INCH = 72
_OPEN_CPU_S = 8


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """First line: which file, where to put pages, and the limits."""

    file: str
    folder: str
    pixels: int
    pages: int
    megabytes: int


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to the setup: how many pages, or why the file cannot be opened (a sentence for people)."""

    pages: int = 0
    problem: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for one page (from 0), not finer than `dpi`, turned by `turn` degrees anticlockwise."""

    page: int
    cpu_s: int
    dpi: int = _DOTS_PER_INCH
    turn: int = 0


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared page: the image file, its dots per inch, ink of the size of type, QR codes; or a problem."""

    page: int
    file: str = ""
    dpi: int = _DOTS_PER_INCH
    width: int = 0
    height: int = 0
    ink: list[list[int]] = []
    codes: list[dict[str, Any]] = []
    problem: str = ""


class _Pdf:
    def __init__(self, path: Path, pixels: int) -> None:
        import pypdfium2

        self._document = pypdfium2.PdfDocument(path)
        self._pixels = pixels
        self.pages = len(self._document)

    def page(self, number: int, dpi: int) -> tuple[Any, int]:
        page = self._document[number]
        width, height = page.get_size()
        area = max(width * height / _POINTS_PER_INCH**2, 0.01)
        dpi = min(dpi, int((self._pixels / area) ** 0.5))
        if dpi < _LEAST_DOTS_PER_INCH:
            raise _TooLarge
        scale: Any = dpi / _POINTS_PER_INCH
        picture = page.render(scale=scale, grayscale=True, may_draw_forms=False).to_pil()
        page.close()
        return picture.convert("L"), dpi


class _Picture:
    def __init__(self, path: Path, pixels: int) -> None:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = pixels
        self._image = Image.open(path, formats=("TIFF", "JPEG", "PNG"))
        self._pixels = pixels
        self.pages = int(getattr(self._image, "n_frames", 1))

    def page(self, number: int, dpi: int) -> tuple[Any, int]:
        from PIL import Image

        from adapters.post.image import paper_resolution, to_grey

        if self.pages > 1:
            self._image.seek(number)
        if self._image.width * self._image.height > self._pixels:
            raise _TooLarge
        across, down = paper_resolution(self._image)
        grey = to_grey(self._image)
        goal = min(float(dpi), max(across, down))
        # Faxes have different resolutions across and down: one scale for both, or letters come out squashed.
        size = (round(grey.width * goal / across), round(grey.height * goal / down))
        if abs(size[0] - grey.width) > 2 or abs(size[1] - grey.height) > 2:
            grey = grey.resize(size, Image.Resampling.BICUBIC if goal >= across else Image.Resampling.BOX)
        return grey, round(goal)


class _TooLarge(Exception):
    """The page has more pixels than we read."""


def _open(setup: Setup) -> _Pdf | _Picture | str:
    path = Path(setup.file)
    with path.open("rb") as file:
        head = file.read(1024)
    try:
        document = _Pdf(path, setup.pixels) if b"%PDF-" in head else _Picture(path, setup.pixels)
    except Exception as error:
        # Every library has its own errors; to the reader there are two: locked and damaged.
        return "the file is locked with a password" if "password" in str(error).lower() else "the file is damaged"
    if document.pages > setup.pages:
        return f"the file has {document.pages} pages, more than the {setup.pages} of a letter"
    if document.pages < 1:
        return "the file has no page"
    return document


def _page(document: _Pdf | _Picture, order: Order, folder: Path) -> Page:
    from adapters.post.image import glyph_components, prepare, read_codes

    try:
        grey, dpi = document.page(order.page, order.dpi)
        if order.turn:
            grey = grey.rotate(order.turn, expand=True, fillcolor=255)
        prepared = prepare(grey)
    except _TooLarge:
        return Page(page=order.page, problem="has more pixels than can be read safely")
    except Exception:
        return Page(page=order.page, problem="is damaged")
    codes = read_codes([grey, prepared])
    margin = dpi // 25
    around = [
        (
            max(0, left - margin),
            max(0, top - margin),
            min(prepared.width, right + margin),
            min(prepared.height, bottom + margin),
        )
        for left, top, right, bottom in (code["box"] for code in codes)
    ]
    for box in around:
        # Recognition would read codes as words.
        prepared.paste(255, box)
    ink = glyph_components(prepared, dpi)
    name = f"page-{order.page}-{order.turn}.pgm"
    prepared.save(folder / name)
    return Page(page=order.page, file=name, dpi=dpi, width=prepared.width, height=prepared.height, ink=ink, codes=codes)


def main() -> None:
    """Serve requests until standard input ends."""
    lines, out = sys.stdin.buffer, sys.stdout.buffer
    setup = msgspec.json.decode(lines.readline(), type=Setup)
    limit_memory(setup.megabytes)
    limit_cpu_from_now(_OPEN_CPU_S)
    document = _open(setup)
    answer: Opened | Page = Opened(problem=document) if isinstance(document, str) else Opened(pages=document.pages)
    out.write(msgspec.json.encode(answer) + b"\n")
    out.flush()
    if isinstance(document, str):
        return
    for line in lines:
        order = msgspec.json.decode(line, type=Order)
        limit_cpu_from_now(order.cpu_s)
        out.write(msgspec.json.encode(_page(document, order, Path(setup.folder))) + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
