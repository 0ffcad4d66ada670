"""first schema

Revision: 0001
Follows:
"""

import secrets

import sqlalchemy as sa
from alembic import op

from aaa.store.dialect import FeedMark

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def Id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


WALLED_GARDEN = {cause: {"restrict": {"address_list": "suspended"}} for cause in ("suspended", "traffic", "expire")}


def upgrade() -> None:
    op.create_table(
        "auth_log",
        sa.Column("id", Id(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("service_id", Id(), nullable=True),
        sa.Column("username", sa.String(length=253), nullable=False),
        sa.Column("nas_id", Id(), nullable=False),
        sa.Column("calling_station_id", sa.String(length=253), nullable=False),
        sa.Column("result", sa.String(length=8), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_auth_log")),
    )
    with op.batch_alter_table("auth_log", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_auth_log_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_auth_log_service_id"), ["service_id"], unique=False)

    op.create_table(
        "center",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_center")),
        sa.UniqueConstraint("name", name=op.f("uq_center_name")),
    )
    op.create_table(
        "class",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_class")),
        sa.UniqueConstraint("name", name=op.f("uq_class_name")),
    )
    op.create_table(
        "control",
        sa.Column("id", Id(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_control")),
        sa.UniqueConstraint("kind", "name", name=op.f("uq_control_kind_name")),
    )
    op.create_table(
        "event",
        sa.Column("id", Id(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=280), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_at"), ["at"], unique=False)
        batch_op.create_index(batch_op.f("ix_event_subject"), ["subject"], unique=False)

    op.create_table(
        "feed_counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed_counter")),
    )
    op.create_table(
        "nas",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=49), nullable=False),
        sa.Column("identifier", sa.String(length=253), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_secret", sa.LargeBinary(), nullable=True),
        sa.Column("coa_address", sa.String(length=45), nullable=True),
        sa.Column("coa_port", sa.Integer(), server_default="3799", nullable=False),
        sa.Column("require_message_authenticator", sa.String(length=4), server_default="auto", nullable=False),
        sa.Column("limit_proxy_state", sa.String(length=4), server_default="auto", nullable=False),
        sa.Column("octets", sa.String(length=6), server_default="rfc", nullable=False),
        sa.Column("coa_session_timeout", sa.String(length=10), server_default="from_start", nullable=False),
        sa.Column("removed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("feed", FeedMark(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nas")),
        sa.UniqueConstraint("name", name=op.f("uq_nas_name")),
    )
    with op.batch_alter_table("nas", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_nas_feed"), ["feed"], unique=False)

    op.create_table(
        "param",
        sa.Column("id", Id(), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("scope_id", Id(), server_default="0", nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.JSON(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_param")),
        sa.UniqueConstraint("level", "scope_id", "name", name=op.f("uq_param_level_scope_id_name")),
    )
    op.create_table(
        "profile",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("encoded", sa.LargeBinary(), nullable=False),
        sa.Column("feed", FeedMark(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_profile")),
    )
    with op.batch_alter_table("profile", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_profile_feed"), ["feed"], unique=False)

    op.create_table(
        "replica_position",
        sa.Column("machine", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("machine", name=op.f("pk_replica_position")),
    )
    op.create_table(
        "reseller",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reseller")),
        sa.UniqueConstraint("name", name=op.f("uq_reseller_name")),
    )
    op.create_table(
        "visp",
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("realm", sa.String(length=253), nullable=True),
        sa.Column("feed", FeedMark(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visp")),
        sa.UniqueConstraint("name", name=op.f("uq_visp_name")),
        sa.UniqueConstraint("realm", name=op.f("uq_visp_realm")),
    )
    with op.batch_alter_table("visp", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_visp_feed"), ["feed"], unique=False)

    op.create_table(
        "job",
        sa.Column("id", Id(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("scope_id", Id(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("event_id", Id(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_job_event_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_done_at"), ["done_at"], unique=False)

    op.create_table(
        "nas_contact",
        sa.Column("source", sa.String(length=45), nullable=False),
        sa.Column("identifier", sa.String(length=253), nullable=False),
        sa.Column("nas_id", Id(), nullable=False),
        sa.Column("heard_since", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["nas_id"], ["nas.id"], name=op.f("fk_nas_contact_nas_id")),
        sa.PrimaryKeyConstraint("source", "identifier", name=op.f("pk_nas_contact")),
    )
    with op.batch_alter_table("nas_contact", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_nas_contact_nas_id"), ["nas_id"], unique=False)

    op.create_table(
        "plan",
        sa.Column("id", Id(), nullable=False),
        sa.Column("visp_id", Id(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("reply", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["visp_id"], ["visp.id"], name=op.f("fk_plan_visp_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plan")),
        sa.UniqueConstraint("visp_id", "name", name=op.f("uq_plan_visp_id_name")),
    )
    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_plan_visp_id"), ["visp_id"], unique=False)

    op.create_table(
        "subscriber",
        sa.Column("id", Id(), nullable=False),
        sa.Column("visp_id", Id(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["visp_id"], ["visp.id"], name=op.f("fk_subscriber_visp_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriber")),
    )
    with op.batch_alter_table("subscriber", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_subscriber_visp_id"), ["visp_id"], unique=False)

    op.create_table(
        "account",
        sa.Column("id", Id(), nullable=False),
        sa.Column("subscriber_id", Id(), nullable=False),
        sa.Column("visp_id", Id(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("debt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("credit", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_payment_at", sa.BigInteger(), nullable=True),
        sa.Column("debt_since", sa.BigInteger(), nullable=True),
        sa.Column("dues", sa.JSON(), nullable=False),
        sa.Column("promise_until", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("debt >= 0 AND credit >= 0 AND (debt = 0 OR credit = 0)", name=op.f("ck_account_one_side")),
        sa.ForeignKeyConstraint(["subscriber_id"], ["subscriber.id"], name=op.f("fk_account_subscriber_id")),
        sa.ForeignKeyConstraint(["visp_id"], ["visp.id"], name=op.f("fk_account_visp_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
    )
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_account_subscriber_id"), ["subscriber_id"], unique=False)

    op.create_table(
        "service",
        sa.Column("id", Id(), nullable=False),
        sa.Column("account_id", Id(), nullable=False),
        sa.Column("visp_id", Id(), nullable=False),
        sa.Column("plan_id", Id(), nullable=True),
        sa.Column("center_id", Id(), nullable=True),
        sa.Column("reseller_id", Id(), nullable=True),
        sa.Column("class_id", Id(), nullable=True),
        sa.Column("username", sa.String(length=253), nullable=False),
        sa.Column("password", sa.LargeBinary(), nullable=False),
        sa.Column("static_ip", sa.String(length=15), nullable=True),
        sa.Column("mac", sa.String(length=17), nullable=True),
        sa.Column("mac_auth", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("active_to", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_service_account_id")),
        sa.ForeignKeyConstraint(["center_id"], ["center.id"], name=op.f("fk_service_center_id")),
        sa.ForeignKeyConstraint(["class_id"], ["class.id"], name=op.f("fk_service_class_id")),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_service_plan_id")),
        sa.ForeignKeyConstraint(["reseller_id"], ["reseller.id"], name=op.f("fk_service_reseller_id")),
        sa.ForeignKeyConstraint(["visp_id"], ["visp.id"], name=op.f("fk_service_visp_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service")),
        sa.UniqueConstraint("visp_id", "username", name=op.f("uq_service_visp_id_username")),
    )
    with op.batch_alter_table("service", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_service_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_service_center_id"), ["center_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_service_class_id"), ["class_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_service_plan_id"), ["plan_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_service_reseller_id"), ["reseller_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_service_username"), ["username"], unique=False)

    op.create_table(
        "access",
        sa.Column("service_id", Id(), autoincrement=False, nullable=False),
        sa.Column("visp_id", Id(), nullable=False),
        sa.Column("username", sa.String(length=253), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.Column("next_due", sa.BigInteger(), nullable=True),
        sa.Column("feed", FeedMark(), nullable=False),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_access_service_id")),
        sa.ForeignKeyConstraint(["visp_id"], ["visp.id"], name=op.f("fk_access_visp_id")),
        sa.PrimaryKeyConstraint("service_id", name=op.f("pk_access")),
    )
    with op.batch_alter_table("access", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_access_feed"), ["feed"], unique=False)
        batch_op.create_index(batch_op.f("ix_access_next_due"), ["next_due"], unique=False)

    op.create_table(
        "recompile_request",
        sa.Column("service_id", Id(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_recompile_request_service_id")),
        sa.PrimaryKeyConstraint("service_id", name=op.f("pk_recompile_request")),
    )
    op.create_table(
        "session",
        sa.Column("id", Id(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("nas_id", Id(), nullable=False),
        sa.Column("source", sa.String(length=45), nullable=False),
        sa.Column("identifier", sa.String(length=253), nullable=False),
        sa.Column("acct_session_id", sa.String(length=253), nullable=False),
        sa.Column("username", sa.String(length=253), nullable=False),
        sa.Column("service_id", Id(), nullable=True),
        sa.Column("calling_station_id", sa.String(length=253), server_default="", nullable=False),
        sa.Column("called_station_id", sa.String(length=253), server_default="", nullable=False),
        sa.Column("nas_port_id", sa.String(length=253), server_default="", nullable=False),
        sa.Column("framed_protocol", sa.String(length=16), server_default="", nullable=False),
        sa.Column("framed_ip", sa.String(length=15), nullable=True),
        sa.Column("framed_ipv6", sa.String(length=49), nullable=True),
        sa.Column("delegated_ipv6", sa.String(length=49), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("up", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("down", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("interim", sa.Integer(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.String(length=16), nullable=True),
        sa.Column("terminate_cause", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("applied_profile", sa.BigInteger(), nullable=True),
        sa.Column("applied_ip", sa.BigInteger(), nullable=True),
        sa.Column("applied_verdict", sa.SmallInteger(), nullable=True),
        sa.Column("given_end", sa.BigInteger(), nullable=True),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.Column("verified_at", sa.BigInteger(), nullable=True),
        sa.Column("feed", FeedMark(), nullable=False),
        sa.CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name=op.f("ck_session_closed")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        postgresql_with={"fillfactor": 70},
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_session_feed"), ["feed"], unique=False)
        batch_op.create_index("ix_session_key", ["key"], unique=False)
        batch_op.create_index(
            "ix_session_open_service",
            ["service_id"],
            unique=False,
            postgresql_where=sa.text("closed_at IS NULL"),
            sqlite_where=sa.text("closed_at IS NULL"),
        )
        batch_op.create_index(
            "ix_session_open_source",
            ["source", "identifier"],
            unique=False,
            postgresql_where=sa.text("closed_by IS NULL"),
            sqlite_where=sa.text("closed_by IS NULL"),
        )
        batch_op.create_index("ix_session_service_started", ["service_id", "started_at"], unique=False)
        batch_op.create_index(
            "uq_session_open_key",
            ["key"],
            unique=True,
            postgresql_where=sa.text("closed_by IS NULL"),
            sqlite_where=sa.text("closed_by IS NULL"),
        )

    op.create_table(
        "timeline_history",
        sa.Column("id", Id(), nullable=False),
        sa.Column("service_id", Id(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("replaced_at", sa.BigInteger(), nullable=False),
        sa.Column("event_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_timeline_history_event_id")),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_timeline_history_service_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_timeline_history")),
        sa.UniqueConstraint("service_id", "version", name=op.f("uq_timeline_history_service_id_version")),
    )
    op.create_table(
        "usage_day",
        sa.Column("service_id", Id(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("up", sa.BigInteger(), nullable=False),
        sa.Column("down", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("service_id", "day", name=op.f("pk_usage_day")),
    )
    op.create_table(
        "attempt",
        sa.Column("id", Id(), nullable=False),
        sa.Column("session_id", Id(), nullable=False),
        sa.Column("event_id", Id(), nullable=True),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("error_cause", sa.Integer(), nullable=True),
        sa.Column("sends", sa.Integer(), nullable=False),
        sa.Column("latency", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_attempt_event_id")),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_attempt_session_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
    )
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_attempt_session_id"), ["session_id"], unique=False)

    op.create_table(
        "enforcement",
        sa.Column("session_id", Id(), autoincrement=False, nullable=False),
        sa.Column("service_id", Id(), nullable=False),
        sa.Column("event_id", Id(), nullable=True),
        sa.Column("wanted_version", sa.Integer(), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("claimed_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("feed", FeedMark(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_enforcement_event_id")),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name=op.f("fk_enforcement_service_id")),
        sa.ForeignKeyConstraint(["session_id"], ["session.id"], name=op.f("fk_enforcement_session_id")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_enforcement")),
    )
    with op.batch_alter_table("enforcement", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_enforcement_feed"), ["feed"], unique=False)
        batch_op.create_index(batch_op.f("ix_enforcement_not_before"), ["not_before"], unique=False)

    op.create_table(
        "entry",
        sa.Column("id", Id(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("event_id", Id(), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_entry_event_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
    )
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_entry_event_id"), ["event_id"], unique=False)

    op.create_table(
        "price",
        sa.Column("plan_id", Id(), autoincrement=False, nullable=False),
        sa.Column("months", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plan.id"], name=op.f("fk_price_plan_id")),
        sa.PrimaryKeyConstraint("plan_id", "months", name=op.f("pk_price")),
    )
    op.create_table(
        "charge",
        sa.Column("id", Id(), nullable=False),
        sa.Column("entry_id", Id(), nullable=False),
        sa.Column("account_id", Id(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=500), server_default="", nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_charge_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_charge_account_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_charge_entry_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_charge")),
    )
    with op.batch_alter_table("charge", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_charge_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_charge_entry_id"), ["entry_id"], unique=False)

    op.create_table(
        "opening",
        sa.Column("account_id", Id(), autoincrement=False, nullable=False),
        sa.Column("entry_id", Id(), nullable=True),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("last_payment_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_opening_account_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_opening_entry_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_opening")),
    )
    op.create_table(
        "payment",
        sa.Column("id", Id(), nullable=False),
        sa.Column("entry_id", Id(), nullable=False),
        sa.Column("account_id", Id(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_payment_positive")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_payment_account_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_payment_entry_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("provider", "external_id", name=op.f("uq_payment_provider_external_id")),
    )
    with op.batch_alter_table("payment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_payment_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_payment_entry_id"), ["entry_id"], unique=False)

    op.create_table(
        "posting",
        sa.Column("id", Id(), nullable=False),
        sa.Column("entry_id", Id(), nullable=False),
        sa.Column("ledger", sa.String(length=16), nullable=False),
        sa.Column("account_id", Id(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_posting_not_zero")),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_posting_account_id")),
        sa.ForeignKeyConstraint(["entry_id"], ["entry.id"], name=op.f("fk_posting_entry_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_posting")),
    )
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_posting_account_id"), ["account_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_posting_entry_id"), ["entry_id"], unique=False)

    op.bulk_insert(
        sa.table("feed_counter", sa.column("id"), sa.column("value"), sa.column("epoch")),
        [{"id": 1, "value": 0, "epoch": secrets.token_hex(8)}],
    )
    op.bulk_insert(
        sa.table("control", sa.column("kind"), sa.column("name"), sa.column("value", sa.JSON)),
        [{"kind": "FinishRule", "name": "walled-garden", "value": WALLED_GARDEN}],
    )
    op.bulk_insert(
        sa.table(
            "param", *(sa.column(name) for name in ("level", "scope_id", "name", "status")), sa.column("value", sa.JSON)
        ),
        [
            {
                "level": "server",
                "scope_id": 0,
                "name": "FinishRule",
                "status": "passthrough-yes",
                "value": "walled-garden",
            }
        ],
    )


def downgrade() -> None:
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_posting_entry_id"))
        batch_op.drop_index(batch_op.f("ix_posting_account_id"))

    op.drop_table("posting")
    with op.batch_alter_table("payment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_payment_entry_id"))
        batch_op.drop_index(batch_op.f("ix_payment_account_id"))

    op.drop_table("payment")
    op.drop_table("opening")
    with op.batch_alter_table("charge", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_charge_entry_id"))
        batch_op.drop_index(batch_op.f("ix_charge_account_id"))

    op.drop_table("charge")
    op.drop_table("price")
    with op.batch_alter_table("entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_entry_event_id"))

    op.drop_table("entry")
    with op.batch_alter_table("enforcement", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_enforcement_not_before"))
        batch_op.drop_index(batch_op.f("ix_enforcement_feed"))

    op.drop_table("enforcement")
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_attempt_session_id"))

    op.drop_table("attempt")
    op.drop_table("usage_day")
    op.drop_table("timeline_history")
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_session_open_key",
            postgresql_where=sa.text("closed_by IS NULL"),
            sqlite_where=sa.text("closed_by IS NULL"),
        )
        batch_op.drop_index("ix_session_service_started")
        batch_op.drop_index(
            "ix_session_open_source",
            postgresql_where=sa.text("closed_by IS NULL"),
            sqlite_where=sa.text("closed_by IS NULL"),
        )
        batch_op.drop_index(
            "ix_session_open_service",
            postgresql_where=sa.text("closed_at IS NULL"),
            sqlite_where=sa.text("closed_at IS NULL"),
        )
        batch_op.drop_index("ix_session_key")
        batch_op.drop_index(batch_op.f("ix_session_feed"))

    op.drop_table("session")
    op.drop_table("recompile_request")
    with op.batch_alter_table("access", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_access_next_due"))
        batch_op.drop_index(batch_op.f("ix_access_feed"))

    op.drop_table("access")
    with op.batch_alter_table("service", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_service_username"))
        batch_op.drop_index(batch_op.f("ix_service_reseller_id"))
        batch_op.drop_index(batch_op.f("ix_service_plan_id"))
        batch_op.drop_index(batch_op.f("ix_service_class_id"))
        batch_op.drop_index(batch_op.f("ix_service_center_id"))
        batch_op.drop_index(batch_op.f("ix_service_account_id"))

    op.drop_table("service")
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_account_subscriber_id"))

    op.drop_table("account")
    with op.batch_alter_table("subscriber", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_subscriber_visp_id"))

    op.drop_table("subscriber")
    with op.batch_alter_table("plan", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_plan_visp_id"))

    op.drop_table("plan")
    with op.batch_alter_table("nas_contact", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_nas_contact_nas_id"))

    op.drop_table("nas_contact")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_job_done_at"))

    op.drop_table("job")
    with op.batch_alter_table("visp", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_visp_feed"))

    op.drop_table("visp")
    op.drop_table("reseller")
    op.drop_table("replica_position")
    with op.batch_alter_table("profile", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_profile_feed"))

    op.drop_table("profile")
    op.drop_table("param")
    with op.batch_alter_table("nas", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_nas_feed"))

    op.drop_table("nas")
    op.drop_table("feed_counter")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_subject"))
        batch_op.drop_index(batch_op.f("ix_event_at"))

    op.drop_table("event")
    op.drop_table("control")
    op.drop_table("class")
    op.drop_table("center")
    with op.batch_alter_table("auth_log", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_auth_log_service_id"))
        batch_op.drop_index(batch_op.f("ix_auth_log_at"))

    op.drop_table("auth_log")
