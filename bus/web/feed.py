"""Server-sent events: how a page hears of changes (WHATWG HTML, section "Server-sent events").

Each event carries a cursor as its id; a browser that comes back names the last one it saw. The first event is
`ready`, and a `beat` every few seconds tells a page that the line is alive, so that it can say at once when it is not.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

__all__ = ["FeedItem", "cursor_of", "stream"]

BEAT_S = 10.0
"""The page calls the line dead after 25 s (live.js): two beats may be late."""


class FeedItem(msgspec.Struct, frozen=True, kw_only=True):
    """One event: its cursor, the kind the page listens for, and what is told."""

    cursor: str
    kind: str
    data: Any


def cursor_of(request: web.Request) -> str:
    """The last cursor that this page saw, or nothing."""
    return request.query.get("after") or request.headers.get("Last-Event-ID", "")


async def stream(
    request: web.Request, items: AsyncIterator[FeedItem], *, cursor: str, closing: asyncio.Event, beat_s: float = BEAT_S
) -> web.StreamResponse:
    """Send `items` until the page goes away or `closing` is set. `cursor` is where the page stands before the first.

    A page that reads slowly holds up its own items only: they are pulled one by one.
    """
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Accel-Buffering": "no",  # a proxy that collects events would make them late
        }
    )
    await response.prepare(request)
    end = asyncio.create_task(closing.wait())
    following: asyncio.Task[FeedItem] | None = None
    try:
        await response.write(_event(FeedItem(cursor=cursor, kind="ready", data={})))
        while not end.done():
            if following is None:
                following = asyncio.ensure_future(anext(items))
            await asyncio.wait((following, end), timeout=beat_s, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                item = following.result()
                following = None
                await response.write(_event(item))
            elif not end.done():
                await response.write(b"event: beat\ndata: {}\n\n")
    except (StopAsyncIteration, ConnectionError):
        pass
    finally:
        end.cancel()
        if following is not None:
            following.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await following
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()
    return response


def _event(item: FeedItem) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (
        item.cursor.encode("ascii", "ignore"),
        item.kind.encode("ascii", "ignore"),
        msgspec.json.encode(item.data),
    )
