"""The settings of a process that are not one adapter's: where data lies, what is listened on, which company it is."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from bus.config import Layered, load_layers

__all__ = ["DemoSettings", "HttpSettings", "ProductSettings", "load"]


_SECTIONS = ("product", "http", "demo", "adapters", "bus", "kafka", "postgres", "spool", "sending")


class ProductSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[product]`."""

    tenant: str = "shop"
    pack: str = "shop"
    data: str = "contactbus-data"
    blobs: str = ""
    """Raw objects and attachments; empty: `blobs` in the data folder. Hosts that serve one company need one folder for
    all of them, or a person's reply on one host lacks what a customer sent to another."""
    signing_key: str = ""
    """File of the secret under which links, chat sessions and case tokens are signed; empty: made in the data folder.
    Hosts that serve one company need the same, or a visitor who reconnects to another host is a stranger there."""
    public_url: str = ""
    channels: tuple[str, ...] = ("email", "chat", "phone", "post", "link")
    in_doubt_s: Annotated[float, msgspec.Meta(ge=1, le=86400)] = 900.0
    """How long a reply whose sending was cut off rests before it is sent once more under the same id."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "WARNING"
    normalising_processes: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    event_loop: Literal["asyncio", "uvloop"] = "asyncio"
    """What waits for sockets and clocks in every process: Python's own, or uvloop of the extra of that name."""

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        return Path(self.data)

    @property
    def blobs_dir(self) -> Path:
        """The folder of raw objects and attachments."""
        return Path(self.blobs) if self.blobs else self.data_dir / "blobs"

    @property
    def signing_key_file(self) -> Path:
        """The file of the signing secret."""
        return Path(self.signing_key) if self.signing_key else self.data_dir / "signing.key"


class BusSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[bus]`: what carries records and state.

    `embedded`: one SQLite file in the data folder, one host. `kafka`: records on Kafka (`[kafka]`), state in PostgreSQL
    (`[postgres]`), any number of hosts.
    `spool`: with Kafka, the folder in which accepted contacts are safe before the yes; empty means `spool` in the data
    folder. It belongs on a local disk, also where the data folder is shared between hosts.
    `region`: where this machine stands; a group of workers that may not work there refuses to start.
    """

    engine: Literal["embedded", "kafka"] = "embedded"
    spool: str = ""
    region: str = ""

    def spool_dir(self, data: Path) -> Path:
        """The folder of the spool."""
        return Path(self.spool) if self.spool else data / "spool"


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[http]`: the one server for chat, phone, confirmation links and pages."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080


class DemoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[demo]`: the customers' mailbox that plays the relay, and whether the four customers get in touch."""

    play: bool = True

    mailbox_host: str = "127.0.0.1"
    mailbox_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


def load(file: Path | None, environment: dict[str, str], flags: dict[str, object]) -> Layered:
    """All layers. Raises ConfigurationError, also for a section that nobody reads: it is a slip of the pen."""
    layers = load_layers(file, environment, flags)
    layers.refuse_others("", _SECTIONS)
    if layers.names("adapters"):
        layers.refuse_others("adapters", [point.name for point in entry_points(group="contactbus.adapters")])
    return layers
