"""The change feed: which rows changed since a position, read in one snapshot of the database (shell).

Every row that the replica serves carries the mark of the transaction that wrote it. On PostgreSQL marks commit out of
order, so a position is a whole snapshot: the next reading takes the rows whose mark that snapshot did not see. None
that commits late is missed, and an open transaction, however long, holds up nobody else's rows. On SQLite, where
writers queue, a position is a counter. Deletes are tombstones: an access row without record, a router marked
removed, a session closed, a hold without an instant."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    Text,
    bindparam,
    exists,
    literal_column,
    not_,
    select,
)

from aaa import clock
from aaa.store import dialect
from aaa.store.tables import access, enforcement, hold, nas, profile, replica_position, session, visp

SEEN_WITHIN: Final = 5 * clock.SECOND
_CHUNK: Final = 10_000  # rows fetched at a time
_SINCE: Final[BindParameter[str]] = bindparam("since", type_=Text())

NAS_COLUMNS: Final = (
    nas.c.id,
    nas.c.name,
    nas.c.address,
    nas.c.identifier,
    nas.c.secret,
    nas.c.previous_secret,
    nas.c.coa_address,
    nas.c.coa_port,
    nas.c.require_message_authenticator,
    nas.c.limit_proxy_state,
    nas.c.octets,
    nas.c.coa_session_timeout,
    nas.c.total_limit,
    nas.c.address_list_by,
    nas.c.api_host,
)


class _Followed(NamedTuple):
    """A table that the replica holds: what it needs of it, and the rows that count when it starts from nothing."""

    table: Table
    columns: Sequence[Column[Any]]
    present: ColumnElement[bool] | None


_FOLLOWED: Final = (
    _Followed(visp, (visp.c.id, visp.c.name, visp.c.currency, visp.c.timezone, visp.c.realm), None),
    _Followed(nas, (*NAS_COLUMNS, nas.c.removed), not_(nas.c.removed)),
    _Followed(profile, (profile.c.id, profile.c.encoded), None),
    _Followed(
        access,
        (access.c.service_id, access.c.visp_id, access.c.username, access.c.record),
        access.c.record.is_not(None),
    ),
    _Followed(
        session,
        (
            session.c.service_id,
            session.c.id,
            session.c.closed_at,
            session.c.calling_station_id,
            session.c.source,
            session.c.identifier,
            session.c.acct_session_id,
        ),
        session.c.closed_at.is_(None),
    ),
    _Followed(hold, (hold.c.since,), hold.c.since.is_not(None)),
)


def _changed(mark: ColumnElement[Any]) -> ColumnElement[bool]:
    return dialect.changed_after(mark, _SINCE)


def _any_changed(table: Table) -> Any:
    """The order makes any database use the index, however old its statistics are."""
    mark = table.c.feed
    return select(literal_column("1")).where(_changed(mark)).order_by(mark.desc()).limit(1).scalar_subquery()


def _rows_of(followed: _Followed, *, everything: bool) -> Select[Any]:
    rows = select(*followed.columns)
    if not everything:
        return rows.where(_changed(followed.table.c.feed))
    return rows if followed.present is None else rows.where(followed.present)


_WHERE: Final = select(dialect.feed_position(), dialect.feed_lineage())
_WHICH: Final = select(*(_any_changed(one.table) for one in _FOLLOWED), _any_changed(enforcement))
_EVERYTHING: Final = tuple(_rows_of(one, everything=True) for one in _FOLLOWED)
_CHANGES: Final = tuple(_rows_of(one, everything=False) for one in _FOLLOWED)


class Reading(NamedTuple):
    """What there is to take over. `complete`: start from nothing, for the epoch is another one. `tables` are places
    in the list of followed tables; `wanted`: something that waits for replicas to be this far."""

    epoch: str
    position: str
    since: str
    complete: bool
    tables: tuple[int, ...]
    wanted: bool


Rows = Iterator[tuple[str, Sequence[Row[*tuple[Any, ...]]]]]
"""(table name, rows of it) in chunks."""


def look(conn: Connection, epoch: str, since: str) -> Reading:
    """What has changed since a position of an epoch; both are empty for one who has nothing. `conn` is a snapshot,
    in which `rows` must then be read."""
    position, present_epoch = conn.execute(_WHERE).one()
    if epoch != present_epoch or dialect.went_back(position, since):
        return Reading(present_epoch, position, since, True, tuple(range(len(_FOLLOWED))), True)
    if position == since:
        return Reading(epoch, position, since, False, (), False)
    *changed, wanted = conn.execute(_WHICH, {"since": since}).one()
    tables = tuple(place for place, found in enumerate(changed) if found)
    return Reading(epoch, position, since, False, tables, bool(tables or wanted))


def rows(conn: Connection, reading: Reading) -> Rows:
    """The rows of a reading, in the order of the tables: whatever a row refers to comes first."""
    if reading.tables:
        dialect.prefer_indexes(conn)
    for place in reading.tables:
        name = _FOLLOWED[place].table.name
        if reading.complete:
            result = conn.execute(_EVERYTHING[place], execution_options={"yield_per": _CHUNK})
        else:
            result = conn.execute(_CHANGES[place], {"since": reading.since}, execution_options={"yield_per": _CHUNK})
        for chunk in result.partitions():
            yield name, chunk


def report(conn: Connection, machine: str, position: str, now: int) -> None:
    """Tell everybody how far this machine's replica is."""
    row = {"machine": machine, "position": position, "seen_at": now}
    statement = dialect.upsert(conn, replica_position).values(row)
    conn.execute(statement.on_conflict_do_update(index_elements=["machine"], set_=row))


def replicas_have(seen_after: ColumnElement[int]) -> ColumnElement[bool]:
    """For a statement over `enforcement`: whether every replica heard of after that instant, which is to be
    SEEN_WITHIN from now, has what the row's transaction wrote."""
    lags = not_(dialect.included_in(enforcement.c.feed, replica_position.c.position))
    recent = replica_position.c.seen_at > seen_after
    return not_(exists().where(recent, lags).correlate(enforcement))
