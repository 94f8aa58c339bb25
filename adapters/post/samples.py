"""Make scans of letters: typeset, then spoilt as scanners, copiers and fax machines spoil them.

For tests, measurements and the demonstration. The same arguments give the same bytes.
"""

import io
import json
import time
from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from adapters.post.words import long_date

__all__ = ["make_pages", "make_scan"]

_FONTS = ("Libertinus Serif", "New Computer Modern")
_COMPANY = ("Nordlicht Handel", "Hafenstraße 7", "20457 Hamburg")
_DPI = {"clean": 300, "office": 300, "poor": 200, "fax": 204}


def make_scan(
    text: str,
    language: str = "de",
    sender: Sequence[str] = (),
    *,
    recipient: Sequence[str] = _COMPANY,
    subject: str = "",
    written: date | None = None,
    place: str = "",
    degrade: str = "office",
    fmt: str = "pdf",
    qr: str | None = None,
    turn: int = 0,
    font: int = 0,
    size: float = 11,
    seed: int = 1,
) -> bytes:
    """The bytes of a scanned letter.

    `text` holds paragraphs parted by blank lines, salutation and closing included; `sender` the lines above the
    address; `qr` the content of a code at the top right; `turn` the degrees that the paper lay turned by. `degrade`:
    clean, office, poor or fax; `fmt`: pdf, png, jpeg or tiff.
    """
    pages = make_pages(
        text,
        language,
        sender,
        recipient=recipient,
        subject=subject,
        written=written,
        place=place,
        qr=qr,
        font=font,
        size=size,
        dpi=_DPI[degrade],
    )
    images = [_degrade(page.rotate(turn, expand=True), degrade, seed + number) for number, page in enumerate(pages)]
    return _pack(images, fmt, _DPI[degrade], degrade)


@cache
def _compiler() -> Any:
    import typst

    template = Path(__file__).with_name("sample.typ")
    return typst.Compiler(template, root=template.parent, ignore_system_fonts=True)


def make_pages(
    text: str,
    language: str,
    sender: Sequence[str],
    *,
    recipient: Sequence[str],
    subject: str,
    written: date | None,
    place: str,
    qr: str | None,
    font: int,
    size: float,
    dpi: int,
) -> list[Any]:
    """The letter as clean grey images, one per page."""
    from PIL import Image

    from adapters.post.codes import qr_svg

    when = long_date(written, language) if written else ""
    data = {
        "font": _FONTS[font % len(_FONTS)],
        "size": size,
        "language": language,
        "sender": list(sender),
        "recipient": list(recipient),
        "date": f"{place}, {when}" if place and when else when,
        "subject": subject,
        "paragraphs": [paragraph.splitlines() for paragraph in text.strip().split("\n\n")],
        "code": qr_svg(qr) if qr else "",
    }
    made: Any = _compiler().compile(format="png", ppi=dpi, sys_inputs={"letter": json.dumps(data)})
    return [Image.open(io.BytesIO(page)).convert("L") for page in (made if isinstance(made, list) else [made])]


def _degrade(page: Any, kind: str, seed: int) -> Any:
    import numpy
    from PIL import Image

    chance = numpy.random.default_rng(seed)
    if kind == "clean":
        return page
    skew = {"office": 0.7, "poor": 2.0, "fax": 0.5}[kind]
    page = page.rotate(float(chance.uniform(-skew, skew)), resample=Image.Resampling.BICUBIC, fillcolor=250)
    values = numpy.asarray(page).astype("float32")
    height, width = values.shape
    if kind == "fax":
        ink = values < 150
        ink ^= chance.random(values.shape) < 0.004
        ink[chance.integers(0, height, size=4)] = False
        return Image.fromarray(numpy.where(ink, 0, 255).astype("uint8")).convert("1")
    if kind == "poor":
        # Light falls off towards one corner, as under a lifted lid.
        across, down = numpy.linspace(0, 1, width), numpy.linspace(0, 1, height)
        values = values * (1 - 0.3 * (across[None, :] + down[:, None]) / 2)
    values += chance.normal(0, 9 if kind == "office" else 20, size=values.shape)
    return Image.fromarray(numpy.clip(values, 0, 255).astype("uint8"))


def _pack(images: list[Any], fmt: str, dpi: int, kind: str) -> bytes:
    quality = 45 if kind == "poor" else 75
    out = io.BytesIO()
    if fmt == "pdf":
        stamp: Any = time.struct_time((2026, 1, 1, 0, 0, 0, 3, 1, 0))
        images[0].save(
            out,
            format="PDF",
            save_all=True,
            append_images=images[1:],
            resolution=dpi,
            **({} if images[0].mode == "1" else {"quality": quality}),
            creationDate=stamp,
            modDate=stamp,
        )
    elif fmt == "tiff":
        compression = "group4" if images[0].mode == "1" else "tiff_lzw"
        images[0].save(
            out, format="TIFF", save_all=True, append_images=images[1:], dpi=(dpi, dpi), compression=compression
        )
    elif len(images) > 1:
        raise ValueError(f"{fmt} holds one page and the letter has {len(images)}")
    elif fmt == "jpeg":
        images[0].convert("L").save(out, format="JPEG", dpi=(dpi, dpi), quality=quality)
    else:
        images[0].save(out, format="PNG", dpi=(dpi, dpi))
    return out.getvalue()
