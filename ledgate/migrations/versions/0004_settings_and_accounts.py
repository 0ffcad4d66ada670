"""Settings; names, billing days and acknowledgements of accounts; exemptions and opting out of reminders.

Revision: 0004
Follows: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "setting",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_setting")),
    )
    op.add_column("account", sa.Column("name", sa.String(length=64), nullable=True))
    op.add_column("account", sa.Column("billing_day", sa.SmallInteger(), server_default="1", nullable=False))
    op.add_column("account", sa.Column("acknowledged_at", sa.BigInteger(), nullable=True))
    op.create_index("uq_account_name", "account", ["visp_id", "name"], unique=True)
    op.add_column("service", sa.Column("exempt_until", sa.BigInteger(), nullable=True))
    op.add_column(
        "service", sa.Column("dont_show_overdue", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
