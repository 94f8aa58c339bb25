"""Files made to hurt: each costs a child process at most, and becomes a contact for a person."""

import io
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from adapters.post.config import PostConfig
from bus.message import Contact


def pdf_of(*objects: bytes) -> bytes:
    """A PDF with these objects, numbered from 1; the first is the catalogue."""
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def stream(head: bytes, data: bytes) -> bytes:
    return b"<<" + head + b"/Length %d>>\nstream\n" % len(data) + data + b"\nendstream"


def deflated(piece: bytes, times: int) -> bytes:
    """A zlib stream of `piece` repeated, made without packing it all: a flushed block may be repeated as it is."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x78\xda" + block * times + b"\x03\x00" + bytes(4)


def nested_forms(levels: int = 20, each: int = 10) -> bytes:
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</XObject<</F 5 0 R>>>>>>",
        stream(b"", b"/F Do " * each),
    ]
    for level in range(levels):
        last = level == levels - 1
        inner = b"0 0 10 10 re f" if last else b"/F Do " * each
        resources = b"" if last else b"/Resources<</XObject<</F %d 0 R>>>>" % (6 + level)
        objects.append(stream(b"/Type/XObject/Subtype/Form/BBox[0 0 595 842]" + resources, inner))
    return pdf_of(*objects)


def long_content(megabytes: int = 1800) -> bytes:
    packed = deflated(b"0 0 1 1 re f 1 0 0 1 0 0 cm\n" * 37449, megabytes)
    return pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>",
        stream(b"/Filter/FlateDecode", packed),
    )


def huge_image(side: int = 30_000) -> bytes:
    packed = deflated(bytes(side) * 100, side // 100)
    image = b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8" % (side, side)
    return pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</XObject<</I 5 0 R>>>>>>",
        stream(b"", b"595 0 0 842 0 0 cm /I Do"),
        stream(image + b"/Filter/FlateDecode", packed),
    )


def many_pages(count: int = 20_001) -> bytes:
    return pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[" + b"3 0 R " * count + b"]/Count %d>>" % count,
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
    )


def poster() -> bytes:
    """A page of 5 by 5 metres."""
    return pdf_of(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 14400 14400]/Contents 4 0 R>>",
        stream(b"", b"0 0 99 99 re f"),
    )


def encrypted(scan: Callable[..., bytes]) -> bytes:
    import pikepdf

    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(scan("de", degrade="fax"))) as document:
        document.save(out, encryption=pikepdf.Encryption(owner="o", user="u"))
    return out.getvalue()


def png_bomb() -> bytes:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, format="PNG")
    return out.getvalue()


FIRST = "Guten Tag,\n\ndas ist die erste Seite, und ich habe noch mehr zu sagen."
LAST = "Das ist die letzte Seite, und mehr habe ich nicht zu sagen."

BOMBS = {
    "nested forms": nested_forms,
    "long content": long_content,
    "huge image": huge_image,
    "many pages": many_pages,
    "poster": poster,
    "png bomb": png_bomb,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_in_a_case(read: Callable[..., Contact], name: str) -> None:
    data = BOMBS[name]()
    start = time.monotonic()
    contact = read(data)
    assert time.monotonic() - start < 60  # P7 asks for 30 s on a free machine
    assert contact.quality.status == "unreadable", contact.quality
    assert contact.quality.reasons
    assert contact.text == ""


def test_a_locked_pdf_says_so(scan: Callable[..., bytes], read: Callable[..., Contact]) -> None:
    assert read(encrypted(scan)).quality.reasons == ("the file is locked with a password",)


def test_cut_and_random_files_become_cases(scan: Callable[..., bytes], read: Callable[..., Contact]) -> None:
    whole = {fmt: scan("de", fmt=fmt, degrade="fax") for fmt in ("pdf", "tiff")}
    cut = [data[: len(data) // 3] for data in whole.values()]
    for data in [*cut, b"%PDF-1.7\n%%EOF", b"\xff\xd8\xff\xd9", bytes(44)]:
        assert read(data).quality.status == "unreadable"


def test_a_page_that_kills_its_reader_costs_one_page(
    scan: Callable[..., bytes], read: Callable[..., Contact], config: PostConfig
) -> None:
    import pikepdf

    out = io.BytesIO()
    with (
        pikepdf.open(io.BytesIO(scan("de", text=FIRST))) as letter,
        pikepdf.open(io.BytesIO(nested_forms())) as bomb,
        pikepdf.open(io.BytesIO(scan("de", text=LAST))) as after,
    ):
        letter.pages.extend(bomb.pages)
        letter.pages.extend(after.pages)
        letter.save(out)
    contact = read(out.getvalue(), msgspec.structs.replace(config, page_cpu_s=2))
    assert contact.native["pages"] == 3
    assert contact.quality.status == "degraded"
    assert any(reason.startswith("page 2 ") for reason in contact.quality.reasons)
    assert "erste Seite" in contact.text
    assert "letzte Seite" in contact.text


def test_a_letter_that_takes_too_long_is_read_as_far_as_it_goes(
    scan: Callable[..., bytes], read: Callable[..., Contact], config: PostConfig
) -> None:
    contact = read(scan("de"), msgspec.structs.replace(config, letter_s=0.5))
    assert contact.quality.status == "unreadable"


def test_without_text_recognition_a_person_reads(
    scan: Callable[..., bytes], read: Callable[..., Contact], config: PostConfig
) -> None:
    contact = read(scan("de", qr="96107762611965"), msgspec.structs.replace(config, tesseract="no-such-program"))
    assert contact.quality.status == "unreadable"
    assert contact.quality.reasons == ("text recognition is not installed",)
    assert contact.native["case_number"] == "96107762611965"  # codes are read all the same
    assert contact.native["pages"] == 1


def test_no_child_is_left_behind(read: Callable[..., Contact]) -> None:
    before = children()
    read(nested_forms(levels=1, each=2))
    assert children() <= before


def children() -> set[str]:
    """Process ids of our own children, zombies included; others of this test process may be among them."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}
