"""Read a whole letter: open it in a child, prepare and recognise page by page, several pages at a time.

A page that kills its child is tried once more, coarser, and then given up; the others go on. Time spent is bounded
per page and per letter. The only clock used is for these time-outs: what is read does not depend on it.
"""

import select
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from adapters.post import limited
from adapters.post.config import PostConfig
from adapters.post.page_worker import Opened, Order, Page, Setup
from adapters.post.recognise import MODELS, ReadPage, available_models, models_for, orientation, recognise
from adapters.post.words import language_of

__all__ = ["NOT_INSTALLED", "Letter", "PageResult", "read_letter"]

NOT_INSTALLED = "text recognition is not installed"
_BLANK_COMPONENTS = 1
"""Fewer specks of type size than this: nothing is written on the page."""
_UNREAD = 0.85
"""Below this coverage the page may stand on its head: look before giving up."""
_READ_WITH_OWN_MODEL_FIRST = frozenset(("nb",))
"""Another model read first now and then writes its own letters for theirs: "när jeg fär" for "når jeg får"."""
_SECOND_TRY = (150, 8)
"""Dots per inch and CPU seconds of the second try of a page that killed its child."""


class PageResult(msgspec.Struct, frozen=True, kw_only=True):
    """One page: what was read, its codes, or why it was not read."""

    number: int
    read: ReadPage | None = None
    codes: tuple[dict[str, Any], ...] = ()
    blank: bool = False
    turned: int = 0
    problem: str = ""


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """Every page in order, or the problem of the file as a whole."""

    pages: tuple[PageResult, ...] = ()
    problem: str = ""


def read_letter(data: bytes, config: PostConfig) -> Letter:
    """Read the bytes of a PDF, TIFF, JPEG or PNG. Never raises for what the bytes are."""
    available = available_models(config.tesseract)
    models = models_for(config.languages, available or frozenset())
    deadline = time.monotonic() + config.letter_s
    with tempfile.TemporaryDirectory(prefix="contactbus-post-") as name:
        folder = Path(name)
        (folder / "scan").write_bytes(data)
        with _Opener(folder, config, deadline) as opener, ThreadPoolExecutor(config.ocr_processes) as pool:
            opened = opener.open()
            if opened.problem:
                return Letter(problem=opened.problem)
            reading = _Reading(opener, config, models, folder, deadline)
            # The first page tells the language, so that the others are read with its model first.
            pages = [reading.upright(reading.first(opener.page(0)))]
            reading.prefer(pages[0])
            waiting: deque[Future[PageResult]] = deque()
            for number in range(1, opened.pages):
                # Pages are prepared only as fast as they are read, so that temporary space stays small.
                if len(waiting) > config.ocr_processes:
                    pages.append(waiting.popleft().result())
                waiting.append(pool.submit(reading.first, opener.page(number)))
            pages += [future.result() for future in waiting]
            pages = [reading.upright(page) for page in pages]
    return Letter(pages=tuple(pages), problem="" if models else NOT_INSTALLED)


