"""Schema changes, in order, by Alembic. `upgrade` brings a data folder to the newest schema.

`deploy.migrations.postgres` does the same for a PostgreSQL database: one chain of revisions serves both, few tables
belong to one of them alone. To change the schema: edit the tables, then `python -m deploy.migrations "what changes"`
writes the next revision.
"""

import sqlite3
from pathlib import Path
from typing import Any

from bus.store.sqlite_file import DATABASE_NAME, write_lock

__all__ = ["HEAD", "TABLES", "all_metadata", "config", "upgrade"]

HEAD = "0001"
"""The newest revision. Comparing with it spares every start the import of Alembic; a test holds it to the scripts."""


def upgrade(data: Path) -> None:
    """Bring the database of a data folder to `HEAD`. Processes that start together wait for the first one."""
    with write_lock(data):
        if _current(data / DATABASE_NAME) != HEAD:
            _upgrade(data / DATABASE_NAME)


def all_metadata() -> Any:
    """The metadata with the tables of every package of this distribution."""
    import importlib

    for module in TABLES:
        importlib.import_module(module)
    from bus.store.schema import metadata

    return metadata


TABLES = (
    "bus.log.tables",
    "bus.delivery.ledger",
    "bus.delivery.dead_letters",
    "bus.delivery.parking",
    "bus.adapter.acknowledging",
    "bus.store.conversation",
    "bus.store.pace",
    "bus.store.permission",
    "bus.store.postgres_tables",
    "adapters.chat.schema",
    "adapters.phone.dial_schema",
    "adapters.phone.schema",
    "adapters.post.schema",
    "workers.case.schema",
    "workers.records.schema",
    "workers.desk.offer_schema",
    "workers.desk.schema",
    "deploy.presence",
    "deploy.installation",
)


def _current(database: Path) -> str:
    if not database.exists():
        return ""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError:
        return ""
    finally:
        connection.close()
    return row[0] if row else ""


def config(connection: Any = None, *, application_role: str = "") -> Any:
    """Alembic's configuration, without a file."""
    from alembic.config import Config

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent))
    settings.attributes["connection"] = connection
    settings.attributes["application_role"] = application_role
    return settings


def _upgrade(database: Path) -> None:
    from alembic import command
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    engine = create_engine(f"sqlite:///{database}", poolclass=NullPool)
    with engine.begin() as connection:
        command.upgrade(config(connection), "head")
    engine.dispose()
