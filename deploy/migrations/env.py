"""What Alembic runs: all revisions in the transaction of the connection that it was given."""

from alembic import context

from deploy.migrations import all_metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=all_metadata(),
    # SQLite cannot alter most things in place; batches copy the table.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
