"""Migrations of the registry's tables, by Alembic: each is frozen once it was published, and loses nothing.

``alembic`` itself is imported only where there is something to do: opening a registry costs one look at its version.
"""

HEAD = "0004"
"""The revision this relgate works with: the newest file in ``versions/``."""

VERSION_TABLE = "relgate_registry_version"
"""Where a database says which revision it is at; a name of its own, since the database may hold others' tables."""
