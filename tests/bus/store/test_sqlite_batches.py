"""Writing many rows by one statement changes exactly what writing them one by one would."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, bindparam, insert, update
from sqlalchemy.dialects.sqlite.base import SQLiteDialect

from bus.delivery.outcome import Outcome, Write
from bus.log.embedded import EmbeddedEngine
from bus.store.port import Effect
from bus.store.sql import insert_ignore, render, upsert
from bus.store.sqlite_batches import Batch, batch_of, write_together
from bus.store.sqlite_writer import Writer

metadata = MetaData()
shelf = Table(
    "shelf",
    metadata,
    Column("place", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("amount", Integer),
    Column("label", LargeBinary),
)
DDL = (
    "CREATE TABLE shelf (place TEXT, number INTEGER, amount INTEGER, label BLOB, PRIMARY KEY (place, number))"
    " WITHOUT ROWID"
)
put = insert(shelf)
once = insert_ignore(shelf, ["place", "number"])
put_or_count = upsert(shelf, ["place", "number"], ["amount"])
recount = (
    update(shelf)
    .where(
        shelf.c.place == bindparam("b_place"),
        shelf.c.number == bindparam("b_row"),
        shelf.c.amount == bindparam("b_count"),
    )
    .values(amount=bindparam("v_count"), label=bindparam("v_label"))
)
COUNTS = (1, 2, 8, 9, 100, 600)


def compiled(statement: Any, names: list[str]) -> tuple[Any, str]:
    rendered = render(statement, "sqlite")
    return rendered, str(rendered.compile(dialect=SQLiteDialect(paramstyle="qmark"), column_keys=names))


def batch(statement: Any, names: list[str] | None = None) -> Batch:
    found = batch_of(*compiled(statement, names or ["place", "number", "amount", "label"]))
    assert found is not None
    return found


class Shelf:
    """A writer on a fresh file with one table."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._writer = Writer(folder, floor_bytes=0)

    async def run(self, work: Any) -> Any:
        return await self._writer.submit(work)

    async def rows(self) -> list[tuple[Any, ...]]:
        return await self.run(lambda t: t.execute("SELECT * FROM shelf ORDER BY place, number").fetchall())

    async def write(self, batch: Batch, rows: list[tuple[Any, ...]]) -> int:
        return await self.run(lambda t: write_together(t, batch, rows))

    async def close(self) -> None:
        await self._writer.close()


@pytest.fixture
async def fresh(tmp_path: Path) -> Any:
    shelf = Shelf(tmp_path / "shelf")
    await shelf.run(lambda t: t.execute(DDL))
    yield shelf
    await shelf.close()


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("statement", [put, once, put_or_count])
async def test_every_row_arrives_and_no_filling(fresh: Shelf, statement: Any, count: int) -> None:
    # Empty, zero and NULL are values too: only the mark in front says what is filling.
    rows = [("" if number % 3 else f"p{number}", number, None if number % 2 else 0, b"\0") for number in range(count)]
    assert await fresh.write(batch(statement), rows) == count
    assert await fresh.rows() == sorted(rows)


async def test_conflicts_are_resolved_row_by_row(fresh: Shelf) -> None:
    await fresh.write(batch(put), [("a", 1, 10, b"first")])
    assert await fresh.write(batch(once), [("a", 1, 11, b""), ("a", 2, 20, b""), ("a", 2, 21, b"")]) == 1
    assert await fresh.write(batch(put_or_count), [("a", 1, 12, b"new"), ("a", 3, 30, b"")]) == 2
    assert await fresh.rows() == [("a", 1, 12, b"first"), ("a", 2, 20, b""), ("a", 3, 30, b"")]


@pytest.mark.parametrize("count", COUNTS)
async def test_guarded_updates_count_those_that_met_their_row(fresh: Shelf, count: int) -> None:
    await fresh.write(batch(put), [("a", number, 1, b"") for number in range(count)])
    guarded = batch(recount, ["b_place", "b_row", "b_count", "v_count", "v_label"])
    rows = [(2, b"new", "a", number, 1) for number in range(count)]
    assert await fresh.write(guarded, rows) == count
    assert await fresh.write(guarded, rows) == 0, "the guard names a count that is no longer there"
    assert await fresh.rows() == [("a", number, 2, b"new") for number in range(count)]
    assert await fresh.write(guarded, [(3, b"", "a", 0, 2), (4, b"", "a", 0, 2)]) == 1, "one row changes once"


async def test_an_update_looks_its_row_up(fresh: Shelf) -> None:
    text, values = batch(recount, ["b_place", "b_row", "b_count", "v_count", "v_label"]).statement(
        [(0, b"", "", 0, 0)] * 9
    )
    plan = await fresh.run(lambda t: t.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall())
    assert any("SEARCH shelf USING PRIMARY KEY (place=? AND number=?)" in row[3] for row in plan), plan


@pytest.mark.parametrize(
    "statement",
    [
        update(shelf).where(shelf.c.place == bindparam("b_place")).values(amount=bindparam("v_count")),
        update(shelf)
        .where(shelf.c.place == bindparam("p"), shelf.c.number == bindparam("r"))
        .values(amount=shelf.c.amount + 1),
        update(shelf)
        .where(shelf.c.place == bindparam("p"), shelf.c.number > bindparam("r"))
        .values(amount=bindparam("c")),
        put.returning(shelf.c.number),
        put.from_select(
            ["place", "number"], metadata.tables["shelf"].select().with_only_columns(shelf.c.place, shelf.c.number)
        ),
    ],
)
def test_what_could_touch_several_rows_is_executed_one_by_one(statement: Any) -> None:
    assert batch_of(*compiled(statement, ["place", "number"])) is None


async def test_two_updates_of_one_row_in_one_transaction_are_a_conflict_of_the_second(engine: EmbeddedEngine) -> None:
    """Both read version 1; together they would change one row instead of two, so each is tried alone."""
    from workers.case.schema import cases

    await engine.create_schema()
    columns = {column.name: "" if isinstance(column.type, Text) else 0 for column in cases.columns}
    await engine.apply(
        [Effect(outcome=Outcome(writes=(Write(statement=insert(cases), params={**columns, "id": "k", "version": 1}),)))]
    )
    raised = (
        update(cases)
        .where(cases.c.tenant == bindparam("t"), cases.c.id == bindparam("i"), cases.c.version == bindparam("v"))
        .values(version=bindparam("n"), status=bindparam("s"))
    )

    def effect(status: str) -> Effect:
        params = {"t": "", "i": "k", "v": 1, "n": 2, "s": status}
        return Effect(outcome=Outcome(writes=(Write(statement=raised, params=params, expect=1),)))

    first, second = await asyncio.gather(
        engine.apply([effect("first"), effect("second")]), engine.apply([effect("third")])
    )
    assert [(result.applied, result.reason) for result in (*first, *second)] == [
        (True, ""), (False, "conflict"), (False, "conflict"),
    ]  # fmt: skip
    row = await engine.one(cases.select())
    assert row is not None
    assert (row["version"], row["status"]) == (2, "first")
