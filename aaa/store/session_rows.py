"""Sessions as rows, many at a time (shell)."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, or_, select

from aaa.domain.session import SECOND, Peer, Session, device_of
from aaa.store import dialect, record
from aaa.store.contacts import DEFAULT_INTERIM
from aaa.store.ownership import Grant
from aaa.store.tables import profile, session

_INTERIM_ATTRIBUTE: Final = "Acct-Interim-Interval"

_PEERS: Final = select(session.c.key, session.c.service_id, session.c.calling_station_id, session.c.started_at).where(
    session.c.closed_at.is_(None)
)
_SESSIONS: Final = (
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
    )
    .order_by(session.c.key, session.c.id)
    .with_for_update(key_share=True)  # FOR NO KEY UPDATE: enforcement may refer to them meanwhile
)


def read_peers(conn: Connection, service_ids: Sequence[int]) -> list[Peer]:
    """The open sessions of these services, whose rows the caller holds locked: none more can open."""
    if not service_ids:
        return []
    rows = conn.execute(_PEERS.where(dialect.among(conn, session.c.service_id, service_ids))).all()
    return [Peer(key, service_id, device_of(calling), started_at) for key, service_id, calling, started_at in rows]


def read_sessions(
    conn: Connection, keys: Iterable[bytes], oldest: int
) -> tuple[list[Session], dict[bytes, int]]:
    """Lock and return the sessions of `keys` that are open or began at `oldest` or later; and the seconds between
    their interims, by key."""
    recent = or_(session.c.closed_at.is_(None), session.c.started_at >= oldest)
    sessions = []
    interims = {}
    rows = conn.execute(_SESSIONS.where(dialect.among(conn, session.c.key, keys), recent)).all()
    for id, key, service_id, calling, *rest, interim in rows:
        sessions.append(Session(id, key, service_id, device_of(calling), *rest))
        interims[key] = interim
    return sessions, interims


def update_sessions(conn: Connection, changed: Sequence[Session]) -> None:
    """Store what changed. Only openings and closings touch an index, and only they are told to the feed."""
    still = [one for one in changed if not one.moved]
    dialect.update_many(conn, session, [_counts(one) for one in still if not one.readdressed], mark=False)
    dialect.update_many(conn, session, [_whole(one) for one in still if one.readdressed], mark=False)
    # A key has one open session at most: close before one opens again.
    closed = [_whole(one) for one in changed if one.moved and one.closed_at is not None]
    dialect.update_many(conn, session, closed, mark=True)
    opened = [_whole(one) for one in changed if one.moved and one.closed_at is None]
    dialect.update_many(conn, session, opened, mark=True)


def _counts(one: Session) -> dict[str, Any]:
    return {
        "id": one.id,
        "recorded_at": one.recorded_at,
        "heard_at": one.heard_at,
        "seconds": one.seconds,
        "up": one.up,
        "down": one.down,
        # follows the last counted second where that is what closed it
        "closed_at": one.closed_at,
    }


def _whole(one: Session) -> dict[str, Any]:
    return _counts(one) | {
        "framed_ip": one.framed_ip,
        "framed_ipv6": one.framed_ipv6,
        "delegated_ipv6": one.delegated_ipv6,
        "closed_by": one.closed_by,
        "terminate_cause": one.terminate_cause,
    }


def insert_sessions(conn: Connection, made: list[Session], grants: dict[int, Grant]) -> dict[bytes, int]:
    """Insert new sessions and give them their ids; returns the seconds between their interims, by key."""
    granted = [_granted(one, grants) for one in made]
    interims = _interims(conn, {one["applied_profile"] for one in granted})
    rows = []
    for one, id, given in zip(made, dialect.new_ids(conn, session, len(made)), granted, strict=True):
        one.id = id
        first = one.first
        assert first is not None
        rows.append(
            {
                "id": id,
                "key": one.key,
                "nas_id": first.nas_id,
                "source": first.source,
                "identifier": first.identifier,
                "acct_session_id": first.acct_session_id,
                "username": first.username,
                "service_id": one.service_id,
                "calling_station_id": first.calling_station_id,
                "called_station_id": first.called_station_id,
                "nas_port_id": first.nas_port_id,
                "framed_protocol": first.framed_protocol,
                "framed_ip": one.framed_ip,
                "framed_ipv6": one.framed_ipv6,
                "delegated_ipv6": one.delegated_ipv6,
                "started_at": one.started_at,
                "recorded_at": one.recorded_at,
                "heard_at": one.heard_at,
                "seconds": one.seconds,
                "up": one.up,
                "down": one.down,
                "interim": interims.get(given["applied_profile"], DEFAULT_INTERIM),
                "closed_at": one.closed_at,
                "closed_by": one.closed_by,
                "terminate_cause": one.terminate_cause,
                **given,
            }
        )
    rows.sort(key=_key)
    dialect.insert_many(conn, session, rows)
    return {row["key"]: row["interim"] for row in rows}


def _granted(one: Session, grants: dict[int, Grant]) -> dict[str, Any]:
    """What a session was authorised with, as far as its Class and the present record tell."""
    told = one.first.authorisation if one.first is not None else None
    if told is None or told.service_id != one.service_id:
        told = None
    verdict: int | None = None
    address: int | None = None
    grant = grants.get(one.service_id) if one.service_id is not None else None
    if told is not None and grant is not None and grant.version == told.version:
        head = grant.head
        if grant.record is not None and head is not None and told.segment < head.segments:
            step = record.step(grant.record, head, told.segment)
            verdict, address = step.verdict, step.framed_ip
    return {
        "version": told.version if told is not None else None,
        "applied_profile": told.profile if told is not None else None,
        "applied_ip": address,
        "applied_verdict": verdict,
        "given_end": told.end * SECOND if told is not None and told.end else None,
        "applied_at": one.started_at if told is not None else None,
    }


_known_interims: Final[dict[int, int]] = {}  # profiles are named by what they hold: what is known stays true


def _interims(conn: Connection, profiles: set[int | None]) -> dict[int | None, int]:
    """Acct-Interim-Interval of profiles, by id."""
    unknown = [one for one in profiles if one is not None and one not in _known_interims]
    if unknown:
        for row in conn.execute(select(profile.c.id, profile.c.attributes).where(profile.c.id.in_(unknown))):
            told = dict(record.profile_from_json(row.attributes)).get(_INTERIM_ATTRIBUTE)
            _known_interims[row.id] = told if isinstance(told, int) and told > 0 else DEFAULT_INTERIM
    return {one: _known_interims[one] for one in profiles if one in _known_interims}


def _key(row: dict[str, Any]) -> bytes:
    key: bytes = row["key"]
    return key
