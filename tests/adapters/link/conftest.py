"""The confirmation page on a real server."""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest_asyncio
from aiohttp import web

from adapters.link import plugin
from adapters.link.normalise import LinkConfig
from bus.adapter.contract import Acceptance, ChannelAdapter, Raw, Services
from bus.adapter.tokens import Signer
from bus.log.embedded import EmbeddedEngine
from bus.message import Contact, Status
from bus.store.blobs import Blobs
from bus.testing.clock import FakeClock
from bus.web import routes as assets


@dataclass
class Page:
    """The running adapter and what came through it."""

    url: str
    signer: Signer
    contacts: dict[str, Contact] = field(default_factory=dict)
    trouble: list[Exception] = field(default_factory=list)
    adapter: ChannelAdapter = field(init=False)

    def token(self, value: str = "ch-1~k-1", purpose: str = "confirm", tenant: str = "shop") -> str:
        return self.signer.token(purpose, tenant, value)

    async def accept(self, raw: Raw) -> Acceptance:
        if self.trouble:
            raise self.trouble.pop(0)
        contact = plugin.normalise(raw, LinkConfig()).contact
        duplicate = contact.id in self.contacts
        self.contacts.setdefault(contact.id, contact)
        return Acceptance(contact=contact.id, duplicate=duplicate)

    async def report(self, status: Status) -> None:
        raise AssertionError("a link has no replies to report on")


@pytest_asyncio.fixture
async def page(engine: EmbeddedEngine, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Page]:
    listening = socket.create_server(("127.0.0.1", 0))
    made = Page(f"http://127.0.0.1:{listening.getsockname()[1]}", Signer(b"a signing secret of the tests"))
    services = Services(
        clock=clock,
        store=engine,
        blobs=Blobs(tmp_path / "blobs"),
        signer=made.signer,
        data_dir=tmp_path,
        public_url=made.url,
        tenant="shop",
        accept=made.accept,
        status=made.report,
        background=lambda name, work: None,
        options={"company": dict.fromkeys(("de", "nb", "en"), 'Nordlicht & Söhne "GmbH"')},
    )
    made.adapter = plugin.create(LinkConfig(), services)
    app = web.Application()
    app.add_routes([*made.adapter.routes(), *assets()])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    yield made
    await runner.cleanup()
