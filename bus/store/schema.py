"""One metadata for every table of the house; packages add their tables to it, migrations read it.

Columns are integers, text and bytes only, so that rows pass through the driver untouched on every engine. Times are
microseconds since 1970. Every table of customers' data carries the tenant. A table that only one database has says so
in its `info`.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import MetaData, Table

__all__ = ["POSTGRESQL", "SQLITE", "metadata", "tables_of"]

SQLITE: dict[Any, Any] = {"dialect": "sqlite"}
POSTGRESQL: dict[Any, Any] = {"dialect": "postgresql"}

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def tables_of(dialect: str) -> Sequence[Table]:
    """The declared tables that a database of this dialect has, those first that others refer to."""
    return [table for table in metadata.sorted_tables if table.info.get("dialect", dialect) == dialect]
