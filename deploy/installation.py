"""What all processes of a distributed house must have in common, kept where all of them can see it.

Each host brings its own copy of the signing key and its own mount of the blobs. A second key would make every link and
case token of the other hosts worthless, another folder would lose letters from the desk's sight; both would be noticed
by customers only. So the first process writes down what it has, and whoever has something else does not start.
"""

import hashlib
import uuid
from pathlib import Path

from sqlalchemy import Column, Table, Text, bindparam, select

from bus.delivery.outcome import Outcome, Write
from bus.errors import ConfigurationError
from bus.store.port import Effect, Store
from bus.store.schema import metadata
from bus.store.sql import insert_ignore

__all__ = ["agree", "installation", "note", "noted"]

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


async def agree(store: Store, tenant: str, *, data: Path) -> None:
    """Raises ConfigurationError when this process has another signing key or other blobs than the house."""
    for name, own, cure in (
        ("signing-key", _fingerprint(data), f"copy signing.key of the other hosts into {data}"),
        ("blobs", _blobs_id(data), f"mount the other hosts' folder of blobs as {data / 'blobs'}"),
    ):
        if await note(store, tenant, name, own) != own:
            raise ConfigurationError(f"this host's {name} differs from that of the other hosts: {cure}")


def _fingerprint(data: Path) -> str:
    return hashlib.sha256(b"fingerprint\x00" + (data / "signing.key").read_bytes()).hexdigest()


def _blobs_id(data: Path) -> str:
    mark = data / "blobs" / _BLOBS_MARK
    try:
        with mark.open("x", encoding="ascii") as file:
            file.write(uuid.uuid4().hex)
    except FileExistsError:
        pass
    return mark.read_text("ascii")
