"""The migrations lead to exactly the tables that the code declares."""

import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import MetaData, create_engine
from sqlalchemy.pool import NullPool

from bus.errors import ConfigurationError, TransientError
from bus.log.embedded import EmbeddedEngine
from bus.store.postgres_settings import PostgresSettings
from bus.store.schema import tables_of
from bus.store.sqlite_file import DATABASE_NAME
from deploy import migrations
from deploy.migrations import postgres


def schema(database: Path) -> dict[str, str]:
    """Every object of a database with its statement, layout aside."""
    connection = sqlite3.connect(database)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {
        name: re.sub(r"[\s\"]+", " ", sql).replace("( ", "(").replace(" )", ")").lower()
        for name, sql in rows
        if not name.startswith(("sqlite_", "alembic_", "test_"))
    }


def differences(connection: Any, metadata: MetaData) -> list[Any]:
    """What the database has otherwise than the tables in code, those of other databases and of tests aside."""
    dialect = connection.dialect.name

    def is_ours(thing: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
        if kind != "table":
            return True
        return not str(name).startswith(("test_", "inbox_")) and thing.info.get("dialect", dialect) == dialect

    return compare_metadata(MigrationContext.configure(connection, opts={"include_object": is_ours}), metadata)


def test_head_is_the_newest_script() -> None:
    assert ScriptDirectory.from_config(migrations.config()).get_current_head() == migrations.HEAD


async def test_a_migrated_folder_has_the_declared_tables(tmp_path: Path) -> None:
    metadata = migrations.all_metadata()
    (tmp_path / "migrated").mkdir()
    migrations.upgrade(tmp_path / "migrated")
    migrations.upgrade(tmp_path / "migrated")
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated' / DATABASE_NAME}", poolclass=NullPool)
    with engine.connect() as connection:
        assert differences(connection, metadata) == []
    declared = await EmbeddedEngine.open(tmp_path / "declared")
    await declared.create_schema()
    await declared.close()
    migrated = schema(tmp_path / "migrated" / DATABASE_NAME)
    created = schema(tmp_path / "declared" / DATABASE_NAME)
    assert migrated.keys() == created.keys()
    # What the comparison above cannot see: options behind the columns decide that offsets are never used twice.
    special = {name for name, sql in created.items() if "autoincrement" in sql or sql.endswith("without rowid")}
    assert special
    for name in special:
        assert ("autoincrement" in migrated[name], migrated[name].endswith("without rowid")) == (
            "autoincrement" in created[name],
            created[name].endswith("without rowid"),
        ), name


# PostgreSQL.


def connected(dsn: str, tenants: str | None = None) -> psycopg.Connection[Any]:
    """A connection that says for whom it works, as a process does."""
    options = "" if tenants is None else f"-c contactbus.tenants={tenants}"
    return psycopg.connect(make_conninfo(dsn, options=options), autocommit=True)


@pytest.fixture
def empty_database(postgres_dsn: str, postgres_database: PostgresSettings) -> Iterator[PostgresSettings]:
    """A database without any table, and roles that exist already."""
    owner = conninfo_to_dict(postgres_database.owner_dsn)["user"]
    name = f"{owner}_empty"
    with psycopg.connect(postgres_dsn, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} OWNER {owner}")
        yield PostgresSettings(
            dsn=make_conninfo(postgres_database.dsn, dbname=name),
            owner_dsn=make_conninfo(postgres_database.owner_dsn, dbname=name),
        )
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_migrated_database_has_the_declared_tables(postgres_settings: PostgresSettings) -> None:
    metadata = migrations.all_metadata()
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(postgres_settings.owner_dsn), poolclass=NullPool
    )
    with engine.connect() as connection:
        assert differences(connection, metadata) == []


def test_processes_that_start_together_migrate_once(empty_database: PostgresSettings) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: postgres.upgrade(empty_database), range(4)))
    with connected(empty_database.owner_dsn) as connection:
        (tables,) = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() or (0,)
    # With the 65 slots of the inbox and the number of the revision.
    assert tables == len([table for table in tables_of("postgresql") if not table.name.startswith("test_")]) + 65 + 1


