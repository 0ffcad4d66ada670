"""Alembic's entry: runs on the connection that `ledgate.migrate` hands over."""

from alembic import context

import aaa.store.tables
import billing.tables

metadata = [aaa.store.tables.metadata, billing.tables.metadata]

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
