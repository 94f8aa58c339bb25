"""The start page under `/`: live rows per channel, the doors to try, what just happened, mailbox and letter tray.

Doors, records, mailbox and letters are there in the demo only, where every customer is invented. Without it the page
says how to send things in, what is missing, and counts.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from bus.log.port import TopicPartition
from bus.log.topics import topic
from bus.message import encode
from bus.web import own_origin, page_file, page_headers, static_files
from bus.web.feed import FeedItem, stream
from deploy.start.doors import Closed, Doors
from deploy.start.journeys import Board, Journey, watched_topics
from deploy.start.post_room import PostRoom
from deploy.start.samples import with_samples
from deploy.start.services import StartServices

__all__ = ["StartPages"]

_PAGES = Path(__file__).parent / "page"

_MAX_TEXT = 20_000
_MAX_LETTER_BYTES = 25 * 1024 * 1024
"""What the post adapter takes."""

T = TypeVar("T")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Mail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    address: str
    subject: str
    text: str


class _Letter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    language: str
    sender: tuple[str, ...]


class _Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: str
    caller: str
    says: tuple[str, ...]


class StartPages:
    """Routes of the start page. `follow` runs for as long as the process does; `close` ends the feeds."""

    def __init__(self, services: StartServices) -> None:
        self._services = services
        self._board = Board(services.tenant)
        self._doors = Doors(services)
        self._post_room = PostRoom(services)
        self._closing = asyncio.Event()
        self._watching: set[_Watcher] = set()
        self._topics = watched_topics(list(services.channels))
        # From the beginning in the demo, so that a page opened late, or after a new start, has something to tell.
        # The position is taken now: whatever comes in before `follow` runs is not missed.
        places = [TopicPartition(name, number) for name in self._topics for number in range(topic(name).partitions)]
        self._tail = services.log.tail(self._topics, after=dict.fromkeys(places, -1) if services.demo else None)

    def routes(self) -> list[web.RouteDef]:
        """`/` and what belongs to it."""
        shown = [
            *static_files("/start/static", _PAGES),
            web.get("/", self._page("index.html")),
            web.get("/start/api/about", self._about),
            web.get("/start/api/feed", self._feed),
        ]
        if not self._services.demo:
            return shown
        return [
            *shown,
            *self._post_room.routes(),
            web.get("/mailbox", self._page("mailbox.html")),
            web.get("/letters", self._page("letters.html")),
            web.get("/start/api/record", self._record),
            web.post("/start/api/mail", self._own_page(self._mail)),
            web.post("/start/api/letter", self._own_page(self._letter)),
            web.post("/start/api/scan", self._own_page(self._scan)),
            web.post("/start/api/call", self._own_page(self._call)),
            web.post("/start/desk", self._desk),
        ]

    async def follow(self) -> None:
        """Read the log and tell the pages. Never ends; run it under supervision."""
        try:
            async for record in self._tail:
                journey = self._board.observe(record)
                if journey is None:
                    continue
                for watcher in self._watching:
                    watcher.tell(journey)
        except Exception:
            # Followed anew from here: a page that only shows may miss what comes in meanwhile.
            self._tail = self._services.log.tail(self._topics)
            raise

    async def close(self) -> None:
        """End all feeds."""
        self._closing.set()

    def _page(self, name: str) -> Handler:
        async def show(_request: web.Request) -> web.StreamResponse:
            return page_file(_PAGES / name, page_headers())

        return show

    async def _about(self, _request: web.Request) -> web.StreamResponse:
        services, pack = self._services, self._services.pack
        about: dict[str, Any] = {
            "demo": services.demo,
            "pack": pack.id,
            "company": {language: pack.company(language) for language in pack.languages},
            "channels": list(services.channels),
            "issues": {label: issue.names for label, issue in pack.issues.items()},
            "departments": {key: department.names for key, department in pack.file.departments.items()},
            "smtp": services.smtp,
            "mail_address": services.mail_address,
            "drop_folder": str(services.drop_folder or ""),
            "letter_tray": str(services.letter_tray or ""),
            "phone_numbers": dict(services.phone_numbers),
            "missing": list(services.missing),
            "counts": self._board.counts,
            "server_time": services.clock.now(),
        }
        if services.demo:
            about["customers"] = with_samples(services.customers)
            about["mailbox"] = services.mailbox is not None
        return _json(about)

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        return await stream(request, self._news(), cursor="", closing=self._closing)

    async def _news(self) -> AsyncIterator[FeedItem]:
        """First everything that is on the board, then each change. A page that comes back begins with all again."""
        watcher = _Watcher()
        self._watching.add(watcher)
        try:
            if self._services.demo:
                board = [msgspec.to_builtins(journey) for journey in self._board.newest()]
                yield FeedItem(cursor="", kind="board", data=board)
            while True:
                if not self._services.demo:
                    yield FeedItem(cursor="", kind="counts", data=self._board.counts)
                for journey in await watcher.news():
                    if self._services.demo:
                        yield FeedItem(cursor="", kind="journey", data=msgspec.to_builtins(journey))
        finally:
            self._watching.discard(watcher)

    async def _record(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        topic, partition, offset = query.get("topic", ""), query.get("partition", ""), query.get("offset", "")
        if topic not in self._topics or not (partition.isdigit() and offset.isdigit()) or len(offset) > 18:
            return _json({"error": "gone"}, 404)
        records = await self._services.log.read(topic, int(partition), start=int(offset), limit=1)
        if not records or records[0].offset != int(offset):
            return _json({"error": "gone"}, 404)
        record = records[0]
        fields = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key,
            "headers": dict(record.headers),
            "value": msgspec.Raw(record.value),
        }
        return _json(fields)

    def _own_page(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if request.headers.get("X-Contactbus-Start") != "1" or not own_origin(request):
                return _json({"error": "foreign"}, 403)
            try:
                return await handler(request)
            except Closed as closed:
                return _json({"error": closed.word}, 422)

        return guarded

    async def _mail(self, request: web.Request) -> web.StreamResponse:
        form = await _body(request, _Mail)
        if form is None or "@" not in form.address or not form.text.strip() or len(form.text) > _MAX_TEXT:
            return _json({"error": "form"}, 400)
        sent = await self._doors.mail(name=form.name, address=form.address, subject=form.subject, text=form.text)
        return _json({"sent": sent})

    async def _letter(self, request: web.Request) -> web.StreamResponse:
        form = await _body(request, _Letter)
        if form is None or not form.text.strip() or len(form.text) > _MAX_TEXT or len(form.sender) > 6:
            return _json({"error": "form"}, 400)
        if form.language not in self._services.pack.languages:
            return _json({"error": "form"}, 400)
        name = await self._doors.written_letter(text=form.text, language=form.language, sender=form.sender)
        return _json({"sent": name})

    async def _scan(self, request: web.Request) -> web.StreamResponse:
        if request.content_length is None or request.content_length > _MAX_LETTER_BYTES:
            return _json({"error": "door.letter.large"}, 413)
        name = request.headers.get("X-File-Name", "")
        ending = f".{name.rpartition('.')[2]}" if "." in name else ""
        return _json({"sent": await self._doors.letter(await request.read(), ending)})

    async def _call(self, request: web.Request) -> web.StreamResponse:
        form = await _body(request, _Call)
        if form is None or not form.caller.startswith("+") or not form.caller[1:].isdigit():
            return _json({"error": "form"}, 400)
        says = [line.strip() for line in form.says if line.strip()]
        return _json({"heard": await self._doors.call(number=form.number, caller=form.caller, says=says)})

    async def _desk(self, request: web.Request) -> web.StreamResponse:
        link = self._services.desk_link
        if not own_origin(request) or link is None:
            return _json({"error": "foreign"}, 403)
        # A form of ours leads there: the link of the same server, used up by its own page.
        path = link().partition("/desk/")[2]
        return web.Response(status=303, headers={**page_headers(), "Location": f"/desk/{path}"})


class _Watcher:
    """One page: what has moved since it was last told, each contact once, however slowly it reads."""

    def __init__(self) -> None:
        self._moved: dict[str, Journey] = {}
        self._something = asyncio.Event()

    def tell(self, journey: Journey) -> None:
        """This contact has moved."""
        self._moved[journey.contact] = journey
        self._something.set()

    async def news(self) -> list[Journey]:
        """What has moved, as soon as something has."""
        await self._something.wait()
        self._something.clear()
        moved, self._moved = self._moved, {}
        return list(moved.values())


def _json(value: object, status: int = 200) -> web.Response:
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
    return web.Response(body=encode(value), status=status, content_type="application/json", headers=headers)


async def _body(request: web.Request, kind: type[T]) -> T | None:
    if request.content_type != "application/json" or (request.content_length or 0) > 256 * 1024:
        return None
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
