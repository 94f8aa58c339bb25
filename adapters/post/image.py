"""From the bytes of a page to an image that text recognition reads well. Runs in a limited child only.

The preparation (a slight blur, then division by the paper's background) takes 0.3 s and reads poor scans that are
unreadable without it. The background is estimated at an eighth of the size, which costs nothing in accuracy.
"""

from typing import Any

__all__ = ["glyph_components", "paper_resolution", "prepare", "read_codes", "to_grey"]

A4_SHORT_SIDE_INCH = 210 / 25.4
_SHRINK = 8
_INK_BELOW = 140
"""Darker than this after preparation counts as ink."""
_SMALLEST_INK_MM2 = 0.085
"""Specks below this (12 pixels at 300 dpi) are noise; the dot of an i is three times as large."""
_GLYPH_MM = (8.0, 25.0)
"""Ink higher or wider than this is a signature, a line or a logo, not type."""


def to_grey(image: Any) -> Any:
    """A Pillow image of any mode as 8-bit grey on white paper, turned upright as its camera data says."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        import numpy

        values = numpy.asarray(image).astype("float32")
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray(numpy.clip(values * (255.0 / top), 0, 255).astype("uint8"))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image.convert("L")


def paper_resolution(image: Any) -> tuple[float, float]:
    """Dots per inch (across, down), from the file or, where it says nothing sane, from the width of A4."""
    declared: Any = image.info.get("dpi")
    try:
        across, down = float(declared[0]), float(declared[1])
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        across = down = 0.0
    if 90 <= across <= 1300 and 90 <= down <= 1300 and min(image.size) / across > 2:
        return across, down
    guess = max(72.0, min(image.size) / A4_SHORT_SIDE_INCH)
    return guess, guess


def prepare(grey: Any) -> Any:
    """Even out light and noise: blur, then divide by the background. 8-bit grey in and out."""
    import numpy
    from PIL import Image, ImageFilter

    blurred = grey.filter(ImageFilter.GaussianBlur(1))
    small = blurred.resize((max(1, grey.width // _SHRINK), max(1, grey.height // _SHRINK)), Image.Resampling.BOX)
    small = small.filter(ImageFilter.MaxFilter(5)).filter(ImageFilter.MedianFilter(5))
    background = numpy.asarray(small.resize(grey.size, Image.Resampling.BILINEAR)).astype("uint16")
    values = numpy.asarray(blurred).astype("uint16") * 255 // numpy.maximum(background, 1)
    return Image.fromarray(numpy.minimum(values, 255).astype("uint8"))


def glyph_components(prepared: Any, dpi: float) -> list[list[int]]:
    """Connected ink of the size of type: [left, top, right, bottom, dots] each."""
    import numpy

    ink = numpy.asarray(prepared) < _INK_BELOW
    boxes = _components(ink)
    dot_mm = 25.4 / dpi
    width, height = (boxes[:, 2] - boxes[:, 0]) * dot_mm, (boxes[:, 3] - boxes[:, 1]) * dot_mm
    of_type = (height <= _GLYPH_MM[0]) & (width <= _GLYPH_MM[1]) & (boxes[:, 4] * dot_mm * dot_mm >= _SMALLEST_INK_MM2)
    return boxes[of_type].tolist()


def _components(ink: Any) -> Any:
    """Boxes and dots of connected ink (touching corners count): rows of left, top, right, bottom, dots.

    Works on horizontal runs: a page has a hundred times fewer of them than dots.
    """
    import numpy

    height, width = ink.shape
    padded = numpy.zeros((height, width + 2), dtype="int8")
    padded[:, 1:-1] = ink
    edges = numpy.flatnonzero(numpy.diff(padded.ravel()))
    starts, ends = edges[::2], edges[1::2]
    row, left, right = starts // (width + 2), starts % (width + 2), ends % (width + 2)
    # Runs of the next row that a run touches lie between two positions in the order of runs.
    below = (row + 1) * (width + 2)
    first = numpy.searchsorted(ends, below + left, side="left")
    counts = numpy.maximum(numpy.searchsorted(starts, below + right, side="right") - first, 0)
    upper = numpy.repeat(numpy.arange(len(starts)), counts)
    lower = numpy.repeat(first - numpy.cumsum(counts) + counts, counts) + numpy.arange(counts.sum())
    label = numpy.arange(len(starts))
    while True:
        one, other = label[upper], label[lower]
        if (one == other).all():
            break
        numpy.minimum.at(label, numpy.maximum(one, other), numpy.minimum(one, other))
        while (label != (shorter := label[label])).any():
            label = shorter
    order = numpy.argsort(label, kind="stable")
    heads = numpy.flatnonzero(numpy.diff(label[order], prepend=-1))
    if not len(heads):
        return numpy.zeros((0, 5), dtype="int64")
    return numpy.stack(
        [
            numpy.minimum.reduceat(left[order], heads),
            numpy.minimum.reduceat(row[order], heads),
            numpy.maximum.reduceat(right[order], heads),
            numpy.maximum.reduceat(row[order], heads) + 1,
            numpy.add.reduceat((right - left)[order], heads),
        ],
        axis=1,
    )


def read_codes(images: list[Any]) -> list[dict[str, Any]]:
    """QR codes on a page, tried on each image until one shows some: text, box, and the angle it is turned by.

    QR only, and an error costs this page's codes alone: foreign codes on other pages are nobody's business here.
    """
    import zxingcpp

    for image in images:
        try:
            found = zxingcpp.read_barcodes(image, formats=zxingcpp.barcode_formats_from_str("QRCode"))
        except (ValueError, RuntimeError):
            continue
        codes: list[dict[str, Any]] = []
        for code in found:
            corners = [
                getattr(code.position, name) for name in ("top_left", "top_right", "bottom_right", "bottom_left")
            ]
            across, down = [corner.x for corner in corners], [corner.y for corner in corners]
            codes.append(
                {
                    "text": code.text[:500],
                    "box": [min(across), min(down), max(across), max(down)],
                    "turned": round(code.orientation),
                }
            )
        if codes:
            return codes
    return []
