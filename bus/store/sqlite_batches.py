"""Many rows by one statement: how an insert or a guarded update of one row is written for any number of rows.

The driver gives up the interpreter at every step of a statement, and `executemany` is a step per row. In a busy process
each of them waits for the event loop, with the write lock of the data folder held: for a batch of two hundred contacts
that was some hundred milliseconds of waiting. So rows that are written alike are written by one statement.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.sql.dml import Update

from bus.store.sqlite_writer import Transaction

__all__ = ["Batch", "batch_of", "write_together"]

_SIZES = (1, 4, 16, 64, 256)
"""Rows of a statement: few texts for the driver to keep prepared. What is left of one is filled with nothing."""

_MAX_VALUES = 30_000
"""Parameters of a statement (SQLite takes 32,766)."""

_INSERT = re.compile(r"(INSERT INTO (\w+) \([^()]*\)) VALUES \(([?, ]*)\)((?! RETURNING).*)", re.DOTALL)
"""An insert of given values. Subqueries among the values would look at other rows: not matched."""

_UPDATE = re.compile(r"UPDATE (\w+) SET (\w+=\?(?:, \w+=\?)*) WHERE (\w+\.\w+ = \?(?: AND \w+\.\w+ = \?)*)")
"""An update that sets given values where columns have given values."""


class Batch:
    """A statement that can be written for many rows of `width` values. `kind` is insert or update.

    Each row is given with a mark in front, which is NULL where a statement has more places than there are rows.
    """

    def __init__(self, table: str, kind: str, width: int, text: Callable[[str], str]) -> None:
        self.table = table
        self.kind = kind
        row = f"({','.join('?' * (width + 1))})"
        self.sizes = tuple(size for size in _SIZES if size * (width + 1) <= _MAX_VALUES)
        self._filling = (None,) * (width + 1)
        self._texts = {size: text(f"(VALUES {','.join([row] * size)}) AS given") for size in self.sizes}

    def next_size(self, rows: int) -> int:
        """How many of so many rows to write next: a statement that is at least half full, or else a full one."""
        fitting = 1
        for size in self.sizes:
            if rows <= size <= 2 * rows:
                return size
            if size <= rows:
                fitting = size
        return fitting

    def statement(self, rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
        """SQL text and values for rows, no more than the largest of `sizes`."""
        size = next(size for size in self.sizes if size >= len(rows))
        values: list[Any] = []
        for row in rows:
            values.append(1)
            values += row
        values += self._filling * (size - len(rows))
        return self._texts[size], values


def batch_of(statement: Any, sql: str) -> Batch | None:
    """How the compiled `statement` is written for many rows; None when it has to be executed row by row.

    An update must name the whole primary key, so that each row of values meets at most one row of the table: then the
    number of rows changed says whether each of them met its own.
    """
    insert = _INSERT.fullmatch(sql)
    if insert is not None:
        head, table, row, tail = insert.groups()
        width = row.count("?")
        columns = ", ".join(f"given.column{place + 2}" for place in range(width))
        return Batch(
            table,
            "insert",
            width,
            lambda given: f"{head} SELECT {columns} FROM {given} WHERE given.column1{tail}",  # noqa: S608
        )
    update = _UPDATE.fullmatch(sql)
    if update is None or not isinstance(statement, Update):
        return None
    table, settings, conditions = update.groups()
    columns = [setting.removesuffix("=?") for setting in settings.split(", ")]
    compared = [condition.removesuffix(" = ?") for condition in conditions.split(" AND ")]
    key = {f"{table}.{column.name}" for column in statement.table.primary_key}  # pyright: ignore[reportAttributeAccessIssue]
    if not key or not key <= set(compared):
        return None
    sets = ", ".join(f"{name}=given.column{place}" for place, name in enumerate(columns, 2))
    where = " AND ".join(f"{name} = given.column{place}" for place, name in enumerate(compared, 2 + len(columns)))
    return Batch(
        table,
        "update",
        len(columns) + len(compared),
        lambda given: f"UPDATE {table} SET {sets} FROM {given} WHERE {where}",  # noqa: S608
    )


def write_together(transaction: Transaction, batch: Batch, rows: Sequence[Sequence[Any]]) -> int:
    """Write the rows in their order; how many rows of the table changed."""
    changed = start = 0
    while start < len(rows):
        size = batch.next_size(len(rows) - start)
        changed += transaction.execute(*batch.statement(rows[start : start + size])).rowcount
        start += size
    return changed
