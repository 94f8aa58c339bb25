"""Statements compiled once from SQLAlchemy Core to SQL text, for every store.

SQLAlchemy declares, the driver executes: compiling costs some hundred microseconds, so it happens once per statement
and set of parameters; after that a statement is a look-up and a binding.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase

from bus.errors import PermanentError
from bus.store.sql import render

__all__ = ["CACHE_LIMIT", "Prepared", "Statements"]

CACHE_LIMIT = 4_096
"""Compiled statements kept. The house declares some hundreds; a caller that builds them per call only loses time."""


class Prepared:
    """A compiled statement: SQL text and how parameters become the driver's sequence."""

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
        self.batch: Any = None
        """How the store writes it for many rows, if it knows a way."""

    def bind(self, params: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
        """SQL text and positional values. Raises PermanentError for a missing parameter."""
        if self._expanding:
            # IN with a list: the number of placeholders depends on the values.
            state = self._compiled.construct_expanded_state({**self._defaults, **params})
            return state.statement, [state.parameters[name] for name in state.positiontup or ()]
        try:
            if len(params) >= len(self._names):
                return self.sql, list(map(params.__getitem__, self._names))
        except KeyError:
            # One of them has a default, and another parameter is not of this statement.
            pass
        defaults = self._defaults
        try:
            return self.sql, [params[name] if name in params else defaults[name] for name in self._names]
        except KeyError as error:
            raise PermanentError(f"parameter {error} is missing for: {self.sql[:200]}") from None


class Statements:
    """The cache of compiled statements of one dialect. Used on the event loop.

    `batch_of` says of a construct and its text how it is written for many rows.
    """

    def __init__(self, dialect: Dialect, batch_of: Callable[[Any, str], Any]) -> None:
        self._dialect = dialect
        self._batch_of = batch_of
        self._cache: dict[Any, Prepared] = {}

    def prepare(self, statement: Any, params: Mapping[str, Any]) -> Prepared:
        """The compiled form of a statement for these parameter names."""
        # Names of parameters become columns of an insert or update that does not list its own.
        key = (id(statement), *params)
        prepared = self._cache.get(key)
        if prepared is None:
            if len(self._cache) >= CACHE_LIMIT:
                self._cache.clear()
            rendered = render(statement, self._dialect.name)
            names = sorted(params) if isinstance(rendered, UpdateBase) else None
            prepared = Prepared(statement, rendered.compile(dialect=self._dialect, column_keys=names))
            prepared.batch = self._batch_of(rendered, prepared.sql)
            self._cache[key] = prepared
        return prepared


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
