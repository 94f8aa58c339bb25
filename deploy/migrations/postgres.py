"""The schema of a PostgreSQL database: brought to the newest by its owner, or seen to be the newest.

A server that could lose what it acknowledged, and an application's role that no policy holds back, are refused.
"""

from typing import Any

import psycopg

from bus.errors import ConfigurationError, TransientError
from bus.store.postgres_settings import PostgresSettings
from deploy.migrations import HEAD, config
from deploy.migrations.isolation import isolate

__all__ = ["upgrade"]


_MIGRATION_LOCK = 0x636F6E74
"""Key of the advisory lock under which the schema of a database changes."""

_LOCK_S = 30
"""For another process to bring the schema there: some seconds on a busy machine."""


def upgrade(settings: PostgresSettings) -> None:
    """Bring the database to `HEAD` as its owner, or without an owner's connection string see that somebody did.

    Processes that start together wait for the first one. Blocks; raises ConfigurationError when the schema is another
    one, a connection string is none or the owner may not do what is needed, TransientError when the server cannot be
    reached, lets nobody in, or somebody else's change of the schema does not come to an end.
    """
    try:
        if settings.owner_dsn:
            _upgrade(settings)
        with psycopg.connect(settings.dsn, connect_timeout=round(settings.connect_timeout_s)) as connection:
            try:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
                row = None
            _refuse_unsafe(connection)
    except psycopg.OperationalError as error:
        reason = type(error).__name__
        raise TransientError(f"the database cannot be reached, or does not let us in: {reason}") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            "[postgres] owner_dsn must own the database and may need CREATEROLE;"
            f" or make the role {settings.application_role} beforehand"
        ) from error
    except psycopg.ProgrammingError as error:
        if error.sqlstate is not None:
            raise
        # The driver's own words would quote the string, and with it the password.
        raise ConfigurationError("[postgres] dsn or owner_dsn cannot be read as a connection string") from None
    if row is None or row[0] != HEAD:
        found = row[0] if row else "none"
        raise ConfigurationError(
            f"the database has schema {found} instead of {HEAD}:"
            " start one process with [postgres] owner_dsn, which brings it there"
        )


def _upgrade(settings: PostgresSettings) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    def connect() -> Any:
        return psycopg.connect(settings.owner_dsn, connect_timeout=round(settings.connect_timeout_s))

    with connect() as connection:
        # Until the end of the transaction: whoever comes second finds everything done. One that stands still with the
        # lock in its hands must not keep a gateway's doors shut.
        connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_S}s'")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        if _current(connection) == HEAD:
            if not _is_known(connection, settings.application_role):
                isolate(connection.execute, settings.application_role)
            return
        from alembic import command

        engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
        try:
            with engine.begin() as alembic_connection:
                command.upgrade(config(alembic_connection, application_role=settings.application_role), "head")
        finally:
            engine.dispose()


def _is_known(connection: Any, role: str) -> bool:
    """Whether the role was given its rights; another may have been named since."""
    (known,) = connection.execute(
        "SELECT EXISTS (SELECT FROM information_schema.role_table_grants"
        " WHERE table_name = 'alembic_version' AND grantee = %s)",
        (role,),
    ).fetchone()
    return known


def _current(connection: Any) -> str:
    row = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
    if row[0] is None:
        return ""
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else ""


def _refuse_unsafe(connection: Any) -> None:
    """A database that says yes before the disk did would lose what was acknowledged."""
    connection.rollback()
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        (value,) = connection.execute(f"SHOW {name}").fetchone()
        if value == "off":
            raise ConfigurationError(f"PostgreSQL has {name} = off: what it acknowledged may be lost; switch it on")
    role, is_super, bypasses = connection.execute(
        "SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    if is_super or bypasses:
        raise ConfigurationError(
            f"[postgres] dsn signs in as {role}, which no policy holds back: use the application's role"
        )
