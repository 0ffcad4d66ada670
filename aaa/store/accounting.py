"""Accounting records into the database, a whole batch in one transaction (shell).

The phases of a transaction, each sorted, are the same in every process, so that two cannot block each other: services,
sessions by key, new sessions, usage, recompile requests, enforcement, contacts. What records mean is decided by
`aaa.domain.session`.
"""

import logging
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import Select, Table, Update, bindparam, exc, func, select

from aaa.domain import mac
from aaa.domain.allowance import UNLIMITED
from aaa.domain.local_day import local_day
from aaa.domain.rank import CUT, NEITHER, rank
from aaa.domain.session import (
    BY_NAS,
    OFF,
    ON,
    SECOND,
    START,
    TOLERANCE,
    Record,
    Roll,
    Session,
    Usage,
    device_of,
)
from aaa.store import dialect, prepared, record
from aaa.store.contacts import Contacts, note_contacts
from aaa.store.database import Database
from aaa.store.ownership import Grant, Zones, find_owners
from aaa.store.pipeline import STATEMENT_GONE, Meanwhile
from aaa.store.prepared import Prepared, Transaction, add_up, ring, upsert
from aaa.store.session_rows import insert_sessions, number_sessions, read_sessions, update_sessions
from aaa.store.tables import access, enforcement, recompile_request, session, usage_day
from aaa.store.thresholds import notice_crossings, refresh_quotas

_log: Final = logging.getLogger(__name__)

BOUNDARY_MARGIN: Final = 10 * SECOND
"""A verdict that changes this soon after a session's start may be enforced before the session is seen."""

QUOTA: Final = "quota"
"""The cause of wishes for sessions that have nearly used up what they were told to be left of a quota."""

_ATTEMPTS: Final = 8
_TOLD: Final = 3
"""Of how many refused records of a batch the log tells each."""

# Unique violation, serialization failure, deadlock: lost races.
_AGAIN: Final = frozenset(("23505", "40001", "40P01", STATEMENT_GONE))
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


class Accounting:
    """The database as one process stores records in it, with what that remembers from batch to batch."""

    def __init__(self, db: Database, meanwhile: Meanwhile | None = None) -> None:
        """`meanwhile` is called while the database works; it must not raise."""
        self._db = db
        self._meanwhile = meanwhile
        self._zones = Zones()
        self._contacts = Contacts()

    def commit(self, records: Sequence[Record], now: int) -> BatchResult:
        """Store records durably, in order; once it returns, all but the poison ones may be answered. Raises
        DatabaseAway.

        Storing a record again changes nothing, so a batch that failed half-way can simply come again.
        """
        poison: list[tuple[int, Exception]] = []
        for at, run in _runs(records):
            self._commit(run, at, now, poison)
        for at, error in poison[:_TOLD]:
            _tell(records[at], error)
        if len(poison) > _TOLD:
            _log.error("accounting refused=%d more records of the same batch", len(poison) - _TOLD)
        return BatchResult(len(records) - len(poison), tuple(at for at, _ in poison))

    def check(self) -> None:
        """Whether the database would take records. Raises DatabaseAway."""
        try:
            with self._db.write() as conn:
                conn.execute(select(1))
        except (exc.DBAPIError, exc.TimeoutError) as error:
            raise DatabaseAway(f"the database does not answer: {type(error).__name__}") from None

    def _commit(self, records: Sequence[Record], at: int, now: int, poison: list[tuple[int, Exception]]) -> None:
        """Commit these records; if they are refused, halve them until those that are refused stand alone."""
        try:
            self._commit_whole(records, now)
        except DatabaseAway:
            raise
        except Exception as error:
            if len(records) == 1:
                poison.append((at, error))
                return
            middle = len(records) // 2
            self._commit(records[:middle], at, now, poison)
            self._commit(records[middle:], at + middle, now, poison)

    def _commit_whole(self, records: Sequence[Record], now: int) -> None:
        """One transaction, done again when it lost a race or met a session it was not prepared for."""
        opening = {one.key for one in records if one.status == START}
        by_name: set[bytes] = set()
        news = self._contacts.news(records)
        races = 0
        while True:
            try:
                with self._db.write_prepared(self._meanwhile) as tx:
                    if records[0].status == ON or records[0].status == OFF:
                        _close_all(tx, records[0])
                        note_contacts(tx, news, records, {})
                    else:
                        interims = self._store(tx, records, opening, by_name, now)
                        note_contacts(tx, news, records, interims)
                self._contacts.noted(news)
                return
            except _Unprepared as more:
                opening |= more.opening
                by_name |= more.by_name
            except exc.TimeoutError:
                raise DatabaseAway("no connection to the database is free") from None
            except (exc.DBAPIError, psycopg.Error) as error:
                fault = error.orig if isinstance(error, exc.DBAPIError) else error
                races += 1
                if races < _ATTEMPTS and getattr(fault, "sqlstate", None) in _AGAIN:
                    continue
                if isinstance(error, _AWAY):
                    raise DatabaseAway(f"the database does not take records: {type(fault).__name__}") from None
                raise

    def _store(
        self, tx: Transaction, records: Sequence[Record], opening: set[bytes], by_name: set[bytes], now: int
    ) -> dict[bytes, int]:
        """Store Starts, Interims and Stops; `opening` are the keys of sessions that may open or be made.

        Returns the seconds between the sessions' interim records, by key. Raises _Unprepared.
        """
        zones = self._zones.ask(tx)
        openers = [one for one in records if one.key in opening]
        owners = find_owners(tx, openers, by_name, self._zones)
        if owners.misnamed:
            raise _Unprepared(set(), owners.misnamed)
        devices = {(owners.services[one.key], device_of(one.calling_station_id)) for one in openers}
        keys = {one.key for one in records}
        keys.update(peer.key for peer in owners.peers if peer.device and (peer.service_id, peer.device) in devices)
        oldest = min(one.started_at for one in records) - TOLERANCE
        sessions, interims = read_sessions(tx, keys, oldest)
        roll = Roll(sessions, owners.services, owners.peers)
        for one in records:
            roll.apply(one)
        if roll.unprepared:
            raise _Unprepared(roll.unprepared, set())
        changed = roll.changed()
        update_sessions(tx, changed)
        interims |= insert_sessions(tx, roll.made, owners.grants)
        used = [one.service_id for one in roll.usage]
        timezones, watched = self._zones.of(tx, zones, used)
        _add_usage(tx, roll.usage, timezones)
        if watched:
            notice_crossings(tx, used, now)
            refresh_quotas(tx, _given_back(changed, roll.made), now)
        _note_callers(tx, changed, roll.made, owners.grants, now)
        _request_enforcement(tx, changed, roll.made, owners.grants, now)
        return interims


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


