"""What accounting must notice of a billing period's use.

Revision: 0005
Follows: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def Id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "threshold",
        sa.Column("service_id", Id(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("since_day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("until_day", sa.Integer(), nullable=False),
        sa.Column("more_than", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_threshold_service_id")),
        sa.PrimaryKeyConstraint("service_id", "kind", "since_day", name=op.f("pk_threshold")),
    )
