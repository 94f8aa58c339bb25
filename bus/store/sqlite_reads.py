"""Statements compiled once from SQLAlchemy Core to SQL text, and reads with them.

SQLAlchemy declares, the driver executes: compiling costs some hundred microseconds, so it happens once per statement
and set of parameters; after that a read is a look-up, a binding and the driver's work. Reads take microseconds and run
on the event loop.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from bus.errors import PermanentError
from bus.store.port import Row
from bus.store.sql import render
from bus.store.sqlite_writer import translate

__all__ = ["Prepared", "Reads", "Statements"]

_CACHE_LIMIT = 4_096
"""Compiled statements kept. The house declares some hundreds; a caller that builds them per call only loses time."""

_KEYS = "bus_keys"


class Prepared:
    """A compiled statement: SQL text and how parameters become the driver's tuple."""

    def __init__(self, statement: Any, compiled: SQLCompiler) -> None:
        self.statement = statement
        """Kept alive, because the cache knows statements by identity."""
        self._compiled = compiled
        self.sql = str(compiled)
        self._expanding = bool(compiled.post_compile_params) or "__[POSTCOMPILE" in self.sql
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._defaults: dict[str, Any] = {
            name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required
        }
        self._defaults.update(_column_defaults(compiled))
        self.columns: tuple[str, ...] = ()

    def bind(self, params: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """SQL text and positional values. Raises PermanentError for a missing parameter."""
        if self._expanding:
            # IN with a list: the number of placeholders depends on the values.
            state = self._compiled.construct_expanded_state({**self._defaults, **params})
            return state.statement, [state.parameters[name] for name in state.positiontup or ()]
        defaults = self._defaults
        try:
            return self.sql, [params[name] if name in params else defaults[name] for name in self._names]
        except KeyError as error:
            raise PermanentError(f"parameter {error} is missing for: {self.sql[:200]}") from None


class Statements:
    """The cache of compiled statements. Used on the event loop."""

    def __init__(self) -> None:
        self._dialect = SQLiteDialect(paramstyle="qmark")
        self._cache: dict[Any, Prepared] = {}

    def prepare(self, statement: Any, params: Mapping[str, Any]) -> Prepared:
        """The compiled form of a statement for these parameter names."""
        # Names of parameters become columns of an insert or update that does not list its own.
        key = (id(statement), *params)
        prepared = self._cache.get(key)
        if prepared is None:
            if len(self._cache) >= _CACHE_LIMIT:
                self._cache.clear()
            rendered = render(statement, "sqlite")
            names = sorted(params) if isinstance(rendered, UpdateBase) else None
            prepared = Prepared(statement, rendered.compile(dialect=self._dialect, column_keys=names))
            self._cache[key] = prepared
        return prepared


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
            if len(self._keyed) >= _CACHE_LIMIT:
                self._keyed.clear()
            listed = select(func.json_each(bindparam(_KEYS)).table_valued("value").c.value)
            # The statement and the column are kept beside it, so that their identities stay theirs.
            known = self._keyed[place] = (statement.where(column.in_(listed)), statement, column)
        return self.all(known[0], {**(params or {}), _KEYS: msgspec.json.encode(list(keys)).decode()})


def _column_defaults(compiled: SQLCompiler) -> dict[str, Any]:
    """Scalar defaults of columns that the parameters leave out; anything that calls code is refused."""
    found: dict[str, Any] = {}
    prefetch: Sequence[Any] = [*compiled.insert_prefetch, *compiled.update_prefetch]
    for column in prefetch:
        default = column.default if column in compiled.insert_prefetch else column.onupdate
        if default is None or not default.is_scalar:
            raise PermanentError(f"column {column} needs a value: only scalar defaults are applied")
        found[column.key] = default.arg
    return found