def test_without_the_owner_a_schema_that_is_not_ours_is_refused(empty_database: PostgresSettings) -> None:
    alone = PostgresSettings(dsn=empty_database.dsn)
    with pytest.raises(ConfigurationError, match="owner_dsn"):
        postgres.upgrade(alone)
    postgres.upgrade(empty_database)
    postgres.upgrade(alone)
    with connected(empty_database.owner_dsn) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="schema 9999 instead of"):
        postgres.upgrade(alone)


def test_another_role_that_is_named_later_gets_its_rights(empty_database: PostgresSettings, postgres_dsn: str) -> None:
    postgres.upgrade(empty_database)
    role = f"{conninfo_to_dict(empty_database.owner_dsn)['user']}_app"
    with psycopg.connect(postgres_dsn, autocommit=True) as server:
        try:
            postgres.upgrade(
                PostgresSettings(
                    dsn=make_conninfo(empty_database.dsn, user=role),
                    owner_dsn=empty_database.owner_dsn,
                    application_role=role,
                )
            )
            with connected(make_conninfo(empty_database.dsn, user=role), "a") as connection:
                assert connection.execute("SELECT count(*) FROM timer").fetchone() == (0,)
        finally:
            with psycopg.connect(make_conninfo(postgres_dsn, dbname=_name_of(empty_database)), autocommit=True) as own:
                own.execute(f"DROP OWNED BY {role}")
            server.execute(f"DROP ROLE {role}")


def _name_of(settings: PostgresSettings) -> str:
    return str(conninfo_to_dict(settings.dsn)["dbname"])


def test_a_role_that_no_policy_holds_back_is_refused(postgres_settings: PostgresSettings, postgres_dsn: str) -> None:
    name = conninfo_to_dict(postgres_settings.dsn)["dbname"]
    with pytest.raises(ConfigurationError, match="no policy holds back"):
        postgres.upgrade(PostgresSettings(dsn=make_conninfo(postgres_dsn, dbname=str(name))))


def test_a_server_that_may_lose_what_it_acknowledged_is_refused(postgres_settings: PostgresSettings) -> None:
    hasty = make_conninfo(postgres_settings.dsn, options="-c synchronous_commit=off")
    with pytest.raises(ConfigurationError, match="synchronous_commit"):
        postgres.upgrade(PostgresSettings(dsn=hasty))


def test_a_server_that_is_not_there_is_a_passing_error() -> None:
    with pytest.raises(TransientError):
        postgres.upgrade(PostgresSettings(dsn="host=127.0.0.1 port=1 user=x dbname=x", connect_timeout_s=1))


@pytest.mark.parametrize("wrong", ["dsn", "owner_dsn"])
def test_what_is_no_connection_string_is_told_without_its_words(wrong: str) -> None:
    settings = PostgresSettings(**{"dsn": "host=127.0.0.1", wrong: "host=127.0.0.1 password=geheim and more"})
    with pytest.raises(ConfigurationError, match="connection string") as refused:
        postgres.upgrade(settings)
    assert "geheim" not in str(refused.value)


