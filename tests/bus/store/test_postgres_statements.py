"""Every statement that the product declares is understood and carried out by PostgreSQL, as the application's role."""

import asyncio
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from sqlalchemy import ARRAY, Integer, LargeBinary, Table, bindparam, update
from sqlalchemy.sql import visitors
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase
from sqlalchemy.types import NullType

import adapters
import bus
import deploy
import workers
from bus.delivery.outcome import Outcome, Write
from bus.store.port import Effect
from bus.store.postgres import WRITING, PostgresStore
from bus.store.postgres_errors import Kind, ServerError, raise_if_failed
from bus.store.postgres_settings import PostgresSettings
from bus.store.postgres_sql import command, statements, text_of
from bus.store.schema import SQLITE
from bus.store.sql import Statement, insert_ignore, render, upsert
from workers.case.schema import cases


def declared() -> dict[str, Any]:
    """Statements at module level, also in lists and mappings, by where they are declared."""
    found: dict[int, tuple[str, Any]] = {}
    for package in (adapters, bus, deploy, workers):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Programs start when they are imported; test kits belong to pytest.
            if module.name.rsplit(".", 1)[-1] in ("__main__", "env", "sandbox_child") or ".versions" in module.name:
                continue
            for name, value in vars(importlib.import_module(module.name)).items():
                for place, statement in within(f"{module.name}.{name}", value):
                    found.setdefault(id(statement), (place, statement))
    return dict(found.values())


def within(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, (Statement, UpdateBase, SelectBase)):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from within(f"{place}[{key}]", inner)
    elif isinstance(value, (list, tuple)):
        for number, inner in enumerate(value):
            yield from within(f"{place}[{number}]", inner)


STATEMENTS = declared()

_DEAD_LETTER = (
    "INSERT INTO dead_letter SELECT (jsonb_populate_record(NULL::dead_letter, jsonb_object_agg(column_name,"
    " CASE column_name WHEN 'tenant' THEN 'shop' WHEN 'id' THEN 'x' ELSE '1' END))).*"
    " FROM information_schema.columns WHERE table_name = 'dead_letter'"
)


def sample(name: str, kind: Any) -> Any:
    """A value that fits the type; the tenant's own name where the tenant is meant."""
    if isinstance(kind, ARRAY):
        return [sample(name, kind.item_type)]
    if isinstance(kind, (Integer, NullType)):
        # Without a type of its own: a limit.
        return 1
    if isinstance(kind, LargeBinary):
        return b"x"
    return "shop" if "tenant" in name else "x"


def test_the_statements_of_the_product_are_found() -> None:
    assert len(STATEMENTS) > 100
    assert {place.split(".")[0] for place in STATEMENTS} == {"adapters", "bus", "deploy", "workers"}


async def test_every_declared_statement_runs(postgres_settings: PostgresSettings) -> None:
    store = await PostgresStore.open(postgres_settings, tenant="shop")
    wire = store.wire()
    cache = statements()
    failed: dict[str, str] = {}
    for place, statement in STATEMENTS.items():
        rendered: Executable = render(statement, "postgresql")
        if any(table.info == SQLITE for table in visitors.iterate(rendered) if isinstance(table, Table)):
            continue
        columns = {} if not isinstance(rendered, UpdateBase) else {c.name: c.type for c in rendered.table.columns}
        given = dict.fromkeys(columns) if _names_no_columns(rendered) else {}
        prepared = cache.prepare(statement, given)
        compiled: Any = prepared._compiled
        binds = {name: bind.type for name, bind in compiled.binds.items()}
        params = {name: sample(name, binds.get(name, columns.get(name))) for name in {*binds, *given}}
        sql, values = prepared.bind(params)
        commands = [command(sql, values)]
        if prepared.batch.alike:
            commands.append(prepared.batch.command([values]))
        for number, one in enumerate(commands):
            # What is done to a dead letter belongs to it, for the policy too.
            results = await wire.run([(text_of("BEGIN"), (), None), command(_DEAD_LETTER, []), one])
            await wire.run([(text_of("ROLLBACK"), (), None)])
            try:
                for result in results:
                    raise_if_failed(result)
            except ServerError as error:
                if error.kind is not Kind.RACE:
                    failed[f"{place} {'for many rows' if number else ''}"] = f"{error} in {sql}"
    wire.close()
    await store.close()
    assert not failed, "\n".join(f"{place}: {error}" for place, error in failed.items())


async def test_a_table_that_grows_is_read_by_its_key_soon(postgres_settings: PostgresSettings) -> None:
    store = await PostgresStore.open(postgres_settings, tenant="shop")
    insert = Write(
        statement=insert_ignore(cases, ["tenant", "id"]),
        params={column.name: 1 if isinstance(column.type, Integer) else "shop" for column in cases.columns},
    )
    for start in range(0, 3_000, 500):
        many = [
            Write(statement=insert.statement, params={**insert.params, "id": f"c{n}", "number": f"{n}"})
            for n in range(start, start + 500)
        ]
        assert (await store.apply([Effect(outcome=Outcome(writes=tuple(many)))]))[0].applied
    wire = store.wire(WRITING)
    by_keys = command("EXPLAIN (FORMAT TEXT) SELECT * FROM cases WHERE tenant = 'shop' AND id = ANY ('{c1,c2}')", [])
    bump = command("EXPLAIN UPDATE cases SET version = 2 WHERE tenant = 'shop' AND id = 'c1' AND status = 'shop'", [])
    async with asyncio.timeout(20):
        plans = ""
        while plans.count("Index Scan using pk_cases") < 2:
            await asyncio.sleep(0.2)
            # A session tells what it has changed when it commits again, at most once a second.
            await store.apply([Effect(outcome=Outcome(writes=(insert,)))])
            results = await wire.run([by_keys, bump])
            plans = "\n".join(line for result in results for (line,) in wire.rows(result))
    with psycopg.connect(postgres_settings.owner_dsn) as owner:
        (taken,) = owner.execute("SELECT reltuples FROM pg_class WHERE relname = 'cases'").fetchone() or (0,)
    assert taken >= 1_000
    wire.close()
    await store.close()


def _names_no_columns(rendered: Any) -> bool:
    return isinstance(rendered, UpdateBase) and rendered.is_insert and not rendered._values and rendered.select is None


def test_a_statement_knows_which_row_it_changes() -> None:
    cache = statements()
    values = {column.name: column.name for column in cases.columns}
    put = cache.prepare(upsert(cases, ["tenant", "id"]), values)
    add = cache.prepare(insert_ignore(cases, ["tenant", "id"]), values)
    bump = update(cases).where(
        cases.c.tenant == bindparam("b_tenant"), cases.c.id == bindparam("b_id"), cases.c.version == bindparam("b_v")
    )
    changed = cache.prepare(bump.values(version=bindparam("b_new")), {})
    found = [batch.batch.row_of(batch.bind(params)[1]) for batch, params in ((put, values), (add, values))]
    assert found == [("tenant", "id"), None]
    assert changed.batch.row_of(changed.bind({"b_tenant": "t", "b_id": "i", "b_v": 3, "b_new": 4})[1]) == ("t", "i")


@pytest.mark.parametrize("text", ["SELECT 1", "UPDATE t SET a=$1::VARCHAR"])
def test_what_cannot_be_written_for_many_rows_is_not(text: str) -> None:
    from bus.store.postgres_sql import Batch

    assert not Batch(text).alike
