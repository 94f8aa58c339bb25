"""Headers that keep what customers send from becoming a program in somebody's browser."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

__all__ = ["attachment_headers", "page_headers"]


def page_headers(*, frame_ancestors: str = "'none'", frames: Sequence[str] = ()) -> Mapping[str, str]:
    """Headers of a page of ours: own scripts and styles from files only, nothing inline, nothing foreign.

    `frame_ancestors` is widened by the widget alone, which lives inside other people's pages. `frames` are sources
    that the page itself may frame. Trusted types make the browser refuse any text that is put into the page as markup.
    """
    policy = [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        f"frame-src {' '.join(frames) or chr(39) + 'none' + chr(39)}",
        f"frame-ancestors {frame_ancestors}",
        "require-trusted-types-for 'script'",
    ]
    headers = {
        "Content-Security-Policy": "; ".join(policy),
        "X-Content-Type-Options": "nosniff",
        # Not "no-referrer": with it browsers name the origin of our own forms as null.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
        "Cache-Control": "no-store",
    }
    if frame_ancestors == "'none'":
        headers["X-Frame-Options"] = "DENY"
    return headers


def attachment_headers(name: str) -> Mapping[str, str]:
    """Headers for bytes that somebody sent us: saved, never shown, and in a sandbox should a browser show them.

    `name` is the sender's own; it is quoted (RFC 6266, RFC 5987) and cannot add a header or a path.
    """
    shown = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())[:120] or "attachment"
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_. ") else "_" for c in shown)
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(shown, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "private, no-store",
    }
