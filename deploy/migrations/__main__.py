"""Writes the next revision from the difference between the tables in code and the schema of all revisions so far."""

import sys

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from deploy.migrations import config


def main() -> None:
    """Argument: what changes, as a sentence without full stop."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        settings = config(connection)
        command.upgrade(settings, "head")
        revisions = len(list(ScriptDirectory.from_config(settings).walk_revisions()))
        command.revision(settings, message=sys.argv[1], rev_id=f"{revisions + 1:04d}", autogenerate=True)


if __name__ == "__main__":
    main()
