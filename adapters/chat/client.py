"""A visitor without a browser: for the command line, for tests, and for bots of others.

It keeps what was not yet confirmed and sends it again after every break, so a message is lost only with the client.
"""

import asyncio
import random
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from adapters.chat.protocol import (
    Ack,
    Bye,
    ClientFrame,
    Close,
    Drain,
    Event,
    Hello,
    MalformedFrame,
    Nack,
    Ping,
    Pong,
    Reset,
    Send,
    Sent,
    Welcome,
    decode_server,
    encode_frame,
)

__all__ = ["ChatClient", "ChatRefused"]

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 10.0
"""Full jitter between nothing and twice the last, so that many clients do not come back together."""
_NO_RETRY = (Close.ORIGIN, Close.POLICY)
_CONNECT_S = 3.0
"""A server that does not even take the connection within this is not there."""


class ChatRefused(Exception):
    """The server will not talk with this client, or will not take this message. The text is fit for a terminal."""


class ChatClient:
    """One conversation. Use as `async with ChatClient(url, "de") as chat: answers = await chat.say("Guten Tag")`.

    `events` holds everything of the conversation in its order, the visitor's own messages included. `token` and
    `cursor` are what a later client needs to go on (`resume`). `origin` is named where the server's public address is
    not the one that is dialled. Without `patient` a server that is not there is said at once, instead of waited for.
    """

    def __init__(
        self,
        url: str,
        lang: str = "en",
        *,
        token: str = "",
        cursor: str = "",
        identity: str = "",
        origin: str = "",
        patient: bool = True,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        parts = urlsplit(url)
        self._url = f"{parts.scheme}://{parts.netloc}"
        self._origin = origin or self._url
        self._lang, self._identity, self._new_id, self._jitter = lang, identity, new_id, jitter
        self._patient = patient
        self.token, self.cursor, self.session = token, cursor, ""
        self.events: list[Event] = []
        self._outbox: OrderedDict[str, Send] = OrderedDict()
        self._refused: dict[str, Nack] = {}
        self._one_by_one = False
        """A message was told to come again: the others follow it, each after the one before is safe."""
        self._again: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()
        self._head: str | None = None
        self._caught_up = False
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._http: aiohttp.ClientSession | None = None
        self._line: asyncio.Task[None] | None = None

    @classmethod
    def resume(cls, url: str, token: str, cursor: str = "", *, lang: str = "en") -> "ChatClient":
        """A client that goes on with an earlier conversation."""
        return cls(url, lang, token=token, cursor=cursor)

    async def __aenter__(self) -> "ChatClient":
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self, timeout_s: float = 10.0) -> None:
        """Open the conversation; its history, or what followed the cursor, is in `events` when this returns.

        Raises ChatRefused, or TimeoutError when nobody answers in time.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
        self._http = aiohttp.ClientSession(headers={"Origin": self._origin}, timeout=timeout)
        self._line = asyncio.create_task(self._stay_connected())
        try:
            await self._until(lambda: self._caught_up, timeout_s)
        except BaseException:
            await self.close()
            raise

    async def say(
        self, text: str, *, request: str = "", timeout_s: float = 30.0, idle_s: float = 1.0
    ) -> Sequence[Event]:
        """Say something and wait for the answers.

        The idle rule: the answers are complete when `idle_s` seconds have passed since the last of them without
        another, and after `timeout_s` in any case; no answer within `timeout_s` gives an empty list. An answer is any
        event of the other side that comes after this message was sent. Raises ChatRefused when the message was not
        taken, TimeoutError when it could not be handed over in time.
        """
        known = len(self.events)
        cid = await self.tell(text, request=request, timeout_s=timeout_s)
        ends = time.monotonic() + timeout_s
        while True:
            answers = [e for e in self.events[known:] if e.kind != "message"]
            count = len(self.events)
            left = ends - time.monotonic()
            try:
                await self._until(lambda count=count: len(self.events) != count, min(left, idle_s) if answers else left)
            except TimeoutError:
                self._refused.pop(cid, None)
                return answers

    async def tell(self, text: str, *, request: str = "", timeout_s: float = 30.0) -> str:
        """Say something and wait only until it is durable; the client message id. Raises as `say`."""
        cid = self._new_id()
        frame = Send(cid=cid, text=text, request=request, lang=self._lang)
        self._outbox[cid] = frame
        if not self._one_by_one:
            await self._send(frame)
        await self._until(lambda: cid not in self._outbox, timeout_s)
        if (nack := self._refused.pop(cid, None)) is not None:
            raise ChatRefused(f"the message was not taken: {nack.code}")
        return cid

    async def close(self) -> None:
        """Leave. The conversation stays open on the server."""
        await self._send(Bye())
        if self._again is not None:
            self._again.cancel()
        if self._line is not None:
            self._line.cancel()
            await asyncio.gather(self._line, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    # --- the line

    async def _stay_connected(self) -> None:
        assert self._http is not None
        wait = _FIRST_WAIT_S
        while True:
            pause = None
            try:
                if not self.token:
                    await self._open_session()
                pause, wait = await self._talk(self._http, wait)
            except (aiohttp.ClientError, OSError, TimeoutError):
                if not self._patient and self._head is None:
                    raise ChatRefused(f"no chat answers at {self._url}; is the product running?") from None
            if pause is None:
                pause = self._jitter() * wait
                wait = min(wait * 2, _LONGEST_WAIT_S)
            await asyncio.sleep(pause)

    async def _open_session(self, old: str = "") -> None:
        assert self._http is not None
        # The token itself vouches for who was named once: the site's own word lives shorter than a conversation.
        body = msgspec.json.encode({"token": old, "identity": "" if old else self._identity})
        async with self._http.post(f"{self._url}/chat/session", data=body) as response:
            if response.status in (400, 403, 404):
                raise ChatRefused(f"no chat here: {response.status}")
            response.raise_for_status()
            answer: dict[str, Any] = msgspec.json.decode(await response.read())
        if not answer["resumed"]:
            self.cursor = ""
            self.events.clear()
        self.token, self.session = answer["token"], answer["session"]

    async def _talk(self, http: aiohttp.ClientSession, wait: float) -> tuple[float | None, float]:
        """One socket from hello to end: (pause before the next, or None for the usual one; the usual one)."""
        pause: float | None = None
        async with http.ws_connect(f"{self._url}/chat/socket", compress=0, max_msg_size=1 << 20) as socket:
            await socket.send_str(encode_frame(Hello(token=self.token, cursor=self.cursor, lang=self._lang)))
            try:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    frame = decode_server(message.data)
                    if isinstance(frame, Welcome):
                        self._socket, wait, self.session = socket, _FIRST_WAIT_S, frame.session
                        self._head, self._caught_up = frame.head, frame.head == self.cursor
                        self._one_by_one = False
                        for waiting in list(self._outbox.values()):
                            await socket.send_str(encode_frame(waiting))
                    elif isinstance(frame, Drain):
                        pause = frame.reconnect_after_ms / 1000
                    else:
                        await self._take(frame, socket)
                    self._news.set()
            except MalformedFrame:
                raise ChatRefused("the server does not speak this protocol") from None
            finally:
                self._socket = None
        if socket.close_code in _NO_RETRY:
            raise ChatRefused(f"the server refused the connection: {socket.close_code}")
        if socket.close_code == Close.TOKEN:
            await self._open_session(self.token)
            pause = 0.0
        return pause, wait

    async def _take(self, frame: object, socket: aiohttp.ClientWebSocketResponse) -> None:
        if isinstance(frame, Event):
            self.events.append(frame)
            self.cursor = frame.cursor
            self._caught_up = self._caught_up or frame.cursor == self._head
            await socket.send_str(encode_frame(Ack(cursor=frame.cursor)))
        elif isinstance(frame, Sent):
            self._outbox.pop(frame.cid, None)
            if self._one_by_one:
                await self._next()
        elif isinstance(frame, Nack):
            await self._take_nack(frame)
        elif isinstance(frame, Reset):
            self.events.clear()
            self.cursor = ""
            self._caught_up = self._head == ""
        elif isinstance(frame, Ping):
            await socket.send_str(encode_frame(Pong()))

    async def _take_nack(self, frame: Nack) -> None:
        if frame.cid not in self._outbox:
            return
        if frame.final:
            self._refused[frame.cid] = frame
            del self._outbox[frame.cid]
            if self._one_by_one:
                await self._next()
        elif not self._one_by_one or frame.cid == next(iter(self._outbox)):
            self._one_by_one = True
            if self._again is not None:
                self._again.cancel()
            self._again = asyncio.get_running_loop().call_later(frame.retry_after_s, self._send_next)

    def _send_next(self) -> None:
        self._sending = asyncio.ensure_future(self._next())

    async def _next(self) -> None:
        """The first message that is not safe yet; when there is none, new ones are sent at once again."""
        self._one_by_one = bool(self._outbox)
        if self._outbox:
            await self._send(next(iter(self._outbox.values())))

    async def _send(self, frame: ClientFrame) -> None:
        """Send if there is a line; what matters lies in the outbox and is sent at the next welcome."""
        if self._socket is not None:
            try:
                await self._socket.send_str(encode_frame(frame))
            except (ConnectionError, aiohttp.ClientError):
                self._socket = None

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Wait for a condition that news can change. Raises TimeoutError, or what ended the line."""
        async with asyncio.timeout(max(timeout_s, 0)):
            while not condition():
                self._news.clear()
                if self._line is not None and self._line.done():
                    self._line.result()
                    raise ChatRefused("the conversation was closed")
                news = asyncio.ensure_future(self._news.wait())
                watched = {news} if self._line is None else {news, self._line}
                try:
                    await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