class _Reading:
    """Recognition of prepared pages with one letter's settings."""

    def __init__(self, opener: "_Opener", config: PostConfig, models: str, folder: Path, deadline: float) -> None:
        self._opener, self._config, self._models = opener, config, models
        self._folder, self._deadline = folder, deadline

    def first(self, page: Page) -> PageResult:
        """Recognise a page as it lies."""
        return self._recognised(page, 0)

    def prefer(self, page: PageResult) -> None:
        """Read further pages with the model of this page's language first."""
        if page.read is not None:
            self._models = _with_first(self._models, _language(page.read, self._config.languages))

    def upright(self, result: PageResult) -> PageResult:
        """A page that was not read may lie on its head or side: find out, turn it, and keep the better reading."""
        if not self._models or result.blank or result.problem or result.read is None or result.read.coverage >= _UNREAD:
            return result
        turn = self._turn_of(result)
        if not turn or time.monotonic() > self._deadline:
            return result
        again = self._recognised(self._opener.page(result.number, turn=turn), turn)
        better = again.read is not None and again.read.coverage > result.read.coverage
        return again if better else result

    def _turn_of(self, result: PageResult) -> int:
        """Degrees anticlockwise that set the page upright, by a code on it (free) or by the recogniser."""
        for code in result.codes:
            quarter = round(code["turned"] / 90) * 90 % 360
            if quarter:
                return quarter
        picture = self._opener.page(result.number)
        if picture.problem:
            return 0
        return orientation(self._config.tesseract, self._folder / picture.file, **self._limits())

    def _recognised(self, page: Page, turned: int) -> PageResult:
        if page.problem:
            return PageResult(number=page.page, problem=page.problem)
        picture = self._folder / page.file
        try:
            if len(page.ink) < _BLANK_COMPONENTS:
                return PageResult(number=page.page, codes=tuple(page.codes), blank=True)
            if not self._models:
                return PageResult(number=page.page, codes=tuple(page.codes))
            read = self._read(page, picture, self._models)
            language = _language(read, self._config.languages) if read is not None else ""
            models = _with_first(self._models, language)
            if language in _READ_WITH_OWN_MODEL_FIRST and models != self._models:
                read = self._read(page, picture, models) or read
        finally:
            picture.unlink(missing_ok=True)
        problem = "" if read is not None else "took too long to read"
        return PageResult(number=page.page, read=read, codes=tuple(page.codes), turned=turned, problem=problem)

    def _read(self, page: Page, picture: Path, models: str) -> ReadPage | None:
        return recognise(
            self._config.tesseract, models, picture, page=page.page, dpi=page.dpi, ink=page.ink, **self._limits()
        )

    def _limits(self) -> Any:
        return {
            "cpu_s": self._config.page_cpu_s,
            "megabytes": self._config.page_megabytes,
            "wall_s": self._deadline - time.monotonic(),
        }


def _language(read: ReadPage, languages: tuple[str, ...]) -> str:
    return language_of(" ".join(line.text for line in read.lines), languages)


def _with_first(models: str, language: str) -> str:
    """The same models with that of a language first."""
    own = MODELS.get(language, "")
    names = models.split("+")
    return "+".join([own, *(name for name in names if name != own)]) if own in names else models


class _Opener:
    """The child that opens the file, started again when a page killed it."""

    def __init__(self, folder: Path, config: PostConfig, deadline: float) -> None:
        self._folder, self._config, self._deadline = folder, config, deadline
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "_Opener":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def open(self) -> Opened:
        """Start a child and let it open the file."""
        self._stop()
        self._process = limited.start(limited.python_module("adapters.post.page_worker"))
        setup = Setup(
            file=str(self._folder / "scan"),
            folder=str(self._folder),
            pixels=self._config.page_pixels,
            pages=self._config.letter_pages,
            megabytes=self._config.page_megabytes,
        )
        answer = self._ask(setup)
        return msgspec.json.decode(answer, type=Opened) if answer else Opened(problem="the file cannot be opened")

    def page(self, number: int, *, turn: int = 0) -> Page:
        """One page, prepared. A page that ends the child twice is a page with a problem."""
        dpi, cpu_s = _SECOND_TRY
        orders = (
            Order(page=number, cpu_s=self._config.page_cpu_s, turn=turn),
            Order(page=number, cpu_s=min(cpu_s, self._config.page_cpu_s), dpi=dpi, turn=turn),
        )
        for order in orders:
            if time.monotonic() > self._deadline:
                return Page(page=number, problem="was left out: the letter took too long")
            if self._process is None and self.open().problem:
                break
            answer = self._ask(order)
            if answer:
                return msgspec.json.decode(answer, type=Page)
            self._stop()
        return Page(page=number, problem="cannot be drawn within the limits")

    def _ask(self, question: Setup | Order) -> bytes:
        """One line to the child and its answer; empty when it died, hung or ran into a limit."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return b""
        try:
            process.stdin.write(msgspec.json.encode(question) + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            return b""
        wall_s = min(self._config.page_cpu_s * 2.0, self._deadline - time.monotonic())
        answer = bytearray()
        with _readable(process.stdout) as wait:
            until = time.monotonic() + wall_s
            while not answer.endswith(b"\n"):
                if not wait(until - time.monotonic()):
                    return b""
                piece = process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
                if not piece:
                    return b""
                answer += piece
        return bytes(answer)

    def _stop(self) -> None:
        if self._process is not None:
            limited.kill(self._process)
            self._process = None


@contextmanager
def _readable(pipe: Any) -> Iterator[Any]:
    """A function that waits so many seconds for bytes in a pipe."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    yield lambda seconds: bool(poll.poll(max(0, int(seconds * 1000))))
