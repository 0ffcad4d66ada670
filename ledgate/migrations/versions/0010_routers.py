"""Routers as peers of the RouterOS API, and the address-lists that they were told of sessions.

Revision: 0010
Follows: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def Id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("nas", sa.Column("address_list_by", sa.String(length=10), nullable=True))
    op.add_column("nas", sa.Column("disconnects_per_second", sa.Integer(), server_default="20", nullable=False))
    op.add_column("nas", sa.Column("api_host", sa.String(length=253), nullable=True))
    op.add_column("nas", sa.Column("api_port", sa.Integer(), nullable=True))
    op.add_column("nas", sa.Column("api_tls", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("nas", sa.Column("api_user", sa.String(length=64), nullable=True))
    op.add_column("nas", sa.Column("api_password", sa.LargeBinary(), nullable=True))
    op.add_column("nas", sa.Column("portal_port", sa.Integer(), nullable=True))
    op.create_index("uq_nas_portal_port", "nas", ["portal_port"], unique=True)
    op.create_table(
        "router",
        sa.Column("nas_id", Id(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.String(length=100), nullable=True),
        sa.Column("held_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lists_holder", sa.String(length=100), nullable=True),
        sa.Column("lists_held_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", sa.String(length=16), server_default="new", nullable=False),
        sa.Column("detail", sa.String(length=1000), server_default="", nullable=False),
        sa.Column("version", sa.String(length=64), nullable=True),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("in_step_at", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["nas_id"], ["nas.id"], name=op.f("fk_router_nas_id")),
        sa.PrimaryKeyConstraint("nas_id", name=op.f("pk_router")),
    )
    op.create_index(op.f("ix_router_due_at"), "router", ["due_at"], unique=False)
    op.add_column("session", sa.Column("lists", sa.Text(), nullable=True))
    op.add_column("session", sa.Column("lists_by_api", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("session", sa.Column("paying_until", sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_session_listed",
        "session",
        ["nas_id", "framed_ip"],
        unique=False,
        postgresql_where=sa.text("lists IS NOT NULL"),
        sqlite_where=sa.text("lists IS NOT NULL"),
    )
    op.create_index(
        "ix_session_left_listed",
        "session",
        ["id"],
        unique=False,
        postgresql_where=sa.text("lists IS NOT NULL AND closed_by IS NOT NULL"),
        sqlite_where=sa.text("lists IS NOT NULL AND closed_by IS NOT NULL"),
    )
