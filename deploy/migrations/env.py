"""What Alembic runs: all revisions in the transaction of the connection that it was given."""

from alembic import context

from deploy.migrations import all_metadata
from deploy.migrations.isolation import isolate

connection = context.config.attributes["connection"]
dialect = connection.dialect.name
context.configure(
    connection=connection,
    target_metadata=all_metadata(),
    # SQLite cannot alter most things in place; batches copy the table.
    render_as_batch=True,
    include_object=lambda thing, _name, kind, _reflected, _other: (
        kind != "table" or thing.info.get("dialect", dialect) == dialect
    ),
)
with context.begin_transaction():
    context.run_migrations()
    if dialect == "postgresql":
        isolate(connection.exec_driver_sql, context.config.attributes["application_role"])
