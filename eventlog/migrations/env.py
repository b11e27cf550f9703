"""Alembic's entry: runs on the connection that `kanal.eventlog.migrate` hands over, under its lock."""

from alembic import context

from kanal.eventlog.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
