"""All five doors of one gateway in this process, wired as the product wires them; the far sides are the test's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bus.adapter.spool import Spool, SpoolSettings
from bus.adapter.tokens import Signer
from bus.clock import SystemClock
from bus.config import load_layers
from bus.delivery.outcome import NOTHING
from bus.delivery.supervisor import Supervisor
from bus.errors import TransientError
from bus.http import HttpServer
from bus.log.embedded import EmbeddedEngine
from bus.log.port import Record
from bus.message import Contact, decode
from bus.store.blobs import Blobs
from bus.telemetry import Metrics
from deploy import migrations
from deploy.channels import HostedChannel, host
from deploy.core import Core
from deploy.engines import Opened
from deploy.ports import free_port
from deploy.settings import ProductSettings
from workers.packs import load

__all__ = ["CHANNELS", "HOTLINE", "Gatehouse", "ShakyStore", "gatehouse"]

CHANNELS = ("email", "chat", "phone", "post", "link")
HOTLINE = "+49305550100"

Publish = Callable[[Sequence[Record]], Awaitable[object]]


class ShakyStore:
    """The shared store of the gateway, in good health or `away`: refusing at once, or swallowing every call."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self.away = ""
        """Empty, refuses or hangs."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        if name not in ("all", "one", "by_keys", "apply", "append"):
            return found

        async def call(*arguments: Any, **more: Any) -> Any:
            if self.away == "hangs":
                await asyncio.Event().wait()
            if self.away:
                raise TransientError("the database is away")
            return await found(*arguments, **more)

        return call


class Gatehouse:
    """The open doors. `store` can be shaken; `spool.engine` holds what was accepted."""

    def __init__(self, core: Core, spool: Spool, store: ShakyStore, channels: list[HostedChannel], smtp: int) -> None:
        self.core, self.spool, self.store, self.channels = core, spool, store, channels
        self.smtp = smtp
        self.url = core.public_url

    @property
    def drop_folder(self) -> Path:
        return self.core.data_dir / "post" / "in"

    @property
    def twilio_token(self) -> str:
        return (self.core.data_dir / "twilio_auth_token").read_text("ascii").strip()

    async def accepted(self) -> list[Contact]:
        """Every contact that was made durable, in the order of acceptance."""
        found = [
            record
            for partition in range(8)
            for record in await self.spool.engine.read("contact.received", partition, limit=1_000_000)
        ]
        return [decode(record.value, Contact) for record in sorted(found, key=lambda record: record.offset)]


@asynccontextmanager
async def gatehouse(
    folder: Path, publish: Publish, *, channels: Sequence[str] = CHANNELS, spool_settings: SpoolSettings | None = None
) -> AsyncIterator[Gatehouse]:
    """Open a gateway; `publish` stands for the brokers."""
    smtp, clock, metrics = free_port(), SystemClock(), Metrics()
    # The door of the chat takes several visitors of one address, and they type as fast as they can.
    chat = {"sockets_per_peer": 500, "sessions_per_peer_per_minute": 6000, "messages_per_second": 500.0,
            "message_burst": 500}  # fmt: skip
    adapters = {"email": {"smtp_port": smtp}, "phone": {"hotline": HOTLINE, "think_hold_s": 0.0}, "chat": chat,
                "post": {"scan_every_s": 0.2, "stable_s": 0.2, "retry_first_s": 0.5, "doubtful_s": 1.0}}  # fmt: skip
    given = {name: section for name, section in adapters.items() if name in channels}
    layers = load_layers(None, {}, {"product": {"data": str(folder / "data")}, "adapters": given})
    settings: ProductSettings = layers.section("product", ProductSettings)
    for place in (settings.data_dir, folder / "spool"):
        place.mkdir(parents=True, exist_ok=True)
        migrations.upgrade(place)
    engine = await EmbeddedEngine.open(settings.data_dir, clock=clock)
    spooled = await EmbeddedEngine.open(folder / "spool", clock=clock)
    store = ShakyStore(engine)
    spool = Spool(
        spooled, publish, member="gateway", clock=clock, metrics=metrics, desk_case=lambda record, reason: NOTHING,
        settings=spool_settings,
    )  # fmt: skip

    async def close() -> None:
        await spooled.close()
        await engine.close()

    http = HttpServer("127.0.0.1", 0, metrics=metrics, readiness=_ready, shutdown_s=1.0)
    core = Core(
        layers=layers, settings=settings, clock=clock,
        opened=Opened(
            engine=store, door=spool, clock=clock, close=close, local=spooled, bus_away=lambda: spool.away,  # type: ignore[arg-type]
        ),
        blobs=Blobs(settings.data_dir / "blobs"), signer=Signer(b"the secret of this gateway"), metrics=metrics,
        supervisor=Supervisor(), pack=load("shop"), public_url=f"http://127.0.0.1:{http.bind()}",
    )  # fmt: skip
    hosted = host(core, channels, {"company": dict(core.pack.file.company), "languages": core.pack.languages})
    core.supervisor.run("spool", spool.run)
    for channel in hosted:
        http.add_routes(channel.adapter.routes())
    await asyncio.gather(*(channel.intake.warm() for channel in hosted))
    await http.start()
    for channel in hosted:
        core.supervisor.run(channel.plugin.manifest.name, channel.adapter.receive)
    for channel in hosted:
        if channel.plugin.manifest.name == "email":
            await channel.adapter.listening()  # type: ignore[attr-defined]
    try:
        yield Gatehouse(core, spool, store, hosted, smtp)
    finally:
        store.away = ""
        await core.supervisor.stop(*channels)
        await asyncio.gather(*(channel.close() for channel in hosted), return_exceptions=True)
        await http.stop()
        await core.close()


async def _ready() -> dict[str, str]:
    return {}
