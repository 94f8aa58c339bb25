"""The chat adapter: doors, sockets, and the follower that notices what other processes wrote."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog
from aiohttp import WSMsgType, web

from adapters.chat.config import ChatConfig
from adapters.chat.conversations import Conversations, session_of
from adapters.chat.events import Events
from adapters.chat.hub import Hub
from adapters.chat.limits import Buckets, Origins, Peers
from adapters.chat.normalise import MANIFEST
from adapters.chat.protocol import Close, Hello, MalformedFrame, decode_client
from adapters.chat.sessions import BadIdentity, Sessions
from adapters.chat.visit import Socket, Visit
from bus.adapter.contract import Health, SendResult, Services
from bus.errors import Overloaded, TransientError
from bus.message import Reply
from bus.web import page_file, page_headers, static_files

__all__ = ["ChatAdapter"]

log = structlog.get_logger()

_WEB = Path(__file__).parent / "web"
_LARGEST_REQUEST = 8_192
"""Bytes of a session request: two tokens and nothing else."""
_QUEUE_TICKS = 4
"""Places in the queue are counted every so many rounds of the follower: people look, they do not stare."""
_EXPECT_EVERY_S, _EXPECT_S = 0.025, 2.0
"""After a hint of a reply its conversation is looked at so often, so long: until another process has written it."""
_FORGET_EVERY_S = 60.0
"""Some old conversations are deleted so often: 200 a minute are more than begin."""
_LONGEST_WAIT = timedelta(days=1)
"""Who has waited longer for a person is no longer in front of the window."""


class _SessionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /chat/session`: an old token to go on with, an identity token of the host site."""

    token: str = ""
    identity: str = ""


