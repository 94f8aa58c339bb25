"""A file that is not whole is never taken for whole, whatever the format and wherever it was cut."""

from collections.abc import Callable

import pytest

from adapters.post.complete import Completeness, judge, media_type

TYPES = {"pdf": "application/pdf", "png": "image/png", "jpeg": "image/jpeg", "tiff": "image/tiff"}


@pytest.fixture(scope="module")
def files(scan: Callable[..., bytes]) -> dict[str, bytes]:
    return {fmt: scan("de", fmt=fmt, degrade="fax" if fmt == "tiff" else "office") for fmt in TYPES}


@pytest.mark.parametrize("fmt", TYPES)
def test_whole_files_are_complete_and_known(files: dict[str, bytes], fmt: str) -> None:
    assert judge(files[fmt]) is Completeness.COMPLETE
    assert media_type(files[fmt]) == TYPES[fmt]


@pytest.mark.parametrize("fmt", TYPES)
def test_no_beginning_of_a_file_is_complete(files: dict[str, bytes], fmt: str) -> None:
    data = files[fmt]
    # The last two bytes of a PDF are its line end and may be missing without harm.
    cuts = [*range(64), *range(64, len(data) - 64, max(1, len(data) // 300)), *range(len(data) - 64, len(data) - 2)]
    taken = [cut for cut in cuts if judge(data[:cut]) is Completeness.COMPLETE]
    assert taken == []


def test_a_thumbnail_does_not_end_a_photograph(files: dict[str, bytes]) -> None:
    jpeg = files["jpeg"]
    thumbnail = b"\xff\xe1" + (2 + 6 + 4).to_bytes(2, "big") + b"Exif\x00\x00" + b"\xff\xd8\xff\xd9"
    with_thumbnail = jpeg[:2] + thumbnail + jpeg[2:]
    assert judge(with_thumbnail) is Completeness.COMPLETE
    assert judge(with_thumbnail[: len(with_thumbnail) // 2]) is Completeness.INCOMPLETE


def test_a_pdf_with_a_broken_index_is_doubtful(files: dict[str, bytes]) -> None:
    data = files["pdf"]
    start = data.rindex(b"startxref") + len(b"startxref\n")
    broken = data[:start] + b"7" + data[start:]
    assert judge(broken) is Completeness.DOUBTFUL


def test_a_first_half_that_ends_like_a_pdf_is_not_one(files: dict[str, bytes]) -> None:
    """A linearised PDF has %%EOF near its beginning too."""
    data = files["pdf"]
    assert judge(data[:2000] + b"\nstartxref\n0\n%%EOF\n" + data[2000:200_000]) is Completeness.INCOMPLETE


def test_a_tiff_whose_directories_run_in_a_circle_ends(files: dict[str, bytes]) -> None:
    data = bytearray(files["tiff"])
    order = "little" if data[:2] == b"II" else "big"
    first = int.from_bytes(data[4:8], order)
    entries = int.from_bytes(data[first : first + 2], order)
    end = first + 2 + 12 * entries
    data[end : end + 4] = first.to_bytes(4, order)
    assert judge(bytes(data)) is Completeness.DOUBTFUL


def test_what_is_no_scan_is_whole_but_has_no_type() -> None:
    for data in (
        b"PK\x03\x04" + b"x" * 100,
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"0" * 100,
    ):
        assert judge(data) is Completeness.COMPLETE
        assert media_type(data) == ""
