"""What all processes of a distributed house must have in common, kept where all of them can see it.

Each host brings its own copy of the signing key and its own mount of the blobs. A second key would make every link and
case token of the other hosts worthless, another folder would lose letters from the desk's sight; both would be noticed
by customers only. So the first process writes down what it has, and whoever has something else does not start.
"""

import contextlib
import hashlib
import uuid

from sqlalchemy import Column, Table, Text, bindparam, select

from bus.delivery.outcome import Outcome, Write
from bus.errors import ConfigurationError
from bus.store.port import Effect, Store
from bus.store.schema import metadata
from bus.store.sql import insert_ignore
from deploy.settings import ProductSettings

__all__ = [
    "CARRIED_AT",
    "CARRYING_FROM",
    "agree",
    "differences",
    "installation",
    "note",
    "noted",
    "refuse_half_carried",
]

CARRYING_FROM, CARRIED_AT = "carrying-over-from", "carried-over-at"
"""Facts of a move into this house (`contactbus migrate`): from where, noted when it begins, and when all was there."""


_BLOBS_MARK = "house-id"
"""A file in the folder of blobs; whoever mounts the same folder reads the same."""

installation = Table(
    "installation",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""Facts about this house: fingerprints, and how far a move into it has come."""

_put = insert_ignore(installation, ["tenant", "name"])
_get = select(installation.c.value).where(
    installation.c.tenant == bindparam("tenant"), installation.c.name == bindparam("name")
)


async def noted(store: Store, tenant: str, name: str) -> str:
    """A fact, or nothing."""
    row = await store.one(_get, {"tenant": tenant, "name": name})
    return row["value"] if row is not None else ""


async def note(store: Store, tenant: str, name: str, value: str) -> str:
    """Write a fact down unless it is there already; what is there then."""
    write = Write(statement=_put, params={"tenant": tenant, "name": name, "value": value})
    await store.apply([Effect(outcome=Outcome(writes=(write,)))])
    return await noted(store, tenant, name)


async def refuse_half_carried(store: Store, tenant: str) -> None:
    """Raises ConfigurationError for a house that a move has not finished: nobody may work on half of the cases."""
    if await noted(store, tenant, CARRYING_FROM) and not await noted(store, tenant, CARRIED_AT):
        raise ConfigurationError("the move into this house broke off: run `contactbus migrate` again, it goes on")


async def agree(store: Store, settings: ProductSettings) -> None:
    """Raises ConfigurationError when this process has another signing key or other blobs than the house."""
    for name, own in _own(settings, make=True).items():
        # What is not there yet, or is just being written by another process, is for that one to note: an empty note
        # would stand for ever, and nobody would be compared with it.
        if own:
            await note(store, settings.tenant, name, own)
    for name, cure in await differences(store, settings):
        raise ConfigurationError(f"this host's {name} is not that of the other hosts: {cure}")


async def differences(store: Store, settings: ProductSettings) -> list[tuple[str, str]]:
    """What this host has otherwise than the house, and the cure. Changes nothing."""
    cures = {
        "signing key": f"copy the other hosts' key to {settings.signing_key_file}",
        "folder of blobs": f"mount the other hosts' folder as {settings.blobs_dir}",
    }
    found: list[tuple[str, str]] = []
    for name, own in _own(settings, make=False).items():
        common = await noted(store, settings.tenant, name)
        if common and own and common != own:
            found.append((name, cures[name]))
    return found


def _own(settings: ProductSettings, *, make: bool) -> dict[str, str]:
    """What this host has; empty where it has nothing yet."""
    key, mark = settings.signing_key_file, settings.blobs_dir / _BLOBS_MARK
    if make:
        mark.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), mark.open("x", encoding="ascii") as file:
            file.write(uuid.uuid4().hex)
    return {
        "signing key": hashlib.sha256(b"fingerprint\x00" + key.read_bytes()).hexdigest() if key.exists() else "",
        "folder of blobs": mark.read_text("ascii") if mark.exists() else "",
    }
