"""Alembic's way in: migrations run on the connection they are handed, inside its transaction."""

from alembic import context

from registry.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
