"""Services whose cut waits for a confirmation.

Revision: 0007
Follows: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def Id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "held_cut",
        sa.Column("service_id", Id(), autoincrement=False, nullable=False),
        sa.Column("event_id", Id(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_held_cut_event_id")),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_held_cut_service_id")),
        sa.PrimaryKeyConstraint("service_id", name=op.f("pk_held_cut")),
    )
