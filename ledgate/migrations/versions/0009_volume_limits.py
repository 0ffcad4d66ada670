"""Routers that are told what is left of a quota, and what sessions were told.

Revision: 0009
Follows: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("nas", sa.Column("total_limit", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("session", sa.Column("limit_octets", sa.BigInteger(), nullable=True))
    op.add_column("session", sa.Column("limit_kind", sa.String(length=8), nullable=True))
    op.add_column("session", sa.Column("limit_seconds", sa.Integer(), nullable=True))
