"""Statements that SQLAlchemy spells differently per database, named once."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from sqlalchemy import Table, bindparam
from sqlalchemy.sql.dml import Insert

__all__ = ["Change", "Statement", "insert_ignore", "render", "upsert", "upsert_with"]

Change = Callable[[Any], tuple[Mapping[str, Any], Any]]
"""(the row that would have been inserted) -> columns to set on the row that is there, and the condition under which."""


class Statement:
    """An insert that resolves a conflict on unique columns; rendered per dialect by the engine."""

    def __init__(self, table: Table, keys: Sequence[str], update: Sequence[str], change: Change | None = None) -> None:
        self._table, self._keys, self._update, self._change = table, tuple(keys), tuple(update), change

    def for_dialect(self, name: str) -> Insert:
        """The construct that the dialect `sqlite` or `postgresql` compiles."""
        # Only the one that is spoken: the other takes longer to load than a command to run.
        module: Any = import_module(f"sqlalchemy.dialects.{name}")
        columns: Mapping[str, Any] = {column.name: bindparam(column.name) for column in self._table.columns}
        insert = module.insert(self._table).values(columns)
        if self._change is not None:
            values, condition = self._change(insert.excluded)
            return insert.on_conflict_do_update(index_elements=list(self._keys), set_=values, where=condition)
        if not self._update:
            return insert.on_conflict_do_nothing(index_elements=list(self._keys))
        return insert.on_conflict_do_update(
            index_elements=list(self._keys), set_={name: insert.excluded[name] for name in self._update}
        )


def upsert(table: Table, keys: Sequence[str], update: Sequence[str] | None = None) -> Statement:
    """Insert a row with all its columns, or update `update` (all but the keys) of the row with the same `keys`."""
    names = [column.name for column in table.columns if column.name not in keys]
    return Statement(table, keys, names if update is None else update)


def upsert_with(table: Table, keys: Sequence[str], change: Change) -> Statement:
    """Insert a row with all its columns, or change the row with the same `keys` (0 rows where the condition fails).

    What `change` builds must take its values from the table and from the row given to it, never from parameters of its
    own: engines write many rows with one statement.
    """
    return Statement(table, keys, (), change)


def insert_ignore(table: Table, keys: Sequence[str]) -> Statement:
    """Insert a row with all its columns, or leave the row with the same `keys` as it is (0 rows change)."""
    return Statement(table, keys, ())


def render(statement: Any, dialect: str) -> Any:
    """The construct to compile for a dialect."""
    return statement.for_dialect(dialect) if isinstance(statement, Statement) else statement
