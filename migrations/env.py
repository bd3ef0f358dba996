"""Runs migrations on the connection that `dbaas-manage db` gives."""

from alembic import context

from dbaas.catalog.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, compare_server_default=False)
with context.begin_transaction():
    context.run_migrations()
