"""A mail door with a recording `accept` behind it, and raw sockets to talk to it."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from adapters.email import EmailConfig, create_email, plugin
from adapters.email.adapter import EmailAdapter
from bus.adapter.contract import Acceptance, Raw, Services
from bus.adapter.tokens import Signer
from bus.clock import SystemClock
from bus.message import Party, Reply, Status
from bus.store.blobs import Blobs


@dataclass
class Desk:
    """Stands in for the bus: what was accepted, what was reported, and what to answer."""

    raws: list[Raw] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    behaviour: Callable[[Raw], Awaitable[None]] | None = None
    duplicate: bool = False
    trouble: list[Exception] = field(default_factory=list)
    """Raised by the next reports, one each."""

    async def accept(self, raw: Raw) -> Acceptance:
        if self.behaviour is not None:
            await self.behaviour(raw)
        self.raws.append(raw)
        return Acceptance(contact=f"c-{len(self.raws)}", duplicate=self.duplicate)

    async def status(self, status: Status) -> None:
        if self.trouble:
            raise self.trouble.pop(0)
        self.statuses.append(status)


class Talk:
    """A raw SMTP conversation, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def reply(self) -> str:
        """The next reply, its lines joined by newline; empty when the server closed."""
        lines: list[str] = []
        while True:
            line = (await asyncio.wait_for(self.reader.readline(), 10)).decode()
            if not line:
                return "\n".join(lines)
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)

    async def say(self, line: str | bytes) -> str:
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        await self.writer.drain()
        return await self.reply()

    async def envelope(self, recipient: str = "hilfe@shop.example", sender: str = "kunde@kunde.example") -> None:
        assert (await self.say(f"MAIL FROM:<{sender}>")).startswith("250")
        assert (await self.say(f"RCPT TO:<{recipient}>")).startswith("250")

    async def closed(self) -> bool:
        try:
            return await asyncio.wait_for(self.reader.read(1), 10) == b""
        except ConnectionResetError:
            # What was still being sent when the other side closed is answered in this way.
            return True

    def reset(self) -> None:
        """Drop the connection as a crashed client does."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


@dataclass
class Door:
    """A running adapter."""

    adapter: EmailAdapter
    desk: Desk
    config: EmailConfig
    services: Services
    talks: list[Talk] = field(default_factory=list)

    @property
    def port(self) -> int:
        address = self.adapter.smtp_address
        assert address is not None
        return address[1]

    async def connect(self) -> Talk:
        """A connection, nothing read yet."""
        talk = Talk(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 20))
        self.talks.append(talk)
        return talk

    async def hello(self) -> Talk:
        """A connection after EHLO."""
        talk = await self.connect()
        assert (await talk.reply()).startswith("220 ")
        assert (await talk.say("EHLO client.example")).startswith("250-")
        return talk

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what happens behind the door."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)


OpenDoor = Callable[..., Awaitable[Door]]


@pytest.fixture
def signer() -> Signer:
    return Signer(b"a secret of at least 16 bytes")


@pytest.fixture
def make_services(tmp_path: Path, signer: Signer) -> Callable[[Desk], Services]:
    def make(desk: Desk) -> Services:
        unused: Any = None
        return Services(
            clock=SystemClock(),
            store=unused,
            blobs=Blobs(tmp_path / "blobs"),
            signer=signer,
            data_dir=tmp_path,
            public_url="http://localhost",
            tenant="shop",
            accept=desk.accept,
            status=desk.status,
            background=lambda _name, _task: None,
        )

    return make


@pytest_asyncio.fixture
async def open_door(make_services: Callable[[Desk], Services]) -> AsyncIterator[OpenDoor]:
    """Open a door with settings of one's own; everything is closed afterwards."""
    opened: list[tuple[Door, asyncio.Task[None]]] = []

    async def open_one(desk: Desk | None = None, **settings: Any) -> Door:
        config = EmailConfig(smtp_port=0, drain_s=2.0, **settings)
        desk = desk or Desk()
        services = make_services(desk)
        adapter = create_email(config, services)
        task = asyncio.ensure_future(adapter.receive())
        await asyncio.wait_for(adapter.listening(), 10)
        door = Door(adapter, desk, config, services)
        opened.append((door, task))
        return door

    yield open_one
    for door, task in opened:
        for talk in door.talks:
            talk.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await door.adapter.close()


@pytest.fixture
def desk() -> Desk:
    return Desk()


MailMaker = Callable[..., Raw]


@pytest.fixture
def raw_mail() -> MailMaker:
    """Bytes (or text with plain newlines) to `Raw`, as the receiver would make it."""

    def make(source: bytes | str, **native: Any) -> Raw:
        data = source if isinstance(source, bytes) else source.lstrip("\n").encode().replace(b"\n", b"\r\n")
        made = plugin.raw_from_file(data, "mail.eml", EmailConfig())
        return Raw(
            tenant=made.tenant,
            account=made.account,
            media_type=made.media_type,
            data=made.data,
            received_at=made.received_at,
            native=native,
        )

    return make


REPLY = Reply(
    id="r-00000000000000000001",
    tenant="shop",
    case="k-00000000000000000002",
    channel="email",
    account="hilfe@shop.example",
    to=Party(kind="email", address="grete.ohlsen@kunde.example", name="Grete Öhlsen, Dr."),
    text=(
        "Guten Tag Frau Ohlsen,\n\nwir haben 49,90 € erstattet. Einzelheiten: https://shop.example/a?b=1&c=2.\n"
        ".Punkt am Anfang\nFrom hier an\n\nViele Grüße\n" + "Ein sehr langer Absatz ohne Umbruch. " * 20
    ),
    language="de",
    in_reply_to="<1f2e@kunde.example>",
    references=("<root@kunde.example>", "<1f2e@kunde.example>"),
    subject="Re: AW: Doppelt abgebucht für Bestellung SO-10234 und noch einiges mehr, damit der Betreff lang wird",
    case_number="12345678901234",
)


@pytest.fixture
def reply() -> Reply:
    """A reply with everything that makes writing a mail difficult."""
    return REPLY


@pytest.fixture
def changed(reply: Reply) -> Callable[..., Reply]:
    """That reply with other fields."""
    return partial(msgspec.structs.replace, reply)
