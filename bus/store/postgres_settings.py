"""Settings of the PostgreSQL store."""

from typing import Annotated

import msgspec

__all__ = ["PostgresSettings"]


class PostgresSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Section `[postgres]`.

    `dsn` signs in as the application role, which owns nothing and cannot switch row-level security off. `owner_dsn`
    signs in as the owner of the tables; only migrations use it, and where it is empty they are the operator's to run.
    Both are libpq connection strings or addresses and are never shown.
    """

    dsn: str = ""
    owner_dsn: str = ""
    application_role: Annotated[str, msgspec.Meta(pattern=r"^[a-z_][a-z0-9_]*$", max_length=63)] = "contactbus_app"
    pool_connections: Annotated[int, msgspec.Meta(ge=2, le=100)] = 8
    connect_timeout_s: Annotated[float, msgspec.Meta(ge=1, le=60)] = 5.0
    lock_timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=60)] = 2.0
    """A row that somebody holds longer is tried again later, rather than queueing everybody behind it."""
    statement_timeout_s: Annotated[float, msgspec.Meta(ge=0.5, le=300)] = 5.0
    idle_in_transaction_s: Annotated[float, msgspec.Meta(ge=1, le=300)] = 10.0
    """A process that stopped in the middle of a transaction must not hold its rows for ever."""
