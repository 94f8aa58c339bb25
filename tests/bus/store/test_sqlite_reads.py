"""Statements compiled once, and how parameters reach them."""

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, func, insert, select, update

from bus.errors import PermanentError
from bus.store.sql import insert_ignore, upsert
from bus.store.sqlite_reads import Statements

item = Table(
    "item",
    MetaData(),
    Column("id", Text, primary_key=True),
    Column("state", Text, nullable=False, default="new"),
    Column("count", Integer, nullable=False, default=0),
    Column("made", Integer, default=lambda: 1),
)


def test_the_same_statement_is_compiled_once_per_set_of_parameters() -> None:
    statements = Statements()
    statement = insert(item)
    first = statements.prepare(statement, {"id": 1, "state": 2, "made": 3})
    assert statements.prepare(statement, {"id": 4, "state": 5, "made": 6}) is first
    assert statements.prepare(statement, {"id": 4, "made": 6}) is not first


def test_literals_binds_and_scalar_defaults_become_values_in_their_places() -> None:
    statements = Statements()
    query = select(item.c.id).where(item.c.state == "open", item.c.count > bindparam("least")).limit(5)
    sql, values = statements.prepare(query, {"least": 3}).bind({"least": 3})
    assert sql.count("?") == len(values)
    assert values == ["open", 3, 5, 0]

    row = {"id": "a", "made": 1}
    sql, values = statements.prepare(insert(item), row).bind(row)
    assert values == ["a", "new", 0, 1]

    change = update(item).where(item.c.id == bindparam("b_id")).values(count=item.c.count + 1, state=bindparam("b_s"))
    sql, values = statements.prepare(change, {"b_id": "a", "b_s": "x"}).bind({"b_s": "x", "b_id": "a"})
    assert sql.startswith("UPDATE item SET")
    assert values == ["x", 1, "a"]


def test_a_missing_parameter_and_a_default_that_calls_code_are_refused() -> None:
    statements = Statements()
    prepared = statements.prepare(select(item).where(item.c.id == bindparam("id")), {})
    with pytest.raises(PermanentError, match="'id' is missing"):
        prepared.bind({})
    with pytest.raises(PermanentError, match="made"):
        statements.prepare(insert(item), {"id": "a"})


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"], []])
def test_lists_grow_and_shrink(names: list[str]) -> None:
    query = select(item.c.id).where(item.c.id.in_(bindparam("names", expanding=True)), item.c.state == "open")
    statements = Statements()
    prepared = statements.prepare(query, {"names": names})
    sql, values = prepared.bind({"names": names})
    assert sql.count("?") == len(values) == len(names) + 1
    assert "POSTCOMPILE" not in sql
    assert values[-1] == "open"


def test_literal_lists_work_too() -> None:
    query = select(func.count()).select_from(item).where(item.c.state.in_(["open", "held"]))
    sql, values = Statements().prepare(query, {}).bind({})
    assert sql.count("?") == 2
    assert list(values) == ["open", "held"]


def test_conflict_clauses_are_those_of_sqlite() -> None:
    row = {"id": "a", "state": "s", "count": 1, "made": 2}
    sql, values = Statements().prepare(upsert(item, ["id"], ["state"]), row).bind(row)
    assert "ON CONFLICT (id) DO UPDATE SET state = excluded.state" in sql
    assert values == ["a", "s", 1, 2]
    assert "DO NOTHING" in Statements().prepare(insert_ignore(item, ["id"]), row).sql
