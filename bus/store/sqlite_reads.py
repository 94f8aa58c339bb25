"""Reads of the embedded store: a look-up of the compiled statement, a binding and the driver's work.

They take microseconds and run on the event loop.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from bus.store import compiled
from bus.store.compiled import CACHE_LIMIT, Prepared
from bus.store.port import Row
from bus.store.sqlite_batches import batch_of
from bus.store.sqlite_writer import translate

__all__ = ["Prepared", "Reads", "Statements"]

_KEYS = "bus_keys"


class Statements(compiled.Statements):
    """The cache of statements compiled for SQLite."""

    def __init__(self) -> None:
        super().__init__(SQLiteDialect(paramstyle="qmark"), batch_of)


class Reads:
    """A read connection. Every read is a snapshot of its own; nothing is held open between two."""

    def __init__(self, connection: sqlite3.Connection, statements: Statements) -> None:
        self._connection = connection
        self._statements = statements
        self._keyed: dict[tuple[int, int], tuple[Any, Any, Any]] = {}

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of the engine's own SQL."""
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise translate(error) from error

    def version(self) -> int:
        """A number that changes whenever any other connection has committed."""
        return self.rows("PRAGMA data_version")[0][0]

    def all(self, statement: Any, params: Mapping[str, Any] | None = None) -> list[Row]:
        """Every row of a select, as dictionaries."""
        given = params or {}
        prepared = self._statements.prepare(statement, given)
        sql, values = prepared.bind(given)
        try:
            cursor = self._connection.execute(sql, values)
            columns = prepared.columns
            if not columns:
                columns = prepared.columns = tuple(column[0] for column in cursor.description)
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        except sqlite3.Error as error:
            raise translate(error) from error

    def by_keys(
        self, statement: Any, column: Any, keys: Sequence[str], params: Mapping[str, Any] | None = None
    ) -> list[Row]:
        """Rows whose `column` is one of `keys`: one statement, whatever their number."""
        if not keys:
            return []
        place = (id(statement), id(column))
        known = self._keyed.get(place)
        if known is None:
            if len(self._keyed) >= CACHE_LIMIT:
                self._keyed.clear()
            listed = select(func.json_each(bindparam(_KEYS)).table_valued("value").c.value)
            # The statement and the column are kept beside it, so that their identities stay theirs.
            known = self._keyed[place] = (statement.where(column.in_(listed)), statement, column)
        return self.all(known[0], {**(params or {}), _KEYS: msgspec.json.encode(list(keys)).decode()})
