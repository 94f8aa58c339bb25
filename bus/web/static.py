"""Files of our own pages, kept in memory, compressed once, checked by entity tag.

The names carry no version, so a browser asks each time and gets an empty 304 while nothing has changed: an upgrade of
the product shows at once.
"""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

__all__ = ["page_file", "routes", "static_files"]

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
"""What is served; anything else in a folder (Python source above all) is not there for the network."""

_KEEP = {".svg": "public, max-age=86400"}
"""Icons are drawn again and again, also while the line is down; everything else is asked for each time."""

_WORTH_COMPRESSING = 512
"""Below this many bytes the gzip frame eats the gain."""


@dataclass(frozen=True)
class _File:
    body: bytes
    packed: bytes
    media_type: str
    tag: str
    keep: str


def routes() -> list[web.RouteDef]:
    """`/assets/...`: what all pages share; and the icon that browsers ask for of themselves."""
    here = Path(__file__).parent
    return [*static_files("/assets", here), web.get("/favicon.ico", _handler(_read(here / "logo.svg")))]


def static_files(prefix: str, folder: Path) -> list[web.RouteDef]:
    """Routes for the page files in a folder and its subfolders, read now; nothing outside of them can be asked for."""
    return [
        web.get(f"{prefix}/{path.relative_to(folder).as_posix()}", _handler(_read(path)))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix in _TYPES and path.suffix != ".html"
    ]


def page_file(path: Path, headers: Mapping[str, str]) -> web.Response:
    """One of our own HTML pages with the headers of `page_headers`."""
    return web.Response(body=path.read_bytes(), content_type="text/html", charset="utf-8", headers=headers)


def _read(path: Path) -> _File:
    body = path.read_bytes()
    packed = gzip.compress(body, mtime=0) if len(body) >= _WORTH_COMPRESSING else b""
    tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    return _File(body, packed, _TYPES[path.suffix], tag, _KEEP.get(path.suffix, "public, no-cache"))


def _handler(file: _File) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(request: web.Request) -> web.Response:
        headers = {
            "ETag": file.tag,
            "Cache-Control": file.keep,
            "X-Content-Type-Options": "nosniff",
            "Vary": "Accept-Encoding",
        }
        if file.tag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = file.media_type
        if file.packed and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=file.packed, headers=headers)
        return web.Response(body=file.body, headers=headers)

    return serve
