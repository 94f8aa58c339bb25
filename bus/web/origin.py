"""Whether a request comes from a page of ours."""

from urllib.parse import urlsplit

from aiohttp import web

__all__ = ["own_origin"]


def own_origin(request: web.Request) -> bool:
    """Whether a page of this very host sent the request. Browsers name the origin of every POST."""
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    origin = urlsplit(request.headers.get("Origin", ""))
    return site == "same-origin" and origin.scheme in ("http", "https") and origin.netloc == request.host
