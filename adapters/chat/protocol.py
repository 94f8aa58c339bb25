"""The wire protocol, version 1: JSON text frames, the field `t` says which. Described for others in README.md."""

from typing import Any

import msgspec

__all__ = [
    "Ack",
    "Bye",
    "ClientFrame",
    "Close",
    "Drain",
    "Event",
    "Hello",
    "MalformedFrame",
    "Nack",
    "Ping",
    "Pong",
    "Queue",
    "Read",
    "Reset",
    "Send",
    "Sent",
    "ServerFrame",
    "Typing",
    "TypingNow",
    "Welcome",
    "cursor_of",
    "decode_client",
    "decode_server",
    "encode_frame",
    "sequence_of",
]


class Close:
    """Codes with which a socket ends. Above 4000: of this protocol."""

    RESTART = 1012
    POLICY = 1008
    """Not this protocol."""
    TOKEN = 4401
    """Renew the token, then come again."""
    ORIGIN = 4403
    """Not from here; do not try again."""
    NO_HELLO = 4408
    TOO_LARGE = 4413
    TOO_FAST = 4429


class MalformedFrame(Exception):
    """Not a frame of this protocol. Carries no text: nothing of it may reach the peer."""


class _Frame(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", omit_defaults=True):
    pass


# --- client to server


class Hello(_Frame, frozen=True, kw_only=True, tag="hello"):
    """First frame. Everything after `cursor` follows; without a cursor the conversation from its start."""

    token: str
    v: int = 1
    cursor: str = ""
    lang: str = ""


class Send(_Frame, frozen=True, kw_only=True, tag="send"):
    """What the visitor says. `cid` is the client's own id of it: the same one again is the same message.

    `request` is `person` when the visitor pressed the button for a human being.
    """

    cid: str
    text: str
    request: str = ""
    lang: str = ""


class Ack(_Frame, frozen=True, kw_only=True, tag="ack"):
    """Everything up to here has arrived."""

    cursor: str


class Read(_Frame, frozen=True, kw_only=True, tag="read"):
    """Everything up to here has been on the screen."""

    upto: str


class Typing(_Frame, frozen=True, kw_only=True, tag="typing"):
    """The visitor is typing. Checked and dropped in version 1: nobody watches it yet."""

    on: bool = True


class Pong(_Frame, frozen=True, kw_only=True, tag="pong"):
    """Answer to a ping."""


class Bye(_Frame, frozen=True, kw_only=True, tag="bye"):
    """The visitor leaves. The conversation stays open; replies wait for a resume."""


ClientFrame = Hello | Send | Ack | Read | Typing | Pong | Bye


# --- server to client


class Welcome(_Frame, frozen=True, kw_only=True, tag="welcome"):
    """The socket is open. `resumed`: what follows continues after the given cursor.

    Events up to `head` were there before this socket: they are history, not news. Empty: nothing was ever said.
    """

    session: str
    head: str = ""
    resumed: bool
    server_time: str
    max_text: int
    v: int = 1


class Sent(_Frame, frozen=True, kw_only=True, tag="sent"):
    """The message is durable and will be answered."""

    cid: str
    id: str
    cursor: str


class Nack(_Frame, frozen=True, kw_only=True, tag="nack"):
    """The message was not taken. `final`: sending it again will not help.

    `code`: malformed, empty, too_long, bad_id, changed (this `cid` was used for another text), rate, later.
    """

    code: str
    final: bool
    cid: str = ""
    retry_after_s: float = 0.0


class Event(_Frame, frozen=True, kw_only=True, tag="event"):
    """Something durable of the conversation, both directions.

    `kind`: message (the visitor's own), reply, hold, handover, survey, closed. `data`: text, lang, at, from
    (visitor, machine, person), `cid` of the visitor's own, `asks` when an answer is awaited, `answers`: ids of the
    messages that a reply answers.
    """

    cursor: str
    id: str
    kind: str
    data: dict[str, Any]


class Reset(_Frame, frozen=True, kw_only=True, tag="reset"):
    """The cursor cannot be continued from: forget what you show, everything follows from the start."""

    reason: str


class TypingNow(_Frame, frozen=True, kw_only=True, tag="typing"):
    """An answer is being worked on; forget this after `ttl_s` seconds."""

    ttl_s: float


class Queue(_Frame, frozen=True, kw_only=True, tag="queue"):
    """Waiting for a person; so many chats are `ahead`."""

    ahead: int


class Ping(_Frame, frozen=True, kw_only=True, tag="ping"):
    """Are you there? Also tells a browser, which sees no ping of the socket itself, that we are."""


class Drain(_Frame, frozen=True, kw_only=True, tag="drain"):
    """This server goes down; come back after so long."""

    reconnect_after_ms: int


ServerFrame = Welcome | Sent | Nack | Event | Reset | TypingNow | Queue | Ping | Drain

_client = msgspec.json.Decoder(ClientFrame)
_server = msgspec.json.Decoder(ServerFrame)
_encoder = msgspec.json.Encoder()

_CURSOR_PREFIX = "1-"
"""The version of the cursor, so that a later one can tell these apart."""
_LONGEST_CURSOR = 20


def decode_client(data: str | bytes) -> ClientFrame:
    """A client's frame. Raises MalformedFrame for everything else, whatever it is."""
    try:
        return _client.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        # Deep nesting raises RecursionError, lone surrogates UnicodeEncodeError: neither is a MsgspecError.
        raise MalformedFrame from error


def decode_server(data: str | bytes) -> ServerFrame:
    """A server's frame, for clients. Raises MalformedFrame."""
    try:
        return _server.decode(data)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise MalformedFrame from error


def encode_frame(frame: ClientFrame | ServerFrame) -> str:
    """The JSON text of a frame."""
    return _encoder.encode(frame).decode()


def cursor_of(sequence: int) -> str:
    """The opaque cursor of a place in a conversation."""
    return f"{_CURSOR_PREFIX}{sequence}"


def sequence_of(cursor: str) -> int | None:
    """The place that a cursor names, or None when it is none of ours."""
    digits = cursor.removeprefix(_CURSOR_PREFIX)
    if digits == cursor or len(cursor) > _LONGEST_CURSOR or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)
