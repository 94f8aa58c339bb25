"""How the house's statements are written for PostgreSQL, for one row and for many, and how values travel.

The dialect is the one that SQLAlchemy made for a driver that speaks the protocol directly: `$1` with a cast that names
its type, so that the server never has to guess. A list for `IN` travels as one array: the text stays the same whatever
the list's length, and is prepared once.

Many rows are written by one statement over arrays. The rows of an insert go in the order given; a guarded update or a
delete joins the arrays and says which of the rows met theirs.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct, pack
from typing import Any, cast

from psycopg.pq.abc import PGresult
from sqlalchemy import ARRAY, BindParameter, any_, bindparam
from sqlalchemy.dialects.postgresql.asyncpg import PGCompiler_asyncpg, PGDialect_asyncpg
from sqlalchemy.sql import operators
from sqlalchemy.sql.dml import Update
from sqlalchemy.sql.elements import BinaryExpression

from bus.errors import PermanentError
from bus.store.compiled import Statements
from bus.store.postgres_wire import Command, Text

__all__ = ["Batch", "bytes_array", "command", "int_array", "long_array", "statements", "text_array", "text_of"]

_CACHED_TEXTS = 4_096
"""Texts whose prepared names are remembered; as many as compiled statements."""


_LISTED = (operators.in_op, operators.not_in_op)


class _Compiler(PGCompiler_asyncpg):
    def visit_binary(self, binary: BinaryExpression[Any], *args: Any, **kw: Any) -> str:
        listed = binary.right
        if binary.operator in _LISTED and isinstance(listed, BindParameter) and listed.expanding:
            kind = ARRAY(binary.left.type)
            array = bindparam(
                listed.key, value=listed.value, type_=kind, unique=listed.unique, required=listed.required
            )
            within = binary.left == any_(array)
            return self.process(within if binary.operator is operators.in_op else ~within, **kw)
        return super().visit_binary(binary, *args, **kw)  # pyright: ignore[reportUnknownMemberType]


class _Dialect(PGDialect_asyncpg):
    statement_compiler = _Compiler
    supports_statement_cache = True


def statements() -> Statements:
    """A cache of statements compiled for PostgreSQL."""
    return Statements(_Dialect(), _batch_of)


@lru_cache(maxsize=_CACHED_TEXTS)
def text_of(sql: str) -> Text:
    """The text to prepare; the same object for the same text."""
    return Text(sql)


# Values of one row travel as text, bytes as they are.


def command(sql: str, values: Sequence[Any]) -> Command:
    """A statement with the values of one row. Raises PermanentError for a value that no column could take."""
    if bytes not in map(type, values):
        return text_of(sql), [_scalar(value) for value in values], None
    formats = [1 if type(value) is bytes else 0 for value in values]
    return text_of(sql), [_scalar(value) for value in values], formats


def _scalar(value: Any) -> bytes | None:
    kind = cast(type[Any], type(value))
    if kind is str:
        if "\0" in value:
            raise PermanentError("a text contains NUL")
        return value.encode()
    if kind is int or kind is bool:
        return b"%d" % value
    if value is None or kind is bytes:
        return value
    if isinstance(value, str):
        return _scalar(str(value))
    if kind is float:
        return repr(value).encode()
    if isinstance(value, (list, tuple, set, frozenset)):
        return b"{" + b",".join(_element(item) for item in cast(Sequence[Any], value)) + b"}"
    raise PermanentError(f"a value of type {kind.__name__} has no place in a table")


def _element(value: Any) -> bytes:
    encoded = _scalar(value)
    if encoded is None:
        return b"NULL"
    if type(value) is int:
        return encoded
    return b'"' + encoded.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


# Values of many rows travel as binary arrays (the server's array_recv).

_HEADER = Struct(">iiIii").pack
_LENGTH = Struct(">i").pack
_NULL = b"\xff\xff\xff\xff"
_TEXT_TYPE, _VARCHAR_TYPE, _BYTES_TYPE, _LONG_TYPE, _INT_TYPE = 25, 1043, 17, 20, 23


def text_array(values: Sequence[str | None], element: int = _VARCHAR_TYPE) -> bytes:
    """Texts as a binary array. Raises AttributeError, UnicodeEncodeError for what is no text."""
    parts = [_HEADER(1, 1, element, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            encoded = value.encode()
            parts.append(_LENGTH(len(encoded)))
            parts.append(encoded)
    return b"".join(parts)


def bytes_array(values: Sequence[bytes | None]) -> bytes:
    """Bytes as a binary array."""
    parts = [_HEADER(1, 1, _BYTES_TYPE, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        elif type(value) is bytes:
            parts.append(_LENGTH(len(value)))
            parts.append(value)
        else:
            raise TypeError("bytes are expected")
    return b"".join(parts)


def long_array(values: Sequence[int | None]) -> bytes:
    """Integers of 64 bits as a binary array. Raises struct.error for what is none."""
    return _numbers(values, _LONG_TYPE, 8, "q")


def int_array(values: Sequence[int | None]) -> bytes:
    """Integers of 32 bits as a binary array. Raises struct.error for what is none."""
    return _numbers(values, _INT_TYPE, 4, "i")


def _numbers(values: Sequence[int | None], element: int, size: int, code: str) -> bytes:
    header = _HEADER(1, 1, element, len(values), 1)
    if None in values:
        rest = [_NULL if value is None else pack(f">i{code}", size, value) for value in values]
        return header + b"".join(rest)
    return header + pack(">" + f"i{code}" * len(values), *[part for value in values for part in (size, value)])


_ARRAYS: dict[str, Callable[[Sequence[Any]], bytes]] = {
    "VARCHAR": text_array,
    "TEXT": lambda values: text_array(values, _TEXT_TYPE),
    "BIGINT": long_array,
    "INTEGER": int_array,
    "BYTEA": bytes_array,
}
"""By the type that the dialect's cast names."""

