"""A chat server as it runs in the product: real HTTP server, real sockets, real tables; what it accepts is kept."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from adapters.chat import plugin
from adapters.chat.adapter import ChatAdapter
from adapters.chat.client import ChatClient
from adapters.chat.config import ChatConfig
from bus.adapter.contract import Acceptance, Raw, Services
from bus.adapter.tokens import Signer
from bus.clock import Clock, SystemClock
from bus.log.embedded import EmbeddedEngine
from bus.message import Contact, Party, Reply, Status, derive_id
from bus.store.blobs import Blobs
from bus.testing.clock import FakeClock
from bus.web import routes as assets

if TYPE_CHECKING:
    from playwright.async_api import Browser

# For the helpers beside these tests (chatwindow).
sys.path.insert(0, str(Path(__file__).parent))

SECRET = b"a signing secret of the tests"


@dataclass
class Door:
    """The running adapter and what came through it."""

    url: str
    engine: EmbeddedEngine
    clock: Clock
    signer: Signer
    folder: Path
    config: ChatConfig
    contacts: dict[str, Contact] = field(default_factory=dict)
    duplicates: int = 0
    statuses: list[Status] = field(default_factory=list)
    trouble: list[Exception] = field(default_factory=list)
    """Raised by the next calls of accept, one each."""
    answer: Callable[[Contact], Reply | None] = lambda contact: None
    store: Any = None
    """Stands for the engine's own store."""
    follow: Any = None
    adapter: ChatAdapter = field(init=False)
    _runner: web.AppRunner | None = None
    _follower: asyncio.Task[None] | None = None

    async def accept(self, raw: Raw) -> Acceptance:
        if self.trouble:
            raise self.trouble.pop(0)
        contact = plugin.normalise(raw, self.config).contact
        if contact.id in self.contacts:
            self.duplicates += 1
            return Acceptance(contact=contact.id, duplicate=True)
        self.contacts[contact.id] = contact
        reply = self.answer(contact)
        if reply is not None:
            # As the bus does it: later, and not in the turn of the one who accepts.
            self._later = asyncio.ensure_future(self.adapter.send(reply, 1))
        return Acceptance(contact=contact.id)

    async def report(self, status: Status) -> None:
        self.statuses.append(status)

    def services(self) -> Services:
        return Services(
            clock=self.clock,
            store=self.store or self.engine,
            blobs=Blobs(self.folder / "blobs"),
            signer=self.signer,
            data_dir=self.folder,
            public_url=self.url,
            tenant="shop",
            accept=self.accept,
            status=self.report,
            background=lambda name, work: None,
            follow=self.follow,
            options={"company": {"de": "Nordlicht Handel", "nb": "Nordlys Handel", "en": "Northlight Store"}},
        )

    async def start(self, listening: socket.socket) -> None:
        adapter = plugin.create(self.config, self.services())
        assert isinstance(adapter, ChatAdapter)
        self.adapter = adapter
        app = web.Application()
        app.add_routes([*adapter.routes(), *assets()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        self._follower = asyncio.create_task(adapter.receive())

    async def stop(self) -> None:
        if self._follower is not None:
            self._follower.cancel()
            await asyncio.gather(self._follower, return_exceptions=True)
            await self.adapter.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._follower = self._runner = None

    async def restart(self) -> None:
        """A new process behind the same address: nothing in memory survives."""
        await self.stop()
        await self.start(listen(int(self.url.rsplit(":", 1)[1])))

    def reply(self, session: str, text: str, *, name: str = "", kind: str = "answer", **more: Any) -> Reply:
        return Reply(
            id=derive_id("r", session, name or text),
            tenant="shop",
            case="k-1",
            channel="chat",
            account="web",
            to=Party(kind="chat", address=session),
            text=text,
            language="de",
            kind=kind,
            conversation=session,
            **more,
        )

    def client(self, lang: str = "de", **more: Any) -> ChatClient:
        return ChatClient(self.url, lang, **more)

    async def token(self, http: aiohttp.ClientSession, **body: str) -> dict[str, Any]:
        async with http.post(f"{self.url}/chat/session", json=body, headers={"Origin": self.url}) as response:
            assert response.status == 200
            return await response.json()

    def socket(self, http: aiohttp.ClientSession, origin: str | None = "own") -> Any:
        headers = {} if origin is None else {"Origin": self.url if origin == "own" else origin}
        return http.ws_connect(f"{self.url}/chat/socket", headers=headers, compress=0)


def listen(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=512)


@pytest_asyncio.fixture
async def open_door(
    engine: EmbeddedEngine, clock: FakeClock, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Door]]]:
    """Start chat servers: `await open_door(ping_every_s=0.05)`; `real_clock=True` for browsers."""
    doors: list[Door] = []

    async def start(*, use_clock: Clock | None = None, store: Any = None, follow: Any = None, **settings: Any) -> Door:
        listening = listen()
        door = Door(
            url=f"http://127.0.0.1:{listening.getsockname()[1]}",
            engine=engine,
            clock=use_clock or clock,
            signer=Signer(SECRET),
            folder=tmp_path,
            config=msgspec.convert(settings, ChatConfig),
            store=store,
            follow=follow,
        )
        await door.start(listening)
        doors.append(door)
        return door

    yield start
    for door in doors:
        await door.stop()


