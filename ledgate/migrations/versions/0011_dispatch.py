"""Live changes in order and at a pace, and what routers have yet to show of what they acknowledged.

Revision: 0011
Follows: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def Id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("enforcement", sa.Column("rank", sa.SmallInteger(), server_default="1", nullable=False))
    op.add_column("enforcement", sa.Column("rung", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("enforcement", sa.Column("line", sa.String(length=45), nullable=True))
    op.add_column("enforcement", sa.Column("turn_at", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(
        "ix_enforcement_line",
        "enforcement",
        ["line", "turn_at"],
        unique=False,
        postgresql_where=sa.text("line IS NOT NULL"),
        sqlite_where=sa.text("line IS NOT NULL"),
    )
    op.drop_index(op.f("ix_enforcement_not_before"), table_name="enforcement")
    op.create_index("ix_enforcement_rank_not_before", "enforcement", ["rank", "not_before"], unique=False)
    # of a router's open sessions, also those of one address
    op.drop_index("ix_session_open_source", table_name="session")
    op.create_index(
        "ix_session_open_source",
        "session",
        ["source", "framed_ip"],
        unique=False,
        postgresql_where=sa.text("closed_by IS NULL"),
        sqlite_where=sa.text("closed_by IS NULL"),
    )
    op.add_column("attempt", sa.Column("octets", sa.LargeBinary(), nullable=True))
    op.add_column("nas", sa.Column("keep_packets", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_table(
        "proof",
        sa.Column("session_id", Id(), autoincrement=False, nullable=False),
        sa.Column("event_id", Id(), nullable=True),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("rung", sa.SmallInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.Column("look_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_up", sa.BigInteger(), nullable=True),
        sa.Column("seen_down", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_proof")),
    )
    op.create_index(op.f("ix_proof_look_at"), "proof", ["look_at"], unique=False)
    op.create_table(
        "pace",
        sa.Column("source", sa.String(length=45), nullable=False),
        sa.Column("next_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_pace")),
    )
