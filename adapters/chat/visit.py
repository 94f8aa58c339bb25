"""One connected visitor: a socket after its hello, until it ends."""

import asyncio
from collections.abc import Callable

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from adapters.chat.config import MAX_FRAME_BYTES, MAX_TEXT_CHARACTERS, ChatConfig
from adapters.chat.conversations import Conversations
from adapters.chat.events import PAGE, Events, StoredEvent
from adapters.chat.hub import Hub, Room
from adapters.chat.limits import Bucket
from adapters.chat.normalise import LANGUAGES
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
    Queue,
    Read,
    Reset,
    Send,
    Sent,
    ServerFrame,
    TypingNow,
    Welcome,
    cursor_of,
    decode_client,
    encode_frame,
    sequence_of,
)
from adapters.chat.sessions import Session
from bus.clock import Clock
from bus.errors import TransientError

__all__ = ["Socket", "Visit"]

log = structlog.get_logger()

_FRAMES_PER_S, _FRAME_BURST = 20.0, 60.0
"""A busy honest client sends acks, typing and messages at a tenth of this."""
_MOST_MALFORMED = 5
"""Frames that are none, before the socket is closed: a client with one odd frame goes on."""
_MOST_MISSED = 2
"""Pings without any sign of life before the line counts as dead."""
_STORE_AWAY_S = 2.0
"""Pause before the conversation is read again when the store did not answer."""
_TYPING_TTL_S = 8.0
_CLOSE_TIMEOUT_S = 2.0


class Socket(web.WebSocketResponse):
    """A web socket of this protocol: no compression (it costs 100 kB of memory each), small frames."""

    def __init__(self) -> None:
        super().__init__(compress=False, max_msg_size=MAX_FRAME_BYTES, timeout=_CLOSE_TIMEOUT_S)

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        """As the base class, with this protocol's own code for a frame that is too large."""
        if code == WSCloseCode.MESSAGE_TOO_BIG:
            code = Close.TOO_LARGE
        return await super().close(code=code, message=message, drain=drain)