def _add_usage(tx: Transaction, usage: Sequence[Usage], zones: Mapping[int, str]) -> None:
    days: dict[tuple[int, int], list[int]] = {}
    for used in usage:
        day = used.service_id, local_day(used.at, zones[used.service_id])
        total = days.setdefault(day, [0, 0, 0])
        total[0] += used.up
        total[1] += used.down
        total[2] += used.seconds
    rows = sorted(days.items())
    columns: dict[str, list[int]] = {
        "service_id": [service_id for (service_id, _), _ in rows],
        "day": [day for (_, day), _ in rows],
        "up": [up for _, (up, _, _) in rows],
        "down": [down for _, (_, down, _) in rows],
        "seconds": [seconds for _, (_, _, seconds) in rows],
    }
    upsert(tx, usage_day, columns, add_up)


def _request_enforcement(
    tx: Transaction, changed: Sequence[Session], made: Sequence[Session], grants: Mapping[int, Grant], now: int
) -> None:
    """Have the sessions planned that were opened with something else than what their service is granted now."""
    wishes = []
    for one in (*changed, *made):
        grant = grants.get(one.service_id) if one.opened and one.service_id is not None else None
        wish = _wish(one, grant, now) if grant is not None else None
        if grant is not None and wish is not None:
            wishes.append((one, grant.version, *wish, _rank(one, grant, now)))
    near = [one for one in changed if _runs_out(one)]
    if near:
        # Sessions whose allowance is nearly used up: it may have been raised since, or another period may have begun.
        versions = dict(
            tx.run(_VERSIONS, {"services": prepared.many(tx, {one.service_id or 0 for one in near})}).fetchall()
        )
        wishes += [(one, versions.get(one.service_id, 0), QUOTA, now, NEITHER) for one in near]
    if not wishes:
        return
    number_sessions(tx, made)
    wishes.sort(key=_session_id)
    columns: dict[str, list[Any]] = {
        "session_id": [one.id for one, *_ in wishes],
        "service_id": [one.service_id for one, *_ in wishes],
        "event_id": [None for _ in wishes],
        "wanted_version": [version for _, version, _, _, _ in wishes],
        "cause": [cause for _, _, cause, _, _ in wishes],
        "requested_at": [now for _ in wishes],
        "not_before": [not_before for *_, not_before, _ in wishes],
        "tries": [0 for _ in wishes],
        "rank": [ranked for *_, ranked in wishes],
    }
    # A session that opens again may have a row of its first life.
    upsert(tx, enforcement, columns, _newer_wish)
    ring(tx, "ledgate_engine")


def _runs_out(one: Session) -> bool:
    watched = one.watch is not None and one.closed_at is None and not one.opened and one.service_id is not None
    return watched and one.watch is not None and one.watch.nears(one.seconds, one.up, one.down)


