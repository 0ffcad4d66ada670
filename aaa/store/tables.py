"""The tables that access owns. Money lives in `billing.tables`, keyed by the ids here.

Instants are BIGINT, UTC microseconds; amounts are BIGINT minor units; `feed` columns are written with
`dialect.feed_mark()` by whoever inserts or changes the row, so that the replica can follow.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from aaa.store.dialect import Bytes, FeedMark, Id, feed_mark

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True)


def _feed() -> Column[object]:
    return Column("feed", FeedMark(), nullable=False, default=feed_mark(), onupdate=feed_mark(), index=True)


def _of(name: str, table: str, *, nullable: bool = False, index: bool = True) -> Column[int]:
    return Column(name, Id, ForeignKey(f"{table}.id"), nullable=nullable, index=index)


# --- who is who ------------------------------------------------------------------------------------------------------

visp = Table(
    "visp",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    Column("currency", String(3), nullable=False),
    Column("timezone", String(64), nullable=False),
    Column("realm", String(253), unique=True),
    _feed(),
)

center = Table("center", metadata, _id(), Column("name", String(64), nullable=False, unique=True))
reseller = Table("reseller", metadata, _id(), Column("name", String(64), nullable=False, unique=True))
service_class = Table("class", metadata, _id(), Column("name", String(64), nullable=False, unique=True))

plan = Table(
    "plan",
    metadata,
    _id(),
    _of("visp_id", "visp"),
    Column("name", String(64), nullable=False),
    Column("reply", JSON, nullable=False),  # {attribute: value}
    UniqueConstraint("visp_id", "name"),
)

subscriber = Table("subscriber", metadata, _id(), _of("visp_id", "visp"), Column("name", String(200), nullable=False))

account = Table(
    "account",
    metadata,
    _id(),
    _of("subscriber_id", "subscriber"),
    _of("visp_id", "visp", index=False),
    Column("currency", String(3), nullable=False),
    # the Standing, written by billing (aaa.domain.standing)
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("debt", BigInteger, nullable=False, server_default="0"),
    Column("credit", BigInteger, nullable=False, server_default="0"),
    Column("last_payment_at", BigInteger),
    Column("debt_since", BigInteger),
    Column("dues", JSON, nullable=False),  # [[charge id, due at, remaining], …]
    Column("promise_until", BigInteger),
    # what operators and subscribers say of it
    Column("name", String(64)),  # of an account that services share; null: it has one service
    Column("billing_day", SmallInteger, nullable=False, server_default="1"),  # 1 to 31
    Column("acknowledged_at", BigInteger),  # the last OK to a reminder
    Index("uq_account_name", "visp_id", "name", unique=True),
    CheckConstraint("debt >= 0 AND credit >= 0 AND (debt = 0 OR credit = 0)", name="one_side"),
)

service = Table(
    "service",
    metadata,
    _id(),
    _of("account_id", "account"),
    _of("visp_id", "visp", index=False),
    _of("plan_id", "plan", nullable=True),
    _of("center_id", "center", nullable=True),
    _of("reseller_id", "reseller", nullable=True),
    _of("class_id", "class", nullable=True),
    Column("username", String(253), nullable=False, index=True),
    Column("password", Bytes, nullable=False),  # sealed as service/password/id
    Column("static_ip", String(15)),
    Column("mac", String(17)),
    Column("mac_auth", Boolean, nullable=False, server_default=text("false")),
    Column("active_to", BigInteger),
    Column("exempt_until", BigInteger),  # no automatic suspension before it
    Column("dont_show_overdue", Boolean, nullable=False, server_default=text("false")),
    UniqueConstraint("visp_id", "username"),
)

suspension = Table(
    "suspension",  # its rows stay: they are the history of a service
    metadata,
    _id(),
    _of("service_id", "service"),
    Column("reason", String(16), nullable=False),  # aaa.domain.suspension.REASONS
    Column("from_at", BigInteger),  # null: open
    Column("to_at", BigInteger),  # null: open
    Column("repeat", String(8), nullable=False),  # none, yearly, monthly, weekly
    Column("suspend_invoicing", Boolean, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("lifted_at", BigInteger),  # null: it was not lifted; it may have ended
    Column("lifted_by", String(64)),
    CheckConstraint("(lifted_at IS NULL) = (lifted_by IS NULL)", name="lifted"),
)

# --- policy ----------------------------------------------------------------------------------------------------------

control = Table(
    "control",
    metadata,
    _id(),
    Column("kind", String(32), nullable=False),  # DebitControl, FinishRule, …
    Column("name", String(64), nullable=False),
    Column("value", JSON, nullable=False),
    UniqueConstraint("kind", "name"),
)

param = Table(
    "param",
    metadata,
    _id(),
    Column("level", String(16), nullable=False),  # server, center, visp, reseller, plan, class, user
    Column("scope_id", Id, nullable=False, server_default="0"),  # the id on that level; 0 for server
    Column("name", String(64), nullable=False),
    Column("value", JSON),
    Column("status", String(16), nullable=False),
    UniqueConstraint("level", "scope_id", "name"),
)

pool = Table(
    "pool",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    Column("ranges", JSON, nullable=False),  # aaa.domain.address_pool.span_of reads them
)

pool_address = Table(
    "pool_address",
    metadata,
    Column("pool_id", Id, ForeignKey("pool.id"), primary_key=True, autoincrement=False),
    Column("address", BigInteger, primary_key=True, autoincrement=False),  # IPv4, as an integer
    _of("service_id", "service", nullable=True, index=False),  # null: free
    Column("freed_at", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("service_id", "pool_id"),
    Index(
        "ix_pool_address_free",
        "pool_id",
        "freed_at",
        "address",
        postgresql_where=text("service_id IS NULL"),
        sqlite_where=text("service_id IS NULL"),
    ),
)

pool_wait = Table(
    "pool_wait",  # who wants an address of a pool that had none free
    metadata,
    Column("pool_id", Id, ForeignKey("pool.id"), primary_key=True, autoincrement=False),
    Column("service_id", Id, ForeignKey("service.id"), primary_key=True, autoincrement=False),
)

setting = Table(
    "setting",  # one row for each of aaa.domain.settings.Settings that is not at its default
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", JSON, nullable=False),
)

# --- routers ---------------------------------------------------------------------------------------------------------

nas = Table(
    "nas",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    Column("address", String(49), nullable=False),  # an address or a prefix, IPv4 or IPv6
    Column("identifier", String(253)),
    Column("secret", Bytes, nullable=False),  # sealed as nas/secret/id
    Column("previous_secret", Bytes),  # sealed as nas/previous_secret/id; both are good while it is set
    Column("coa_address", String(45)),  # null: the address the requests came from
    Column("coa_port", Integer, nullable=False, server_default="3799"),
    Column("require_message_authenticator", String(4), nullable=False, server_default="auto"),  # yes, no, auto
    Column("limit_proxy_state", String(4), nullable=False, server_default="auto"),  # yes, no, auto
    Column("octets", String(6), nullable=False, server_default="rfc"),  # rfc, client
    Column("coa_session_timeout", String(10), nullable=False, server_default="from_start"),  # from_start, from_now
    Column("total_limit", Boolean, nullable=False, server_default=text("false")),  # is told what is left of a quota
    # who puts addresses on lists: coa, api, disconnect; null: api where there is one, else disconnect
    Column("address_list_by", String(10)),
    Column("disconnects_per_second", Integer, nullable=False, server_default="20"),
    Column("keep_packets", Boolean, nullable=False, server_default=text("false")),  # with every attempt
    # the same box as peer of the RouterOS API; api_host null: it is none
    Column("api_host", String(253)),
    Column("api_port", Integer),
    Column("api_tls", Boolean, nullable=False, server_default=text("false")),
    Column("api_user", String(64)),
    Column("api_password", Bytes),  # sealed as nas/api_password/id
    Column("portal_port", Integer),  # where its redirects lead: tells whose address space a subscriber is in
    Column("removed", Boolean, nullable=False, server_default=text("false")),
    _feed(),
    Index("uq_nas_portal_port", "portal_port", unique=True),
)

router = Table(
    "router",  # how the boxes with an API stand; one process at a time does each of the two works on one
    metadata,
    Column("nas_id", Id, ForeignKey("nas.id"), primary_key=True, autoincrement=False),
    Column("holder", String(100)),  # who compares its rules
    Column("held_until", BigInteger, nullable=False, server_default="0"),
    Column("lists_holder", String(100)),  # who keeps its lists
    Column("lists_held_until", BigInteger, nullable=False, server_default="0"),
    Column("due_at", BigInteger, nullable=False, server_default="0", index=True),  # of the next comparison
    Column("state", String(16), nullable=False, server_default="new"),  # new, in_step, drifted, offline, failed
    Column("detail", String(1000), nullable=False, server_default=""),
    Column("version", String(64)),  # of RouterOS
    Column("checked_at", BigInteger),
    Column("in_step_at", BigInteger),
    Column("failures", Integer, nullable=False, server_default="0"),  # since it last answered
)

nas_contact = Table(
    "nas_contact",
    metadata,
    Column("source", String(45), primary_key=True),
    Column("identifier", String(253), primary_key=True),  # '' if it sends none
    _of("nas_id", "nas"),
    Column("heard_since", BigInteger, nullable=False),  # start of the present unbroken stretch of records
    Column("heard_at", BigInteger, nullable=False),
)

# --- access: what RADIUS serves --------------------------------------------------------------------------------------

profile = Table(
    "profile",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),  # aaa.store.record.profile_id
    Column("attributes", Text, nullable=False),  # canonical JSON
    Column("encoded", Bytes, nullable=False),  # RADIUS attributes, ready to send
    _feed(),
)

access = Table(
    "access",
    metadata,
    Column("service_id", Id, ForeignKey("service.id"), primary_key=True, autoincrement=False),
    Column("visp_id", Id, ForeignKey("visp.id"), nullable=False),
    Column("username", String(253), nullable=False),
    Column("version", Integer, nullable=False),
    Column("record", Bytes),  # aaa.store.record; null: the service is gone (tombstone)
    Column("next_due", BigInteger, index=True),  # when the engine must look again
    _feed(),
)

timeline_history = Table(
    "timeline_history",
    metadata,
    _id(),
    _of("service_id", "service", index=False),
    Column("version", Integer, nullable=False),
    Column("record", Bytes, nullable=False),
    Column("replaced_at", BigInteger, nullable=False),
    _of("event_id", "event", index=False),  # what replaced it
    UniqueConstraint("service_id", "version"),
)

held_cut = Table(
    "held_cut",  # services whose cut waits for a confirmation
    metadata,
    Column("service_id", Id, ForeignKey("service.id"), primary_key=True, autoincrement=False),
    _of("event_id", "event", index=False),  # what would cut them off
    Column("since", BigInteger, nullable=False),
)

heartbeat = Table(
    "heartbeat",  # one row: the clock of the engine that wrote last
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("machine", String(64), nullable=False),
    Column("at", BigInteger, nullable=False),
)

hold = Table(
    "hold",  # one row, if any: cuts are held, for a clock cannot be trusted
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("since", BigInteger),  # the last instant that can be trusted; null: the hold was ended
    Column("why", String(500), nullable=False),
    Column("machine", String(64), nullable=False),  # whose clock it is
    Column("made_at", BigInteger, nullable=False),  # by that clock
    _feed(),
)

event = Table(
    "event",
    metadata,
    _id(),
    Column("at", BigInteger, nullable=False, index=True),
    Column("actor", String(64), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("subject", String(280), nullable=False, index=True),  # service:12, account:7, visp:tehran, …
    Column("before", JSON),
    Column("after", JSON),
)

recompile_request = Table(
    "recompile_request",
    metadata,
    Column("service_id", Id, ForeignKey("service.id"), primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("mac", String(17)),  # the first device of a service that learns its caller-id lock
)

job = Table(
    "job",
    metadata,
    _id(),
    Column("kind", String(32), nullable=False),
    Column("level", String(16), nullable=False),  # whose services: server (all), visp, plan, …
    Column("scope_id", Id, nullable=False),
    Column("cursor", BigInteger, nullable=False, server_default="0"),  # the last service id done
    Column("event_id", Id, ForeignKey("event.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("done_at", BigInteger, index=True),
)

# --- sessions and usage ----------------------------------------------------------------------------------------------

session = Table(
    "session",
    metadata,
    _id(),
    Column("key", Bytes, nullable=False),  # digest of source, identifier, Acct-Session-Id, User-Name
    # Accounting itself makes sure that router and service exist, and neither is ever deleted: foreign keys here and in
    # `usage_day` would double what a record costs PostgreSQL.
    Column("nas_id", Id, nullable=False),
    Column("source", String(45), nullable=False),
    Column("identifier", String(253), nullable=False),
    Column("acct_session_id", String(253), nullable=False),
    Column("username", String(253), nullable=False),
    Column("service_id", Id),
    Column("calling_station_id", String(253), nullable=False, server_default=""),
    Column("called_station_id", String(253), nullable=False, server_default=""),
    Column("nas_port_id", String(253), nullable=False, server_default=""),
    Column("framed_protocol", String(16), nullable=False, server_default=""),  # ppp, or '' on a hotspot
    Column("framed_ip", String(15)),
    Column("framed_ipv6", String(49)),
    Column("delegated_ipv6", String(49)),
    Column("started_at", BigInteger, nullable=False),  # derived: event time - Session-Time - Delay
    Column("recorded_at", BigInteger, nullable=False),  # event time of the newest record
    Column("heard_at", BigInteger, nullable=False),  # when that record reached us
    Column("seconds", BigInteger, nullable=False, server_default="0"),
    Column("up", BigInteger, nullable=False, server_default="0"),  # octets from the subscriber
    Column("down", BigInteger, nullable=False, server_default="0"),  # octets to the subscriber
    Column("interim", Integer, nullable=False),  # seconds between its interim records
    Column("closed_at", BigInteger),
    Column("closed_by", String(16)),  # stop, replaced, reused, nas, stale
    Column("terminate_cause", Integer),
    # what it was authorised with (from Class), and what the router was told since
    Column("version", Integer),
    Column("applied_profile", BigInteger),
    Column("applied_ip", BigInteger),
    Column("applied_verdict", SmallInteger),
    Column("given_end", BigInteger),  # verdict end given to the router; null: none
    Column("applied_at", BigInteger),
    Column("verified_at", BigInteger),
    # what it was told to be left of its quotas, from its beginning on; null: nothing (aaa.domain.allowance)
    Column("limit_octets", BigInteger),
    Column("limit_kind", String(8)),  # total, download, upload
    Column("limit_seconds", Integer),
    # its Accept named no address-list, for they are kept by the API
    Column("lists_by_api", Boolean, nullable=False, server_default=text("false")),
    # the lists its addresses are on by the API, as JSON; with "?" among them: perhaps; null: none
    Column("lists", Text),
    Column("paying_until", BigInteger),  # a card payment is under way until then
    _feed(),
    CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="closed"),
    Index("ix_session_key", "key"),
    # Open sessions of a service are asked for by closed_at: of the indexes on open ones only its own may answer that,
    # for PostgreSQL's planner cannot tell them apart until it has statistics.
    Index(
        "uq_session_open_key",
        "key",
        unique=True,
        postgresql_where=text("closed_by IS NULL"),
        sqlite_where=text("closed_by IS NULL"),
    ),
    Index(
        "ix_session_open_service",
        "service_id",
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
    Index("ix_session_service_started", "service_id", "started_at"),
    Index(
        "ix_session_open_source",
        "source",
        "framed_ip",
        postgresql_where=text("closed_by IS NULL"),
        sqlite_where=text("closed_by IS NULL"),
    ),
    Index(
        "ix_session_listed",
        "nas_id",
        "framed_ip",
        postgresql_where=text("lists IS NOT NULL"),
        sqlite_where=text("lists IS NOT NULL"),
    ),
    Index(
        "ix_session_left_listed",  # ended, and perhaps still on a list
        "id",
        postgresql_where=text("lists IS NOT NULL AND closed_by IS NOT NULL"),
        sqlite_where=text("lists IS NOT NULL AND closed_by IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": 50},  # room beside a row for its next interim: such an update touches no index
)

usage_day = Table(
    "usage_day",
    metadata,
    Column("service_id", Id, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),  # days since 1970-01-01, in the VISP's timezone
    Column("up", BigInteger, nullable=False),
    Column("down", BigInteger, nullable=False),
    Column("seconds", BigInteger, nullable=False),
    postgresql_with={"fillfactor": 60},
)

threshold = Table(
    "threshold",  # what accounting must notice: more use than that on these days
    metadata,
    Column("service_id", Id, ForeignKey("service.id"), primary_key=True, autoincrement=False),
    Column("kind", String(8), primary_key=True),  # total, download, upload (octets), seconds: aaa.domain.usage
    Column("since_day", Integer, primary_key=True, autoincrement=False),  # as usage_day.day
    Column("until_day", Integer, nullable=False),  # the day after the last
    Column("more_than", BigInteger, nullable=False),
)

enforcement = Table(
    "enforcement",
    metadata,
    Column("session_id", Id, ForeignKey("session.id"), primary_key=True, autoincrement=False),
    _of("service_id", "service", index=False),
    Column("event_id", Id, ForeignKey("event.id")),
    Column("wanted_version", Integer, nullable=False),
    Column("cause", String(32), nullable=False),  # payment, charge, boundary, load, start, …
    Column("requested_at", BigInteger, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("claimed_until", BigInteger, nullable=False, server_default="0"),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("rank", SmallInteger, nullable=False, server_default="1"),  # 0 lifts, 1 neither, 2 cuts: aaa.domain.rank
    Column("rung", SmallInteger, nullable=False, server_default="0"),  # what is left to try: aaa.coa.proof
    # a Disconnect in the line of a router (its address), since or by rank as if since `turn_at`
    Column("line", String(45)),
    Column("turn_at", BigInteger, nullable=False, server_default="0"),
    _feed(),
    Index("ix_enforcement_rank_not_before", "rank", "not_before"),
    Index(
        "ix_enforcement_line",
        "line",
        "turn_at",
        postgresql_where=text("line IS NOT NULL"),
        sqlite_where=text("line IS NOT NULL"),
    ),
)

proof = Table(
    "proof",  # what a router has acknowledged, and has yet to show
    metadata,
    # no foreign key: sessions are never deleted, and a row comes with every CoA
    Column("session_id", Id, primary_key=True, autoincrement=False),
    Column("event_id", Id),
    Column("cause", String(32), nullable=False),  # of the wish
    Column("rung", SmallInteger, nullable=False),  # 0 CoA, 1 Disconnect, 2 ended over the API
    Column("told_at", BigInteger, nullable=False),
    Column("look_at", BigInteger, nullable=False, index=True),
    Column("tries", Integer, nullable=False, server_default="0"),
    # the first interim record after that
    Column("seen_at", BigInteger),
    Column("seen_up", BigInteger),
    Column("seen_down", BigInteger),
)

pace = Table(
    "pace",  # how fast routers may be told to end sessions
    metadata,
    Column("source", String(45), primary_key=True),
    Column("next_at", BigInteger, nullable=False, server_default="0"),  # the next Disconnect, of any engine
)

attempt = Table(
    "attempt",
    metadata,
    _id(),
    Column("session_id", Id, ForeignKey("session.id"), nullable=False, index=True),
    Column("event_id", Id, ForeignKey("event.id")),
    Column("cause", String(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),  # coa, disconnect, api
    Column("attributes", Text, nullable=False),  # what was asked, as JSON
    Column("result", String(16), nullable=False),  # ack, nak, timeout, error, superseded, lost
    Column("error_cause", Integer),
    Column("sends", Integer, nullable=False),
    Column("latency", BigInteger),  # microseconds from the commit of the cause to the answer
    Column("octets", Bytes),  # the datagram that was sent, of routers with `keep_packets`
)

auth_log = Table(
    "auth_log",
    metadata,
    _id(),
    Column("at", BigInteger, nullable=False, index=True),
    Column("service_id", Id, index=True),
    Column("username", String(253), nullable=False),
    Column("nas_id", Id, nullable=False),
    Column("calling_station_id", String(253), nullable=False),
    Column("result", String(8), nullable=False),  # accept, reject
    Column("cause", String(32), nullable=False),
    Column("detail", String(500), nullable=False),
)

# --- the feed --------------------------------------------------------------------------------------------------------

feed_counter = Table(
    "feed_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("value", BigInteger, nullable=False),  # SQLite only: bumped by every write transaction
    Column("epoch", String(32), nullable=False),  # renewed by a restore: replicas reload
)

replica_position = Table(
    "replica_position",
    metadata,
    Column("machine", String(64), primary_key=True),
    Column("position", Text, nullable=False),  # a pg_snapshot, or the SQLite counter
    Column("seen_at", BigInteger, nullable=False),
)
