"""The parts every process needs: data folder, engine, blobs, secrets, clock, metrics."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bus import faultpoints
from bus.adapter.hosting import Door
from bus.adapter.tokens import Signer, load_or_create_secret
from bus.clock import Clock, SystemClock
from bus.config import Layered
from bus.delivery.supervisor import Supervisor
from bus.engine import Engine
from bus.errors import ConfigurationError
from bus.store.blobs import Blobs
from bus.telemetry import Metrics
from deploy.data_folder import claim_data_folder
from deploy.engines import Opened, Part, Role, open_engine
from deploy.settings import ProductSettings
from workers.packs import Pack, load

__all__ = ["Core", "open_core"]


@dataclass
class Core:
    """One process's share of the house."""

    layers: Layered
    settings: ProductSettings
    clock: Clock
    opened: Opened
    blobs: Blobs
    signer: Signer
    metrics: Metrics
    supervisor: Supervisor
    pack: Pack
    public_url: str

    @property
    def engine(self) -> Engine:
        """Log and store."""
        return self.opened.engine

    @property
    def door(self) -> Door:
        """Where adapters append what came in: durable here, before the yes."""
        return self.opened.door

    @property
    def parts(self) -> Mapping[str, Part]:
        """What the engine needs to be run beside the workers, by name."""
        return self.opened.parts

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return self.settings.data_dir

    @property
    def member(self) -> str:
        """A name for this process in consumer groups."""
        return _member()

    async def close(self) -> None:
        """Stop the parts and release the data folder."""
        await self.supervisor.stop()
        await self.opened.close()


def _member() -> str:
    return f"{os.uname().nodename}-{os.getpid()}"


async def open_core(
    layers: Layered,
    settings: ProductSettings,
    *,
    public_url: str,
    metrics: Metrics | None = None,
    doors: bool = False,
    workers: bool = False,
    name: str = "",
) -> Core:
    """Open (and create) the data folder and the engine of `[bus]`.

    `doors`, `workers`, `name`: see `deploy.engines.Role`; without doors and workers the process only looks. Raises
    ConfigurationError when something cannot be used or is unsafe.
    """
    data = settings.data_dir
    try:
        claim_data_folder(data)
        signer = Signer(load_or_create_secret(settings.signing_key_file))
    except OSError as error:
        raise ConfigurationError(f"{error.filename or data} cannot be used: {error.strerror}") from None
    clock, pack, metrics = SystemClock(faultpoints.clock_error(os.environ)), load(settings.pack), metrics or Metrics()
    blobs = Blobs(settings.blobs_dir)
    role = Role(member=_member(), name=name, doors=doors, workers=workers)
    opened = await open_engine(layers, settings, role=role, pack=pack, clock=clock, metrics=metrics)
    return Core(
        layers=layers,
        settings=settings,
        clock=opened.clock,
        opened=opened,
        blobs=blobs,
        signer=signer,
        metrics=metrics,
        supervisor=Supervisor(),
        pack=pack,
        public_url=public_url,
    )