class TalkingSocket(aiohttp.ClientWebSocketResponse):
    """A socket that speaks the protocol frame by frame."""

    async def hello(self, token: str, **more: str) -> dict[str, Any]:
        await self.send_json({"t": "hello", "token": token, **more})
        return await self.frame()

    async def frame(self) -> dict[str, Any]:
        """The next frame that is not only for the moment."""
        async with asyncio.timeout(5):
            while True:
                message = await self.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, f"{message.type} {self.close_code}"
                read = json.loads(message.data)
                if read["t"] not in ("typing", "ping"):
                    return read

    async def frames(self, count: int) -> list[dict[str, Any]]:
        return [await self.frame() for _ in range(count)]

    async def said(self, cid: str, text: str, **more: str) -> dict[str, Any]:
        """Send and give back the answer to it; events in between are left out."""
        await self.send_json({"t": "send", "cid": cid, "text": text, **more})
        while (answer := await self.frame())["t"] == "event":
            pass
        return answer

    async def spoken(self, cid: str, text: str, **more: str) -> None:
        """Send and wait until it is safe and shown."""
        await self.send_json({"t": "send", "cid": cid, "text": text, **more})
        seen = {(await self.frame())["t"], (await self.frame())["t"]}
        assert seen == {"sent", "event"}

    async def ending(self) -> int | None:
        """The code with which the server closes."""
        async with asyncio.timeout(5):
            while not self.closed:
                await self.receive()
        return self.close_code


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(ws_response_class=TalkingSocket) as session:
        yield session


@pytest.fixture
def signed() -> Signer:
    return Signer(SECRET)


# --- the widget in a browser


CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The system's Chromium, started once: the address of its debugging port."""
    profile = tmp_path_factory.mktemp("chromium")
    switches = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--hide-scrollbars"]
    process = subprocess.Popen(
        [CHROMIUM, *switches, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("DevTools listening on "):
            yield line.removeprefix("DevTools listening on ").strip()
            break
    else:
        pytest.fail("Chromium did not start")
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate()


@pytest_asyncio.fixture
async def browser(chromium: str) -> AsyncIterator["Browser"]:
    """A fresh view on it. What a page's console calls an error fails the test."""
    from chatwindow import complaints
    from playwright.async_api import async_playwright

    complaints.clear()
    async with async_playwright() as playwright:
        connected = await playwright.chromium.connect_over_cdp(chromium)
        yield connected
        for context in connected.contexts[1:]:
            await context.close()
    assert complaints == []


@pytest_asyncio.fixture
async def door(open_door: Callable[..., Awaitable[Door]]) -> Any:
    opened = await open_door(use_clock=SystemClock(), message_burst=100, restart_spread_s=0.5)
    opened.answer = lambda contact: answer(opened, contact)
    return opened


def answer(door: Any, contact: Contact) -> Reply:
    return door.reply(contact.conversation, f"Antwort auf {contact.text}", name=contact.id)
