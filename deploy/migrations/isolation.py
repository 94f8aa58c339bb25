"""Who may do what in PostgreSQL: row-level security by tenant, and the rights of the application's role.

Run after every change of the schema, over all tables that there are then: a new table cannot be forgotten.

The owner of the tables is another role than the application's. The application's role is no superuser, bypasses no
policy, owns nothing and gets only what statements of the product need. A process says with the connection option
`contactbus.tenants` for whom it works; a connection that says nothing sees nothing. So a forgotten condition on the
tenant shows no other tenant's customers. A process whose password was stolen may still say another name: tenants that
must be safe from one another's programs need databases of their own.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["isolate"]

POLICY = "by_tenant"

_NAMED = "string_to_array(NULLIF(current_setting('contactbus.tenants', true), ''), ',')"
# As a subquery the names are read once per statement, not once per row. IS TRUE keeps the condition out of the choice
# of an index: with a list of unknown length on `tenant`, the planner took another index than the primary key and read
# a tenant's whole table for one row.
_OF_TENANT = f"(tenant = ANY ((SELECT {_NAMED})::text[])) IS TRUE"

_CONDITIONS = {
    # Rows that belong to a row of a tenant's; the policy of that table decides.
    "dead_letter_audit": "EXISTS (SELECT 1 FROM dead_letter WHERE dead_letter.id = dead_letter_audit.dead_letter)"
}
"""Of tables of customers' work that have no tenant of their own."""

_TABLES = (
    "SELECT c.relname, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant')"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') ORDER BY c.relname"
)

_RIGHTS = {
    "alembic_version": "SELECT",
    # What was done to a dead letter stays known.
    "dead_letter_audit": "SELECT, INSERT",
    # Who agreed, and who wants to be left alone, stays known.
    "consent_ledger": "SELECT, INSERT",
    # Who was taken for whom, by whom and why, stays known.
    "person_change": "SELECT, INSERT",
    # What was decided is never decided otherwise.
    "inbox": "SELECT, INSERT, DELETE",
    "outbox": "SELECT, INSERT, DELETE",
    "appended_once": "SELECT, INSERT, DELETE",
}
_ALL_RIGHTS = "SELECT, INSERT, UPDATE, DELETE"

_STATISTICS = """
CREATE OR REPLACE FUNCTION refresh_statistics() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE grown text; refreshed integer := 0;
BEGIN
    IF pg_try_advisory_xact_lock(1937011316) THEN
        FOR grown IN SELECT s.relname FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
            WHERE s.schemaname = 'public' AND c.relkind = 'r' AND s.relname !~ '^(inbox|outbox)'
            AND s.n_mod_since_analyze > 200 + greatest(c.reltuples, 0)
        LOOP
            EXECUTE 'ANALYZE ' || quote_ident(grown);
            refreshed := refreshed + 1;
        END LOOP;
    END IF;
    RETURN refreshed;
END $$
"""
"""Statistics of every table that has doubled since they were taken.

The server takes them by itself, but only every minute. Without any it took an index of the tenant for one of the key,
and a new database under load read whole tables for each batch until then. Taking them is the owner's right.
"""


def isolate(run: Callable[[str], Any], role: str) -> None:
    """Make the role where it is missing, and bring policies and rights of every table to what is declared here.

    `run` executes a statement as the owner and returns a cursor.
    """
    run(_make(role))
    run(f"GRANT USAGE ON SCHEMA public TO {role}")
    run(_STATISTICS)
    run("REVOKE ALL ON FUNCTION refresh_statistics() FROM PUBLIC")
    run(f"GRANT EXECUTE ON FUNCTION refresh_statistics() TO {role}")
    for table, has_tenant in run(_TABLES).fetchall():
        run(f"REVOKE ALL ON {table} FROM {role}")
        if table.startswith("inbox_"):
            # A day is forgotten by emptying its slot; rows come and go through the table as a whole.
            run(f"GRANT SELECT, TRUNCATE ON {table} TO {role}")
            continue
        run(f"GRANT {_RIGHTS.get(table, _ALL_RIGHTS)} ON {table} TO {role}")
        condition = _OF_TENANT if has_tenant else _CONDITIONS.get(table)
        if condition is not None:
            run(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            run(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            run(f"DROP POLICY IF EXISTS {POLICY} ON {table}")
            run(f"CREATE POLICY {POLICY} ON {table} USING ({condition}) WITH CHECK ({condition})")


def _make(role: str) -> str:
    # Roles belong to the server, not to the database: another process may be making the same one now.
    return (
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN"
        f" CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS; END IF;"
        f" EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
