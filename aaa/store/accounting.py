"""Accounting records into the database, a whole batch in one transaction (shell).

The phases of a transaction, each sorted, are the same in every process, so that two cannot block each other: services,
sessions by key, new sessions, usage, enforcement, contacts. What records mean is decided by `aaa.domain.session`.
"""

import logging
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import Connection, exc, select

from aaa.domain.local_day import local_day
from aaa.domain.session import BY_NAS, OFF, ON, SECOND, START, TOLERANCE, Record, Roll, Session, device_of
from aaa.store import dialect, record
from aaa.store.contacts import note_contacts
from aaa.store.database import Database
from aaa.store.ownership import Grant, find_owners, read_grants
from aaa.store.session_rows import insert_sessions, read_peers, read_sessions, update_sessions
from aaa.store.tables import enforcement, service, session, usage_day, visp

_log: Final = logging.getLogger(__name__)

BOUNDARY_MARGIN: Final = 10 * SECOND
"""A verdict that changes this soon after a session's start may be enforced before the session is seen."""

_ATTEMPTS: Final = 8
_TOLD: Final = 3
"""Of how many refused records of a batch the log tells each."""

_LOST_RACES: Final = frozenset(("23505", "40001", "40P01"))  # unique violation, serialization failure, deadlock
# What does not depend on the records: no connection, no space, no right, no table, a standby.
_AWAY: Final = (
    exc.OperationalError,
    exc.InterfaceError,
    exc.ProgrammingError,
    exc.InternalError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.ProgrammingError,
    psycopg.InternalError,
)


class DatabaseAway(Exception):
    """The database cannot take records now. Nothing may be answered; routers will send again."""


class _Unprepared(Exception):
    """The transaction must be done again, with these keys as those of sessions that may open, or to look up by name."""

    def __init__(self, opening: set[bytes], by_name: set[bytes]) -> None:
        super().__init__()
        self.opening = opening
        self.by_name = by_name


class BatchResult(NamedTuple):
    """`poison`: the positions of records that the database refuses; they are logged, and must not be answered."""

    stored: int
    poison: tuple[int, ...]


def commit_batch(db: Database, records: Sequence[Record], now: int) -> BatchResult:
    """Store records durably, in order; once it returns, all but the poison ones may be answered. Raises DatabaseAway.

    Storing a record again changes nothing, so a batch that failed half-way can simply come again.
    """
    poison: list[tuple[int, Exception]] = []
    for at, run in _runs(records):
        _commit(db, run, at, now, poison)
    for at, error in poison[:_TOLD]:
        _tell(records[at], error)
    if len(poison) > _TOLD:
        _log.error("accounting refused=%d more records of the same batch", len(poison) - _TOLD)
    return BatchResult(len(records) - len(poison), tuple(at for at, _ in poison))


def check(db: Database) -> None:
    """Whether the database would take records. Raises DatabaseAway."""
    try:
        with db.write() as conn:
            conn.execute(select(1))
    except (exc.DBAPIError, exc.TimeoutError) as error:
        raise DatabaseAway(f"the database does not answer: {type(error).__name__}") from None


