"""Alembic's entry: runs the steps on the connection that `portal.records.migrate` opened."""

from __future__ import annotations

from alembic import context

from portal.records import Record

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Record.metadata,
    render_as_batch=True,  # SQLite alters tables by copying them
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