def test_a_change_of_the_schema_that_stands_still_is_not_waited_for_for_ever(
    empty_database: PostgresSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_LOCK_S", 1)
    with psycopg.connect(empty_database.owner_dsn) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", (postgres._MIGRATION_LOCK,))
        with pytest.raises(TransientError):
            postgres.upgrade(empty_database)
    postgres.upgrade(empty_database)


def test_every_table_of_a_tenant_has_a_policy_that_holds_for_its_owner_too(
    postgres_settings: PostgresSettings,
) -> None:
    with connected(postgres_settings.owner_dsn) as connection:
        found = connection.execute(
            "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity,"
            " ARRAY(SELECT p.polname || ' ' || p.polcmd::text || ' ' || (p.polwithcheck IS NOT NULL)::text"
            " FROM pg_policy p WHERE p.polrelid = c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')"
        ).fetchall()
    held = {name for name, forced, policies in found if forced and policies == ["by_tenant * true"]}
    with_tenant = {table.name for table in tables_of("postgresql") if "tenant" in table.columns}
    assert len(with_tenant) > 30
    assert {name for name in with_tenant if not name.startswith("test_")} | {"dead_letter_audit"} == held
    # Digests without names or texts, which all tenants forget at once, and the number of the revision.
    others = {name for name, _, _ in found} - held
    assert {name for name in others if not name.startswith("inbox_")} == {"inbox", "alembic_version"}


def test_the_application_sees_and_changes_its_own_tenant_alone(postgres_settings: PostgresSettings) -> None:
    insert = "INSERT INTO timer VALUES (%s, 0, %s, 't', 'k', 'x', '')"
    with connected(postgres_settings.dsn, "a") as a, connected(postgres_settings.dsn, "b,c") as b:
        a.execute(insert, ("1", "a"))
        b.execute(insert, ("2", "b"))
        b.execute(insert, ("3", "c"))
        assert a.execute("SELECT id FROM timer").fetchall() == [("1",)]
        assert b.execute("SELECT id FROM timer ORDER BY id").fetchall() == [("2",), ("3",)]
        for tenant in ("b", "", "a,b"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                a.execute(insert, ("9", tenant))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            a.execute("UPDATE timer SET tenant = 'b'")
        assert a.execute("UPDATE timer SET kind = 'y' WHERE id = '2'").rowcount == 0
        assert a.execute("DELETE FROM timer").rowcount == 1
        # What one tenant's row occupies is not shown to another, but it is not free either.
        with pytest.raises(psycopg.errors.UniqueViolation):
            a.execute(insert, ("2", "a"))
    for nobody in (None, "", ",", "x"):
        with connected(postgres_settings.dsn, nobody) as connection:
            assert connection.execute("SELECT count(*) FROM timer").fetchone() == (0,)


@pytest.mark.parametrize(
    "attempt",
    [
        "ALTER TABLE timer DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE timer NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY by_tenant ON timer",
        "CREATE POLICY more ON timer USING (true)",
        "ALTER ROLE contactbus_app BYPASSRLS",
        "SET ROLE {owner}",
        "SET SESSION AUTHORIZATION {owner}",
        "CREATE TABLE mine (tenant text)",
        "DROP TABLE timer",
        "TRUNCATE timer",
        "TRUNCATE inbox",
        "UPDATE outbox SET tenant = 'a'",
        "UPDATE inbox SET day = 0",
        "DELETE FROM dead_letter_audit",
        "UPDATE alembic_version SET version_num = ''",
        # Without policies the answer is an error, not everything.
        "SET row_security = off; SELECT * FROM timer",
    ],
)
def test_the_application_cannot_switch_it_off(postgres_settings: PostgresSettings, attempt: str) -> None:
    owner = conninfo_to_dict(postgres_settings.owner_dsn)["user"]
    with connected(postgres_settings.dsn, "a") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(attempt.format(owner=owner))


def test_what_was_done_to_a_dead_letter_is_seen_by_its_tenant_alone(postgres_settings: PostgresSettings) -> None:
    letter = "INSERT INTO dead_letter SELECT (jsonb_populate_record(NULL::dead_letter, jsonb_object_agg(column_name,"
    letter += " CASE column_name WHEN 'tenant' THEN 'a' ELSE '1' END))).*"
    letter += " FROM information_schema.columns WHERE table_name = 'dead_letter'"
    audit = "INSERT INTO dead_letter_audit (id, dead_letter, actor, action, at) VALUES (%s, '1', 'x', 'retry', 0)"
    with connected(postgres_settings.dsn, "a") as a, connected(postgres_settings.dsn, "b") as b:
        a.execute(letter)
        a.execute(audit, ("1",))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            b.execute(audit, ("2",))
        assert a.execute("SELECT count(*) FROM dead_letter_audit").fetchone() == (1,)
        assert b.execute("SELECT count(*) FROM dead_letter_audit").fetchone() == (0,)
