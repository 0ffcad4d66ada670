"""Room beside rows that accounting updates, so that such an update touches no index (PostgreSQL only).

Revision: 0002
Follows: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies to pages that are filled from now on; those that are there gain room as they are vacuumed."""
    if op.get_context().dialect.name == "postgresql":
        op.execute("ALTER TABLE session SET (fillfactor = 50)")
        op.execute("ALTER TABLE usage_day SET (fillfactor = 60)")
