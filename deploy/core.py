"""The parts every process needs: data folder, engine, blobs, secrets, clock, metrics."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bus.adapter.tokens import Signer, load_or_create_secret
from bus.clock import Clock, SystemClock
from bus.config import Layered
from bus.delivery import ledger
from bus.delivery.supervisor import Supervisor
from bus.errors import ConfigurationError
from bus.log.embedded import EmbeddedEngine
from bus.message import Reply
from bus.store.blobs import Blobs
from bus.telemetry import Metrics
from deploy import migrations
from deploy.settings import ProductSettings
from workers.packs import Pack, load

__all__ = ["Core", "open_core"]


@dataclass
class Core:
    """One process's share of the house."""

    layers: Layered
    settings: ProductSettings
    clock: Clock
    engine: EmbeddedEngine
    blobs: Blobs
    signer: Signer
    metrics: Metrics
    supervisor: Supervisor
    pack: Pack
    public_url: str

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return self.settings.data_dir

    @property
    def member(self) -> str:
        """A name for this process in consumer groups."""
        return f"{os.uname().nodename}-{os.getpid()}"

    async def close(self) -> None:
        """Stop the parts and release the data folder."""
        await self.supervisor.stop()
        await self.engine.close()


async def open_core(
    layers: Layered, settings: ProductSettings, *, public_url: str, metrics: Metrics | None = None
) -> Core:
    """Open (and create) the data folder. Raises ConfigurationError when it cannot be used."""
    data = settings.data_dir
    try:
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o700)
        signer = Signer(load_or_create_secret(data / "signing.key"))
    except OSError as error:
        raise ConfigurationError(f"the data folder {data} cannot be used: {error.strerror}") from None
    clock = SystemClock()
    migrations.upgrade(data)

    def plan_reply(reply: Reply) -> Any:
        return ledger.plan(reply, clock.now())

    engine = await EmbeddedEngine.open(data, clock=clock, plan_reply=plan_reply)
    return Core(
        layers=layers,
        settings=settings,
        clock=clock,
        engine=engine,
        blobs=Blobs(data / "blobs"),
        signer=signer,
        metrics=metrics or Metrics(),
        supervisor=Supervisor(),
        pack=load(settings.pack),
        public_url=public_url,
    )
