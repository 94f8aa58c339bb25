"""The migrations lead to exactly the tables that the code declares."""

import re
import sqlite3
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from bus.log.embedded import EmbeddedEngine
from bus.store.sqlite_file import DATABASE_NAME
from deploy import migrations


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


def test_head_is_the_newest_script() -> None:
    assert ScriptDirectory.from_config(migrations.config()).get_current_head() == migrations.HEAD


async def test_a_migrated_folder_has_the_declared_tables(tmp_path: Path) -> None:
    metadata = migrations.all_metadata()
    (tmp_path / "migrated").mkdir()
    migrations.upgrade(tmp_path / "migrated")
    migrations.upgrade(tmp_path / "migrated")
    engine = create_engine(f"sqlite:///{tmp_path / 'migrated' / DATABASE_NAME}", poolclass=NullPool)
    with engine.connect() as connection:
        ours = [
            difference
            for difference in compare_metadata(MigrationContext.configure(connection), metadata)
            if "test_" not in str(difference)
        ]
    assert ours == []
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
