"""Sessions as rows, many at a time (shell)."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, bindparam, or_, select

from aaa.domain.allowance import UNLIMITED, Allowance, Watch
from aaa.domain.session import SECOND, Session, device_of
from aaa.store import prepared, record
from aaa.store.contacts import DEFAULT_INTERIM
from aaa.store.ownership import Grant
from aaa.store.tables import profile, session

_INTERIM_ATTRIBUTE: Final = "Acct-Interim-Interval"


def _of_keys(postgresql: bool) -> Select[Any]:
    return (
        select(
            session.c.id,
            session.c.key,
            session.c.service_id,
            session.c.calling_station_id,
            session.c.started_at,
            session.c.recorded_at,
            session.c.heard_at,
            session.c.seconds,
            session.c.up,
            session.c.down,
            session.c.framed_ip,
            session.c.framed_ipv6,
            session.c.delegated_ipv6,
            session.c.closed_at,
            session.c.closed_by,
            session.c.terminate_cause,
            session.c.interim,
            session.c.limit_octets,
            session.c.limit_kind,
            session.c.limit_seconds,
        )
        .where(
            prepared.listed(session.c.key, "keys", postgresql),
            or_(session.c.closed_at.is_(None), session.c.started_at >= bindparam("oldest")),
        )
        .order_by(session.c.key, session.c.id)
        # FOR NO KEY UPDATE: enforcement may refer to them meanwhile
        .with_for_update(key_share=True)
    )


_OF_KEYS: Final = prepared.Prepared(_of_keys)


def read_sessions(
    tx: prepared.Transaction, keys: Iterable[bytes], oldest: int
) -> tuple[list[Session], dict[bytes, int]]:
    """Lock and read the sessions with these keys that are open or began at `oldest` or later; also the seconds between
    their interim records, by key."""
    sessions = []
    interims = {}
    found = tx.run(_OF_KEYS, {"keys": prepared.many(tx, keys), "oldest": oldest}).fetchall()
    for id, key, service_id, calling, *rest, interim, octets, kind, seconds in found:
        one = Session(id, key, service_id, device_of(calling), *rest)
        if octets is not None or seconds is not None:
            allowed = Allowance(octets or 0, kind or UNLIMITED.kind, seconds or 0)
            one.watch = Watch(allowed, one.seconds, one.up, one.down)
        sessions.append(one)
        interims[key] = interim
    return sessions, interims


_COUNTS: Final = ("id", "recorded_at", "heard_at", "seconds", "up", "down", "closed_at")
_WHOLE: Final = (*_COUNTS, "framed_ip", "framed_ipv6", "delegated_ipv6", "closed_by", "terminate_cause")
_COUNTS_OF: Final = attrgetter(*_COUNTS)  # closed_at follows the last counted second where that is what closed it
_WHOLE_OF: Final = attrgetter(*_WHOLE)


def update_sessions(tx: prepared.Transaction, changed: Sequence[Session]) -> None:
    """Store what changed. Only openings and closings touch an index, and only they are told to the feed."""
    counted = [_COUNTS_OF(one) for one in changed if not one.moved and not one.readdressed]
    readdressed = [_WHOLE_OF(one) for one in changed if not one.moved and one.readdressed]
    # A key has one open session at most: close before one opens again.
    closed = [_WHOLE_OF(one) for one in changed if one.moved and one.closed_at is not None]
    opened = [_WHOLE_OF(one) for one in changed if one.moved and one.closed_at is None]
    for names, rows, mark in (
        (_COUNTS, counted, False),
        (_WHOLE, readdressed, False),
        (_WHOLE, closed, True),
        (_WHOLE, opened, True),
    ):
        if rows:
            prepared.update(tx, session, _columns(names, rows), mark=mark)


class Applied(NamedTuple):
    """What a session was authorised with: columns of `session`."""

    version: int | None
    applied_profile: int | None
    applied_ip: int | None
    applied_verdict: int | None
    given_end: int | None
    applied_at: int | None
    limit_octets: int | None
    limit_kind: str | None
    limit_seconds: int | None


_NOTHING: Final = Applied(None, None, None, None, None, None, None, None, None)
_OF_RECORD: Final = (
    "nas_id",
    "source",
    "identifier",
    "acct_session_id",
    "username",
    "called_station_id",
    "calling_station_id",
    "nas_port_id",
    "framed_protocol",
    "lists_by_api",
)
_OF_SESSION: Final = (
    "key",
    "service_id",
    "framed_ip",
    "framed_ipv6",
    "delegated_ipv6",
    "started_at",
    "recorded_at",
    "heard_at",
    "seconds",
    "up",
    "down",
    "closed_at",
    "closed_by",
    "terminate_cause",
)
_FIRST: Final = attrgetter(*_OF_RECORD)
_MADE: Final = attrgetter(*_OF_SESSION)
_NEW: Final = (*_OF_RECORD, *_OF_SESSION, *Applied._fields, "interim")


def insert_sessions(tx: prepared.Transaction, made: Iterable[Session], grants: Mapping[int, Grant]) -> dict[bytes, int]:
    """Store new sessions; returns the seconds between their interim records, by key."""
    new = [(one, _applied(one, grants)) for one in sorted(made, key=_key)]
    if not new:
        return {}
    known = _interims(tx, {applied.applied_profile for _, applied in new})
    interims = {}
    rows = []
    for one, applied in new:
        interims[one.key] = interim = known.get(applied.applied_profile, DEFAULT_INTERIM)
        rows.append((*_FIRST(one.first), *_MADE(one), *applied, interim))
    prepared.insert(tx, session, _columns(_NEW, rows))
    return interims


def number_sessions(tx: prepared.Transaction, made: Iterable[Session]) -> None:
    """Learn the ids of new sessions that are open: a key has one such at most."""
    unnumbered = {one.key: one for one in made if one.closed_by is None}
    if unnumbered:
        for id, key in tx.run(_IDS, {"keys": prepared.many(tx, unnumbered)}).fetchall():
            unnumbered[key].id = id


def _ids(postgresql: bool) -> Select[Any]:
    ids = select(session.c.id, session.c.key)
    return ids.where(prepared.listed(session.c.key, "keys", postgresql), session.c.closed_by.is_(None))


_IDS: Final = prepared.Prepared(_ids)


def _columns(names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> prepared.Columns:
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def _applied(one: Session, grants: Mapping[int, Grant]) -> Applied:
    """What a session was authorised with, as far as its Class and the present record tell."""
    told = one.first.authorisation if one.first is not None else None
    if told is None or told.service_id != one.service_id:
        return _NOTHING
    verdict: int | None = None
    address: int | None = None
    grant = grants.get(told.service_id)
    if grant is not None and grant.version == told.version:
        head = grant.head
        if grant.record is not None and head is not None and told.segment < head.segments:
            step = record.step(grant.record, head, told.segment)
            verdict, address = step.verdict, step.framed_ip
    end = told.end * SECOND if told.end else None
    octets, kind, seconds = told.allowed
    return Applied(
        told.version,
        told.profile,
        address,
        verdict,
        end,
        one.started_at,
        octets or None,
        kind if octets else None,
        seconds or None,
    )


def _profiles(postgresql: bool) -> Select[Any]:
    return select(profile.c.id, profile.c.attributes).where(prepared.listed(profile.c.id, "ids", postgresql))


_PROFILES: Final = prepared.Prepared(_profiles)

_known_interims: Final[dict[int, int]] = {}  # profiles are named by what they hold: what is known stays true


def _interims(tx: prepared.Transaction, profiles: set[int | None]) -> dict[int | None, int]:
    """Acct-Interim-Interval of profiles, by id."""
    unknown = [one for one in profiles if one is not None and one not in _known_interims]
    if unknown:
        for id, attributes in tx.run(_PROFILES, {"ids": prepared.many(tx, unknown)}).fetchall():
            told = dict(record.profile_from_json(attributes)).get(_INTERIM_ATTRIBUTE)
            _known_interims[id] = told if isinstance(told, int) and told > 0 else DEFAULT_INTERIM
    return {one: _known_interims[one] for one in profiles if one in _known_interims}


def _key(one: Session) -> bytes:
    return one.key
