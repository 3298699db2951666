"""What Alembic runs: the migrations on the caller's connection, in the caller's transaction, or printed as SQL."""

from __future__ import annotations

from alembic import context

from gates.registry.migrations import VERSION_TABLE

attributes = context.config.attributes
if context.is_offline_mode():
    # SQLite's DDL is transactional too, although Alembic assumes that it is not.
    context.configure(
        dialect_name=attributes["dialect"],
        version_table=VERSION_TABLE,
        literal_binds=True,
        transactional_ddl=True,
        output_buffer=attributes["output"],
    )
else:
    context.configure(connection=attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
