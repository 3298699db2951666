"""An index over the time of events: the latest one is asked for by every act, and must not cost a scan."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the index."""
    op.execute("CREATE INDEX IF NOT EXISTS ledger_by_time ON ledger (time)")
