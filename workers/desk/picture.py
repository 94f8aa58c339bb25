"""A page of a scan as a picture, drawn in a process of its own with limits: a scan is a stranger's file.

Run as a module: `media type` and `page` (from 0) as arguments, the file on standard input, a PNG on standard output;
with `count` instead of a page, the number of pages as digits.
Exit status 3 says that there is no such page, anything else but 0 that the file could not be drawn.
"""

import asyncio
import contextlib
import os
import resource
import signal
import sys

__all__ = ["NoPicture", "Pictures"]

SECONDS = 10
MEGABYTES = 1024
"""An A4 page at 600 dpi in colour is 105 MB when unpacked; pdfium keeps a few copies."""

LONGEST_SIDE = 1600
"""Pixels: a letter is readable on a screen at about 140 dpi."""

LARGEST_PNG = 16 * 1024 * 1024
NO_SUCH_PAGE = 3
COUNT = "count"


class NoPicture(Exception):
    """The file cannot be shown as a picture, or has no such page."""


class Pictures:
    """Draws pages, a few at a time."""

    def __init__(self, at_once: int = 2) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def draw(self, data: bytes, media_type: str, page: int) -> bytes:
        """PNG of a page. Raises NoPicture."""
        png = await self._run(data, media_type, str(page))
        if not png.startswith(b"\x89PNG") or len(png) > LARGEST_PNG:
            raise NoPicture("file")
        return png

    async def count(self, data: bytes, media_type: str) -> int:
        """How many pages a file has. Raises NoPicture."""
        digits = await self._run(data, media_type, COUNT)
        if not digits.isdigit() or len(digits) > 6:
            raise NoPicture("file")
        return int(digits)

    async def _run(self, data: bytes, media_type: str, what: str) -> bytes:
        async with self._free:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "workers.desk.picture", media_type, what,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            try:
                async with asyncio.timeout(SECONDS * 2):
                    out, _ = await process.communicate(data)
            except TimeoutError:
                raise NoPicture("time") from None
            finally:
                if process.returncode is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
        if process.returncode != 0:
            raise NoPicture("page" if process.returncode == NO_SUCH_PAGE else "file")
        return out


def _draw(data: bytes, media_type: str, page: int) -> bytes | None:
    import io
    import warnings

    from PIL import Image

    warnings.simplefilter("error", Image.DecompressionBombWarning)
    if media_type == "application/pdf":
        import pypdfium2

        document = pypdfium2.PdfDocument(data)
        if page >= len(document):
            return None
        sheet = document[page]
        scale = LONGEST_SIDE / max(*sheet.get_size(), 1)
        picture = sheet.render(scale=scale).to_pil()
    else:
        picture = Image.open(io.BytesIO(data), formats=("TIFF", "JPEG", "PNG"))
        if page >= getattr(picture, "n_frames", 1):
            return None
        picture.seek(page)
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    out = io.BytesIO()
    picture.convert("L" if picture.mode in ("1", "L") else "RGB").save(out, "PNG", optimize=False)
    return out.getvalue()


def _count(data: bytes, media_type: str) -> int:
    import io

    from PIL import Image

    if media_type == "application/pdf":
        import pypdfium2

        return len(pypdfium2.PdfDocument(data))
    return getattr(Image.open(io.BytesIO(data), formats=("TIFF", "JPEG", "PNG")), "n_frames", 1)


def _main() -> None:
    limit = MEGABYTES * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data, media_type, what = sys.stdin.buffer.read(), sys.argv[1], sys.argv[2]
    if what == COUNT:
        sys.stdout.write(str(_count(data, media_type)))
        return
    png = _draw(data, media_type, int(what))
    if png is None:
        sys.exit(NO_SUCH_PAGE)
    sys.stdout.buffer.write(png)


if __name__ == "__main__":
    _main()
