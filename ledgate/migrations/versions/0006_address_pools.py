"""Address pools for blocked services, and the device that a caller-id lock learns.

Revision: 0006
Follows: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def Id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "pool",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("ranges", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pool")),
        sa.UniqueConstraint("name", name=op.f("uq_pool_name")),
    )
    op.create_table(
        "pool_address",
        sa.Column("pool_id", Id(), autoincrement=False, nullable=False),
        sa.Column("address", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("service_id", Id(), nullable=True),
        sa.Column("freed_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_pool_address_pool_id")),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_pool_address_service_id")),
        sa.PrimaryKeyConstraint("pool_id", "address", name=op.f("pk_pool_address")),
        sa.UniqueConstraint("service_id", "pool_id", name=op.f("uq_pool_address_service_id_pool_id")),
    )
    op.create_index(
        "ix_pool_address_free",
        "pool_address",
        ["pool_id", "freed_at", "address"],
        unique=False,
        postgresql_where=sa.text("service_id IS NULL"),
        sqlite_where=sa.text("service_id IS NULL"),
    )
    op.create_table(
        "pool_wait",
        sa.Column("pool_id", Id(), autoincrement=False, nullable=False),
        sa.Column("service_id", Id(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["pool_id"], ["pool.id"], name=op.f("fk_pool_wait_pool_id")),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_pool_wait_service_id")),
        sa.PrimaryKeyConstraint("pool_id", "service_id", name=op.f("pk_pool_wait")),
    )
    op.add_column("recompile_request", sa.Column("mac", sa.String(length=17), nullable=True))