class Visit:
    """Reads the visitor's frames and writes the conversation's events, each in its own task."""

    def __init__(
        self,
        socket: Socket,
        session: Session,
        hello: Hello,
        *,
        abort: Callable[[], None],
        restart_delay_ms: Callable[[], int],
        config: ChatConfig,
        clock: Clock,
        events: Events,
        conversations: Conversations,
    ) -> None:
        self.waits = False
        self._socket, self._session, self._hello = socket, session, hello
        self._abort, self._restart_delay_ms = abort, restart_delay_ms
        self._config, self._clock, self._events, self._conversations = config, clock, events, conversations
        self._language = hello.lang if hello.lang in LANGUAGES else ""
        self._awake = asyncio.Event()
        self._position = 0
        self._reported = {"delivered": 0, "read": 0}
        self._heard = True
        self._ahead: int | None = None
        self._told: int | None = None

    def wake(self) -> None:
        self._awake.set()

    def tell_queue(self, ahead: int) -> None:
        self._ahead = ahead
        self._awake.set()

    async def drain(self) -> None:
        await self._send(Drain(reconnect_after_ms=self._restart_delay_ms()))
        await self._socket.close(code=Close.RESTART)

    async def run(self, hub: Hub) -> None:
        """Until the socket ends. Registered first, then the table is read: nothing can fall between."""
        room = hub.enter(self._session.id, self)
        try:
            await self._welcome(room)
            tasks = {asyncio.create_task(self._write_events()), asyncio.create_task(self._read_frames(room))}
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            hub.leave(self._session.id, self)

    async def _welcome(self, room: Room) -> None:
        head = await self._events.head(self._session.id)
        room.head = max(room.head, head)
        asked = sequence_of(self._hello.cursor) if self._hello.cursor else 0
        resumed = bool(self._hello.cursor) and asked is not None and asked <= head
        await self._send(
            Welcome(
                session=self._session.id,
                head=cursor_of(head) if head else "",
                resumed=resumed,
                server_time=self._clock.now().isoformat(),
                max_text=MAX_TEXT_CHARACTERS,
            )
        )
        if resumed and asked is not None:
            self._position = asked
            await self._seen("delivered", asked)
        elif self._hello.cursor:
            await self._send(Reset(reason="cursor"))

    # --- server to client

    async def _write_events(self) -> None:
        missed = 0
        while True:
            self._awake.clear()
            try:
                events = await self._events.after(self._session.id, self._position)
            except TransientError:
                # Whoever is here stays here; the ping keeps proxies from cutting the line meanwhile.
                await asyncio.sleep(_STORE_AWAY_S)
                await self._send(Ping())
                continue
            for event in events:
                await self._send(_frame(event))
                self._position = event.seq
                self._note_waiting(event)
            if self.waits and self._ahead is not None and self._ahead != self._told:
                self._told = self._ahead
                await self._send(Queue(ahead=self._ahead))
            if len(events) == PAGE:
                continue
            try:
                async with asyncio.timeout(self._config.ping_every_s):
                    await self._awake.wait()
            except TimeoutError:
                missed = 0 if self._heard else missed + 1
                self._heard = False
                if missed >= _MOST_MISSED:
                    self._abort()
                    return
                await self._send(Ping())

    def _note_waiting(self, event: StoredEvent) -> None:
        if event.kind == "handover":
            # A place from an earlier wait says nothing about this one.
            self.waits, self._ahead, self._told = True, None, None
        elif event.speaker == "person" or event.kind == "closed":
            self.waits = False

    async def _send(self, frame: ServerFrame) -> None:
        try:
            async with asyncio.timeout(self._config.send_timeout_s):
                await self._socket.send_str(encode_frame(frame))
        except TimeoutError:
            # Whoever reads nothing would make us remember everything. The table remembers; they come back.
            self._abort()
            raise ConnectionResetError from None

    # --- client to server

    async def _read_frames(self, room: Room) -> None:
        pace = Bucket(_FRAMES_PER_S, _FRAME_BURST, self._clock.monotonic())
        malformed = 0
        async for message in self._socket:
            self._heard = True
            if pace.take(self._clock.monotonic()) > 0:
                await self._socket.close(code=Close.TOO_FAST)
                return
            try:
                if message.type is not WSMsgType.TEXT:
                    raise MalformedFrame
                frame = decode_client(message.data)
            except MalformedFrame:
                malformed += 1
                if malformed > _MOST_MALFORMED:
                    await self._socket.close(code=Close.POLICY)
                    return
                await self._send(Nack(code="malformed", final=True))
                continue
            if isinstance(frame, Bye):
                await self._socket.close()
                return
            await self._handle(frame, room)

    async def _handle(self, frame: ClientFrame, room: Room) -> None:
        if isinstance(frame, Send):
            answer = await self._conversations.say(self._session, room, frame, self._language)
            await self._send(answer)
            if isinstance(answer, Sent) and not self.waits:
                await self._send(TypingNow(ttl_s=_TYPING_TTL_S))
        elif isinstance(frame, Ack):
            await self._seen("delivered", sequence_of(frame.cursor))
        elif isinstance(frame, Read):
            await self._seen("read", sequence_of(frame.upto))

    async def _seen(self, state: str, upto: int | None) -> None:
        # Nobody can have seen what was not sent to them on this socket or before it.
        if upto is None or not self._reported[state] < upto <= self._position:
            return
        try:
            await self._conversations.seen(self._session.id, upto, state)
        except TransientError as error:
            # The next ack reports it.
            log.info("chat status could not be kept", channel="chat", exc_info=error)
            return
        self._reported[state] = upto


def _frame(event: StoredEvent) -> Event:
    data = {key: value for key, value in event.data.items() if key != "case"}
    data["at"] = event.at.isoformat()
    data["from"] = event.speaker
    return Event(cursor=cursor_of(event.seq), id=event.id, kind=event.kind, data=data)
