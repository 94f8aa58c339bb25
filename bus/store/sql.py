"""Statements that SQLAlchemy spells differently per database, named once."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

__all__ = ["Statement", "insert_ignore", "render", "upsert"]


class Statement:
    """An insert that resolves a conflict on unique columns; rendered per dialect by the engine."""

    def __init__(self, table: Table, keys: Sequence[str], update: Sequence[str]) -> None:
        self._table, self._keys, self._update = table, tuple(keys), tuple(update)

    def for_dialect(self, name: str) -> Insert:
        """The construct that the dialect `sqlite` or `postgresql` compiles."""
        module: Any = sqlite if name == "sqlite" else postgresql
        columns: Mapping[str, Any] = {column.name: bindparam(column.name) for column in self._table.columns}
        insert = module.insert(self._table).values(columns)
        if not self._update:
            return insert.on_conflict_do_nothing(index_elements=list(self._keys))
        return insert.on_conflict_do_update(
            index_elements=list(self._keys), set_={name: insert.excluded[name] for name in self._update}
        )


def upsert(table: Table, keys: Sequence[str], update: Sequence[str] | None = None) -> Statement:
    """Insert a row with all its columns, or update `update` (all but the keys) of the row with the same `keys`."""
    names = [column.name for column in table.columns if column.name not in keys]
    return Statement(table, keys, names if update is None else update)


def insert_ignore(table: Table, keys: Sequence[str]) -> Statement:
    """Insert a row with all its columns, or leave the row with the same `keys` as it is (0 rows change)."""
    return Statement(table, keys, ())


def render(statement: Any, dialect: str) -> Any:
    """The construct to compile for a dialect."""
    return statement.for_dialect(dialect) if isinstance(statement, Statement) else statement