_PARAMETER = re.compile(r"\$(\d+)::([A-Z]+)\b(?!\[)")
_INSERT = re.compile(r'INSERT INTO ("?\w+"?) \(([^()]*)\) VALUES \(((?:\$\d+::[A-Z]+(?:, )?)+)\)((?: ON CONFLICT .*)?)')
_UPDATE = re.compile(r'(UPDATE ("?\w+"?) SET .*) (WHERE .*)', re.DOTALL)
_DELETE = re.compile(r'(DELETE FROM ("?\w+"?)) (WHERE .*)', re.DOTALL)
_NAMES = re.compile(r"\w+")


class Batch:
    """A compiled statement, and how it is written for many rows, if it can be.

    `alike`: rows of several effects may be written by one statement. `exact`: only where each row is expected to
    change one row, because two rows of values that meet the same row of the table count once.
    """

    __slots__ = ("_arrays", "_key", "alike", "exact", "many", "names", "table")

    def __init__(self, sql: str, key: Sequence[str] = ()) -> None:
        self.names = frozenset(_NAMES.findall(sql))
        """Every word of the text: a statement that names a table comes after what waits to be written to it."""
        self.table = ""
        self.alike = self.exact = False
        self.many = Text("")
        self._arrays: list[tuple[int, Callable[[Sequence[Any]], bytes]]] = []
        self._key: tuple[int, ...] = ()
        self._learn(sql)
        if self.alike:
            self._key = _key_places(sql, self.table, key)

    def _learn(self, sql: str) -> None:
        types = dict(sorted((int(number), kind) for number, kind in _PARAMETER.findall(sql)))
        if not types or not all(kind in _ARRAYS for kind in types.values()):
            return
        if sql.count("$") != len(_PARAMETER.findall(sql)) or "'" in sql or "SELECT" in sql:
            # A subquery sees the table as it was before the statement, so each row needs a statement of its own.
            return
        listed = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(types.values(), 1))
        names = ", ".join(f"v{number}" for number in types)
        if insert := _INSERT.fullmatch(sql):
            self.table, columns, row, conflict = insert.groups()
            if "$" in conflict:
                return
            chosen = _PARAMETER.sub(r"given.v\1", row)
            given = f"unnest({listed}) AS given({names})"
            text = f"INSERT INTO {self.table} ({columns}) SELECT {chosen} FROM {given}{conflict}"  # noqa: S608
        elif change := _UPDATE.fullmatch(sql) or _DELETE.fullmatch(sql):
            head, self.table, where = change.groups()
            if " WHERE " in head:
                return
            joined = "FROM" if head.startswith("UPDATE") else "USING"
            text = _PARAMETER.sub(r"given.v\1", f"{head} {joined} @given {where} RETURNING given.place")
            text = text.replace("@given", f"unnest({listed}) WITH ORDINALITY AS given({names}, place)")
            self.exact = head.startswith("UPDATE")
        else:
            return
        self.table = self.table.strip('"')
        self.alike = True
        self.many = Text(text)
        self._arrays = [(number - 1, _ARRAYS[kind]) for number, kind in types.items()]

    def row_of(self, values: Sequence[Any]) -> tuple[Any, ...] | None:
        """Which row these values mean, as far as the statement names it by its key: a second one has to wait."""
        return tuple([values[place] for place in self._key]) if self._key else None

    def command(self, rows: Sequence[Sequence[Any]]) -> Command:
        """The statement for many rows. Raises whatever a value that fits no column makes Python raise."""
        arrays = [array([row[place] for row in rows]) for place, array in self._arrays]
        return self.many, arrays, [1] * len(arrays)

    def changed(self, result: PGresult) -> int:
        """How many rows of values changed a row; those that changed several, or none, do not count as one each."""
        found = result.ntuples
        if not found:
            return result.command_tuples or 0
        return found if len({result.get_value(row, 0) for row in range(found)}) == found else -1


_TARGET = re.compile(r" ON CONFLICT \(([^()]*)\) DO UPDATE")
_EQUAL = re.compile(r'("?\w+"?)\.("?\w+"?) = \$(\d+)::')


def _key_places(sql: str, table: str, key: Sequence[str]) -> tuple[int, ...]:
    """The values that name the row which a statement changes; empty for one that only adds rows."""
    if (insert := _INSERT.fullmatch(sql)) and (target := _TARGET.match(insert[4])):
        columns = insert[2].split(", ")
        numbers = [int(number) for number, _ in _PARAMETER.findall(insert[3])]
        return tuple(numbers[columns.index(column)] - 1 for column in target[1].split(", "))
    named = {
        column.strip('"'): int(number) - 1 for name, column, number in _EQUAL.findall(sql) if name.strip('"') == table
    }
    return tuple(named[column] for column in key) if key and named.keys() >= set(key) else ()


def _batch_of(statement: Any, sql: str) -> Batch:
    is_update = isinstance(statement, Update)
    table: Any = statement.table if is_update else None
    return Batch(sql, [column.name for column in table.primary_key] if is_update else ())