class ChatAdapter:
    """Web chat of one tenant."""

    manifest = MANIFEST

    def __init__(self, config: ChatConfig, services: Services) -> None:
        self._config, self._services = config, services
        random: Callable[[int], bytes] = services.options.get("random_bytes", os.urandom)
        self._random = random
        self._events = Events(services.store, services.tenant)
        self._hub = Hub()
        self._sessions = Sessions(config, services.signer, services.tenant, services.clock.now, random)
        self._conversations = Conversations(config, services, self._events, self._hub)
        self._origins = Origins(services.public_url, config.sites)
        self._peers = Peers(config.sockets_per_peer, config.trusted_proxies)
        per_minute = config.sessions_per_peer_per_minute
        self._mintings = Buckets(per_minute / 60, per_minute, services.clock.monotonic)
        self._expected: dict[str, tuple[int, float]] = {}
        """Conversations with a hint: the place that was known when it came, and until when to look for more."""
        self._hinted = asyncio.Event()
        self._draining = False

    # --- the contract of an adapter

    def routes(self) -> Sequence[web.RouteDef]:
        """Socket, session, and the widget's files."""
        return [
            web.post("/chat/session", self._open_session),
            web.options("/chat/session", self._preflight),
            web.get("/chat/socket", self._socket),
            web.get("/chat/frame", self._frame_page),
            web.get("/chat/demo", self._demo_page),
            *static_files("/chat", _WEB),
        ]

    async def receive(self) -> None:
        """Follow what other processes write into the conversations that have sockets here, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._look_regularly())
                tasks.create_task(self._look_where_hinted())
                tasks.create_task(self._forget_old())
                if self._services.follow is not None:
                    async for reply in self._services.follow():
                        self._expect(session_of(reply))
        except asyncio.CancelledError:
            self._draining = True
            raise

    async def send(self, reply: Reply, attempt: int) -> SendResult:
        """Write the reply into its conversation. Repeating it changes nothing: its id is unique there."""
        return await self._conversations.deliver(reply)

    async def probe(self) -> Health:
        """Whether the conversations can be read."""
        try:
            await self._events.head("")
        except TransientError:
            return Health(ok=False, detail="the conversations cannot be read", fix="look at the data folder's disk")
        return Health(ok=True, detail=f"{len(self._hub.visitors())} visitors connected")

    async def close(self) -> None:
        """Ask every visitor to come back at a moment of its own, and close its socket."""
        self._draining = True
        await asyncio.gather(*(visitor.drain() for visitor in self._hub.visitors()), return_exceptions=True)

    # --- following other processes

    async def _look_regularly(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(self._config.follow_every_s)
            ticks += 1
            try:
                await self._follow(count_queue=ticks % _QUEUE_TICKS == 0)
            except TransientError as error:
                log.warning("chat events could not be followed", channel="chat", exc_info=error)

    def _expect(self, session: str) -> None:
        head = self._hub.head(session)
        if head is not None:
            self._expected[session] = (head, self._services.clock.monotonic() + _EXPECT_S)
            self._hinted.set()

    async def _look_where_hinted(self) -> None:
        while True:
            await self._hinted.wait()
            await asyncio.sleep(_EXPECT_EVERY_S)
            now = self._services.clock.monotonic()
            # Where the sockets were waked since, the reply was written by this very process, or was seen already.
            self._expected = {
                session: (head, until)
                for session, (head, until) in self._expected.items()
                if self._hub.head(session) == head and now < until
            }
            if not self._expected:
                self._hinted.clear()
                continue
            try:
                for session, head in (await self._events.heads(list(self._expected))).items():
                    self._hub.wake(session, head)
            except TransientError:
                # The regular look says so.
                self._expected.clear()

    async def _forget_old(self) -> None:
        while True:
            try:
                await self._events.forget(self._services.clock.now() - timedelta(days=self._config.keep_days))
            except TransientError as error:
                log.warning("old chats could not be forgotten", channel="chat", exc_info=error)
            await asyncio.sleep(_FORGET_EVERY_S)

    async def _follow(self, *, count_queue: bool) -> None:
        sessions = self._hub.sessions
        if sessions:
            for session, head in (await self._events.heads(sessions)).items():
                self._hub.wake(session, head)
        if count_queue and any(visitor.waits for visitor in self._hub.visitors()):
            since = self._services.clock.now() - _LONGEST_WAIT
            for ahead, session in enumerate(await self._events.waiting(since)):
                for visitor in self._hub.visitors_of(session):
                    visitor.tell_queue(ahead)

    # --- doors

    async def _open_session(self, request: web.Request) -> web.Response:
        origin = request.headers.get("Origin")
        if not self._origins.allows(origin):
            return _answer(403, {"error": "origin"})
        headers = _cors(origin)
        if (wait := self._mintings.take(self._peers.of(request))) > 0:
            return _answer(429, {"error": "rate"}, {**headers, "Retry-After": str(int(wait) + 1)})
        body = await request.content.read(_LARGEST_REQUEST + 1)
        while len(body) <= _LARGEST_REQUEST and (more := await request.content.read(_LARGEST_REQUEST)):
            body += more
        try:
            if len(body) > _LARGEST_REQUEST:
                raise msgspec.ValidationError
            wish = msgspec.json.decode(body or b"{}", type=_SessionRequest)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return _answer(400, {"error": "malformed"}, headers)
        old = self._sessions.renewable(wish.token) if wish.token else None
        try:
            identity = self._sessions.identity(wish.identity) if wish.identity else old.identity if old else None
        except BadIdentity:
            return _answer(403, {"error": "identity"}, headers)
        session = old.id if old else self._sessions.new()
        answer = {
            "token": self._sessions.mint(session, identity),
            "session": session,
            "resumed": old is not None,
            "expires_s": self._config.token_minutes * 60,
            "company": dict(self._services.options.get("company", {})),
        }
        return _answer(200, answer, headers)

    async def _preflight(self, request: web.Request) -> web.Response:
        origin = request.headers.get("Origin")
        if not self._origins.allows(origin):
            return _answer(403, {"error": "origin"})
        more = {"Access-Control-Allow-Methods": "POST", "Access-Control-Allow-Headers": "Content-Type"}
        return web.Response(status=204, headers={**_cors(origin), **more, "Access-Control-Max-Age": "600"})

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        """Everything that needs no hello is refused before the upgrade."""
        if self._draining:
            return _answer(503, {"error": "restart"}, {"Retry-After": "5"})
        if not self._origins.allows(request.headers.get("Origin")):
            return _answer(403, {"error": "origin"})
        try:
            with self._peers.place(self._peers.of(request)):
                socket = Socket()
                await socket.prepare(request)
                await self._visit(socket, request)
                return socket
        except Overloaded:
            return _answer(429, {"error": "sockets"}, {"Retry-After": "30"})

    async def _visit(self, socket: Socket, request: web.Request) -> None:
        hello = await self._hello(socket)
        if hello is None:
            return
        session = self._sessions.open(hello.token)
        if session is None:
            await socket.close(code=Close.TOKEN)
            return
        transport = request.transport
        visit = Visit(
            socket,
            session,
            hello,
            abort=transport.abort if transport is not None else lambda: None,
            restart_delay_ms=self._restart_delay_ms,
            config=self._config,
            clock=self._services.clock,
            events=self._events,
            conversations=self._conversations,
        )
        try:
            await visit.run(self._hub)
        except ConnectionError:
            # The visitor's line broke while we were speaking: the ordinary end of many visits.
            log.debug("chat line broke", channel="chat")
        except TransientError as error:
            # The conversation cannot be read now: say when to come back.
            log.warning("chat visit put off", channel="chat", exc_info=error)
            with suppress(ConnectionError):
                await visit.drain()
        except Exception as error:
            log.error("chat visit failed", channel="chat", exc_info=error)
        finally:
            await socket.close(code=Close.RESTART)

    async def _hello(self, socket: Socket) -> Hello | None:
        try:
            async with asyncio.timeout(self._config.hello_timeout_s):
                message = await socket.receive()
        except TimeoutError:
            await socket.close(code=Close.NO_HELLO)
            return None
        try:
            frame = decode_client(message.data) if message.type is WSMsgType.TEXT else None
        except MalformedFrame:
            frame = None
        if isinstance(frame, Hello) and frame.v == 1:
            return frame
        await socket.close(code=Close.POLICY)
        return None

    def _restart_delay_ms(self) -> int:
        share = int.from_bytes(self._random(4), "big") / 2**32
        return int(share * self._config.restart_spread_s * 1000)

    # --- pages

    async def _frame_page(self, request: web.Request) -> web.Response:
        return page_file(_WEB / "frame.html", page_headers(frame_ancestors=" ".join(["'self'", *self._config.sites])))

    async def _demo_page(self, request: web.Request) -> web.Response:
        return page_file(_WEB / "demo.html", page_headers(frames=["'self'"]))


def _cors(origin: str | None) -> dict[str, str]:
    """A site may read the answer only because it was allowed by name; without cookies there is nothing to steal."""
    return {"Access-Control-Allow-Origin": origin or "null", "Vary": "Origin"}


def _answer(status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **(headers or {})},
    )
