"""Text recognition: one prepared page to lines of words with boxes and confidence, and how much ink they explain.

Mean confidence does not show what was dropped; the share of ink that lies inside confidently read words does. So that
share (`coverage`) decides whether a page was read.
"""

import shutil
import subprocess
from pathlib import Path

import msgspec

from adapters.post import limited

__all__ = ["MODELS", "Line", "ReadPage", "Word", "missing_models", "orientation", "recognise"]

MODELS = {"de": "deu", "nb": "nor", "en": "eng"}
"""The recognition model of each language."""
_CONFIDENT = 60.0
"""Words below this explain no ink (tesseract's scale of 0 to 100)."""
_MARGIN_MM = 0.5
"""Boxes are drawn tightly by the recogniser; dots and accents may stick out by so much."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """A word, its box in dots and its confidence (0 to 100)."""

    text: str
    left: int
    top: int
    right: int
    bottom: int
    confidence: float


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Words on one line; `block` and `paragraph` number the layout. The box is in millimetres on the page."""

    words: tuple[Word, ...]
    page: int
    block: int
    paragraph: int
    left: float
    top: float
    right: float
    bottom: float

    @property
    def text(self) -> str:
        """The words with single spaces."""
        return " ".join(word.text for word in self.words)


class ReadPage(msgspec.Struct, frozen=True, kw_only=True):
    """What was read of a page. `coverage` and `confidence` are 0 to 1; `ink` is the number of dots counted."""

    lines: tuple[Line, ...]
    coverage: float
    confidence: float
    ink: int


def models_for(languages: tuple[str, ...], available: frozenset[str]) -> str:
    """The models to use, joined as the program wants them; those that are not installed are left out."""
    return "+".join(model for language in languages if (model := MODELS.get(language, "")) in available)


def available_models(program: str) -> frozenset[str] | None:
    """The models that the program has, or None when there is no such program."""
    if shutil.which(program) is None:
        return None
    process = limited.start([program, "--list-langs"], cpu_s=5)
    try:
        output, _ = process.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        return frozenset()
    finally:
        limited.kill(process)
    return frozenset(line.strip() for line in output.decode("utf-8", "replace").splitlines()[1:])


def missing_models(program: str, languages: tuple[str, ...]) -> tuple[str, ...] | None:
    """Models of these languages that are not installed; None when the program itself is not there."""
    available = available_models(program)
    if available is None:
        return None
    return tuple(MODELS[name] for name in languages if name in MODELS and MODELS[name] not in available)


def _run(command: list[str], *, cpu_s: int, megabytes: int, wall_s: float) -> bytes:
    process = limited.start(command, cpu_s=cpu_s, megabytes=megabytes)
    try:
        output, _ = process.communicate(timeout=max(0.1, wall_s))
        return output if process.returncode == 0 else b""
    except subprocess.TimeoutExpired:
        return b""
    finally:
        limited.kill(process)


def orientation(program: str, picture: Path, *, cpu_s: int, megabytes: int, wall_s: float) -> int:
    """By how many degrees (anticlockwise) the page must be turned to stand upright; 0 when that is not known."""
    command = [program, str(picture), "-", "--psm", "0", "-l", "osd"]
    for line in _run(command, cpu_s=cpu_s, megabytes=megabytes, wall_s=wall_s).decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "Orientation in degrees" and value.strip() in ("90", "180", "270"):
            return int(value)
    return 0


def recognise(
    program: str,
    models: str,
    picture: Path,
    *,
    page: int,
    dpi: int,
    ink: list[list[int]],
    cpu_s: int,
    megabytes: int,
    wall_s: float,
) -> ReadPage | None:
    """Read one page. None when the program failed or ran into a limit."""
    command = [program, str(picture), "-", "-l", models, "--psm", "3", "--dpi", str(dpi), "tsv"]
    output = _run(command, cpu_s=cpu_s, megabytes=megabytes, wall_s=wall_s)
    if not output:
        return None
    lines = _lines(output.decode("utf-8", "replace"), page, 25.4 / dpi)
    words = [word for line in lines for word in line.words]
    letters = sum(len(word.text) for word in words)
    confidence = sum(word.confidence * len(word.text) for word in words) / letters / 100 if letters else 0.0
    total = sum(component[4] for component in ink)
    return ReadPage(
        lines=tuple(lines),
        coverage=_covered(words, ink, round(_MARGIN_MM * dpi / 25.4)) / total if total else 1.0,
        confidence=confidence,
        ink=total,
    )


def _lines(table: str, page: int, dot_mm: float) -> list[Line]:
    grouped: dict[tuple[int, int, int], list[Word]] = {}
    for row in table.splitlines()[1:]:
        cells = row.split("\t", 11)
        if len(cells) < 12 or cells[0] != "5" or not cells[11].strip():
            continue
        left, top, width, height = (int(cell) for cell in cells[6:10])
        word = Word(
            text=cells[11].strip(),
            left=left,
            top=top,
            right=left + width,
            bottom=top + height,
            confidence=float(cells[10]),
        )
        grouped.setdefault((int(cells[2]), int(cells[3]), int(cells[4])), []).append(word)
    return [
        Line(
            words=tuple(words),
            page=page,
            block=block,
            paragraph=paragraph,
            left=min(word.left for word in words) * dot_mm,
            top=min(word.top for word in words) * dot_mm,
            right=max(word.right for word in words) * dot_mm,
            bottom=max(word.bottom for word in words) * dot_mm,
        )
        for (block, paragraph, _), words in grouped.items()
    ]


def _covered(words: list[Word], ink: list[list[int]], margin: int) -> int:
    """Dots of the components whose centre lies in a confident word."""
    import numpy

    boxes = numpy.array(
        [
            (word.left - margin, word.top - margin, word.right + margin, word.bottom + margin)
            for word in words
            if word.confidence >= _CONFIDENT
        ],
        dtype="int32",
    ).reshape(-1, 4)
    parts = numpy.array(ink, dtype="int64").reshape(-1, 5)
    across, down = (parts[:, 0] + parts[:, 2]) // 2, (parts[:, 1] + parts[:, 3]) // 2
    inside = numpy.zeros(len(parts), dtype=bool)
    for left, top, right, bottom in boxes:
        inside |= (across >= left) & (across <= right) & (down >= top) & (down <= bottom)
    return int(parts[inside, 4].sum())