def _tell(one: Record, error: Exception) -> None:
    """Log a record that is refused. Only the kind of the error: its text may hold any value of any row."""
    stored = isinstance(error, exc.DBAPIError | psycopg.Error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    _log.error(
        "accounting refused=%s by=%s source=%s identifier=%r session=%r user=%r",
        type(error.orig if isinstance(error, exc.DBAPIError) else error).__name__,
        "database" if stored else f"{frame.filename}:{frame.lineno}",
        one.source,
        one.identifier,
        one.acct_session_id,
        one.username,
    )


def _runs(records: Sequence[Record]) -> Iterator[tuple[int, Sequence[Record]]]:
    """Parts that can be stored at once, with their positions: an Accounting-On or Off stands alone."""
    begin = 0
    for at, one in enumerate(records):
        if one.status == ON or one.status == OFF:
            if begin < at:
                yield begin, records[begin:at]
            yield at, records[at : at + 1]
            begin = at + 1
    if begin < len(records):
        yield begin, records[begin:]


def _commit(
    db: Database, records: Sequence[Record], at: int, now: int, poison: list[tuple[int, Exception]]
) -> None:
    """Commit these records; if they are refused, halve them until those that are refused stand alone."""
    try:
        _commit_whole(db, records, now)
    except DatabaseAway:
        raise
    except Exception as error:
        if len(records) == 1:
            poison.append((at, error))
            return
        middle = len(records) // 2
        _commit(db, records[:middle], at, now, poison)
        _commit(db, records[middle:], at + middle, now, poison)


def _commit_whole(db: Database, records: Sequence[Record], now: int) -> None:
    """One transaction, done again when it lost a race or met a session it was not prepared for."""
    opening = {one.key for one in records if one.status == START}
    by_name: set[bytes] = set()
    races = 0
    while True:
        try:
            with db.write() as conn:
                dialect.look_up_by_index(conn)
                if records[0].status == ON or records[0].status == OFF:
                    _close_all(conn, records[0])
                    note_contacts(conn, records, {})
                else:
                    _store(conn, records, opening, by_name, now)
            return
        except _Unprepared as more:
            opening |= more.opening
            by_name |= more.by_name
        except exc.TimeoutError:
            raise DatabaseAway("no connection to the database is free") from None
        except (exc.DBAPIError, psycopg.Error) as error:
            fault = error.orig if isinstance(error, exc.DBAPIError) else error
            races += 1
            if races < _ATTEMPTS and getattr(fault, "sqlstate", None) in _LOST_RACES:
                continue
            if isinstance(error, _AWAY):
                raise DatabaseAway(f"the database does not take records: {type(fault).__name__}") from None
            raise


def _store(conn: Connection, records: Sequence[Record], opening: set[bytes], by_name: set[bytes], now: int) -> None:
    """Store Starts, Interims and Stops; `opening` are the keys of sessions that may open or be made.

    Raises _Unprepared.
    """
    owners = find_owners(conn, [one for one in records if one.key in opening], by_name)
    if owners.misnamed:
        raise _Unprepared(set(), owners.misnamed)
    grants = read_grants(conn, [found for found in owners.services.values() if found is not None])
    peers = read_peers(conn, list(grants))
    devices = {(owners.services[one.key], device_of(one.calling_station_id)) for one in records if one.key in opening}
    keys = {one.key for one in records}
    keys.update(peer.key for peer in peers if peer.device and (peer.service_id, peer.device) in devices)
    sessions, interims = read_sessions(conn, keys, min(one.started_at for one in records) - TOLERANCE)
    roll = Roll(sessions, owners.services, peers)
    for one in records:
        roll.apply(one)
    if roll.unprepared:
        raise _Unprepared(roll.unprepared, set())
    changed = roll.changed()
    update_sessions(conn, changed)
    interims.update(insert_sessions(conn, roll.made, grants))
    _add_usage(conn, roll)
    _request_enforcement(conn, [one for one in (*changed, *roll.made) if one.opened], grants, now)
    note_contacts(conn, records, interims)


_ZONES: Final = select(service.c.id, visp.c.timezone).join(visp, service.c.visp_id == visp.c.id)


def _add_usage(conn: Connection, roll: Roll) -> None:
    services = sorted({one.service_id for one in roll.usage})
    if not services:
        return
    found = conn.execute(_ZONES.where(dialect.among(conn, service.c.id, services))).all()
    zones = {row.id: row.timezone for row in found}
    days: dict[tuple[int, int], list[int]] = {}
    for used in roll.usage:
        total = days.setdefault((used.service_id, local_day(used.at, zones[used.service_id])), [0, 0, 0])
        total[0] += used.up
        total[1] += used.down
        total[2] += used.seconds
    rows = [
        {"service_id": service_id, "day": day, "up": up, "down": down, "seconds": seconds}
        for (service_id, day), (up, down, seconds) in sorted(days.items())
    ]
    dialect.add_many(conn, usage_day, rows)


def _request_enforcement(conn: Connection, opened: list[Session], grants: dict[int, Grant], now: int) -> None:
    """Have the sessions planned that were opened with something else than what their service is granted now."""
    rows = []
    for one in sorted(opened, key=_id):
        grant = grants.get(one.service_id) if one.service_id is not None else None
        wish = _wish(one, grant, now) if grant is not None else None
        if grant is not None and wish is not None:
            cause, not_before = wish
            rows.append(
                {
                    "session_id": one.id,
                    "service_id": one.service_id,
                    "event_id": None,
                    "wanted_version": grant.version,
                    "cause": cause,
                    "requested_at": now,
                    "not_before": not_before,
                    "tries": 0,
                }
            )
    if not rows:
        return
    made = {one.id for one in opened if one.first is not None}
    dialect.insert_many(conn, enforcement, [row for row in rows if row["session_id"] in made])
    _overwrite_wishes(conn, [row for row in rows if row["session_id"] not in made])
    dialect.notify(conn, "ledgate_engine")


def _overwrite_wishes(conn: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """A session that opens again may have a row of its first life."""
    if not rows:
        return
    insert = dialect.upsert(conn, enforcement)
    newer = {name: insert.excluded[name] for name in rows[0] if name not in ("session_id", "service_id")}
    newer["feed"] = dialect.feed_mark()
    conn.execute(insert.on_conflict_do_update(index_elements=[enforcement.c.session_id], set_=newer), rows)


def _wish(one: Session, grant: Grant, now: int) -> tuple[str, int] | None:
    """Why and from when a session that has just opened must be planned again; None if it need not be."""
    head = grant.head
    if head is not None and 0 < head.simultaneous_use <= one.others:
        return "simultaneous-use", now
    told = one.first.authorisation if one.first is not None else None
    if head is None or grant.record is None or told is None or told.version != grant.version:
        return "start", now
    step = record.step_at(grant.record, head, now + BOUNDARY_MARGIN)
    return ("start", max(now, step.start)) if step.position != told.segment else None


def _close_all(conn: Connection, event: Record) -> None:
    """Accounting-On or Off: the router's own sessions that began before have ended, at the last counted second."""
    ended = (
        select(session.c.id)
        .where(
            session.c.source == event.source,
            session.c.identifier == event.identifier,
            session.c.closed_by.is_(None),
            session.c.started_at < event.event_at,
        )
        .order_by(session.c.key)
        .with_for_update(key_share=True)
    )
    conn.execute(
        session.update()
        .where(session.c.id.in_(ended))
        .values(closed_at=session.c.started_at + session.c.seconds * SECOND, closed_by=BY_NAS)
    )


def _id(one: Session) -> int:
    assert one.id is not None
    return one.id