def _given_back(changed: Sequence[Session], made: Sequence[Session]) -> list[int]:
    """The services of sessions that were told what was left of a quota, and have ended."""
    services = [one.service_id for one in changed if one.watch is not None and one.moved and one.closed_at is not None]
    for one in made:
        told = one.first.authorisation if one.first is not None and one.closed_at is not None else None
        if told is not None and told.allowed != UNLIMITED:
            services.append(one.service_id)
    return [service_id for service_id in services if service_id is not None]


def _versions(for_postgresql: bool) -> Select[Any]:
    versions = select(access.c.service_id, access.c.version)
    return versions.where(prepared.listed(access.c.service_id, "services", for_postgresql))


_VERSIONS: Final = Prepared(_versions)


def _note_callers(
    tx: Transaction, changed: Sequence[Session], made: Sequence[Session], grants: Mapping[int, Grant], now: int
) -> None:
    """Tell the engine of the first device of each service that learns its caller-id lock."""
    if not any(grant.head is not None and grant.head.learns_caller for grant in grants.values()):
        return
    first: dict[int, Session] = {}
    for one in (*changed, *made):
        grant = grants.get(one.service_id) if one.opened and one.service_id is not None else None
        if grant is None or grant.head is None or not grant.head.learns_caller or mac.normalise(one.device) is None:
            continue
        service_id = grant.head.service_id
        if service_id not in first or one.started_at < first[service_id].started_at:
            first[service_id] = one
    if not first:
        return
    columns: dict[str, list[Any]] = {
        "service_id": sorted(first),
        "kind": ["caller-id" for _ in first],
        "requested_at": [now for _ in first],
        "mac": [first[service_id].device for service_id in sorted(first)],
    }
    upsert(tx, recompile_request, columns, _first_caller)
    ring(tx, "ledgate_engine")


def _first_caller(table: Table, names: tuple[str, ...], new: Any) -> Mapping[str, Any]:
    """Of two devices the one that was noticed first stays."""
    return {"kind": new.kind, "requested_at": new.requested_at, "mac": func.coalesce(table.c.mac, new.mac)}


def _newer_wish(table: Table, names: tuple[str, ...], new: Any) -> Mapping[str, Any]:
    newer = {name: new[name] for name in names if name not in ("session_id", "service_id")}
    return newer | {"feed": dialect.feed_mark()}


def _session_id(wish: tuple[Session, int, str, int, int]) -> int:
    assert wish[0].id is not None
    return wish[0].id


def _wish(one: Session, grant: Grant, now: int) -> tuple[str, int] | None:
    """Why and from when a session that has just opened must be planned again; None if it need not be."""
    head = grant.head
    if head is not None and 0 < head.simultaneous_use <= one.others:
        return "simultaneous-use", now
    told = one.first.authorisation if one.first is not None else None
    if head is None or grant.record is None or told is None or told.version != grant.version:
        return "start", now
    if one.first is not None and one.first.lists_by_api:
        return "start", now  # its address is put on lists, or taken off those of whoever had it before
    step = record.step_at(grant.record, head, now + BOUNDARY_MARGIN)
    return ("start", max(now, step.start)) if step.position != told.segment else None


def _rank(one: Session, grant: Grant, now: int) -> int:
    """Whether a session that has just opened gets more than its login got, or less (aaa.domain.rank)."""
    told = one.first.authorisation if one.first is not None else None
    if grant.record is None or grant.head is None:
        return CUT
    has: int | None = None
    if told is not None and told.version == grant.version and told.segment < grant.head.segments:
        has = record.step(grant.record, grant.head, told.segment).verdict
    return rank(has, record.step_at(grant.record, grant.head, now).verdict)


def _own_before(_postgresql: bool) -> Update:
    ended = (
        select(session.c.id)
        .where(
            session.c.source == bindparam("of_source"),
            session.c.identifier == bindparam("of_identifier"),
            session.c.closed_by.is_(None),
            session.c.started_at < bindparam("before"),
        )
        .order_by(session.c.key)
        .with_for_update(key_share=True)
    )
    closed = {
        "closed_at": session.c.started_at + session.c.seconds * SECOND,
        "closed_by": BY_NAS,
        "recorded_at": bindparam("before"),  # only what a router tells of later can disprove that
    }
    return session.update().where(session.c.id.in_(ended)).values(closed)


_CLOSE_OWN_BEFORE: Final = Prepared(_own_before)


def _close_all(tx: Transaction, event: Record) -> None:
    """Accounting-On or Off: the router's own sessions that began before have ended, at the last counted second."""
    own = {"of_source": event.source, "of_identifier": event.identifier, "before": event.event_at}
    tx.run(_CLOSE_OWN_BEFORE, own)
