"""What open sessions have been told, as far as the database knows (shell)."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, func, select, tuple_

from aaa.domain.session import SECOND, device_of
from aaa.store import record
from aaa.store.tables import attempt, session, timeline_history

AT_START: Final = ("start", "simultaneous-use")
"""What accounting says of the sessions that it wants planned as they start."""

ANYTHING: Final = "*"
"""Stands for whatever an attempt that was lost may have told."""

_OF_LATE: Final = 600 * SECOND
_FIRST_REST: Final = 5 * SECOND
_LONGEST_REST: Final = 60 * SECOND


class Applied(NamedTuple):
    """A profile's id, a Framed-IP-Address as an integer (0: none), the verdict's end. None: not known; no end."""

    profile: int | None
    address: int | None
    given_end: int | None


def applied(conn: Connection, rows: Sequence[Row[Any]]) -> dict[int, Applied]:
    """By session id, for rows of `session` with its service's `present_version` and `record`.

    A session whose Class was not ours, or not echoed, is taken to have what its service's timeline said when it began.
    If there was none by then, it was authorised by somebody else.
    """
    replaced = _records(conn, {(row.service_id, row.version) for row in rows if _needs_record(row)})
    return {row.session_id: _of(conn, row, replaced) for row in rows}


def known(row: Any) -> Applied | None:
    """As `applied` has it for one row, where that takes no query."""
    if row.applied_profile is None:
        return None
    if row.applied_ip is not None:
        return Applied(row.applied_profile, row.applied_ip, row.given_end)
    if row.version is None or row.version == row.present_version:
        told = row.record if row.version == row.present_version else None
        return Applied(row.applied_profile, _address_beside(told, row.applied_profile), row.given_end)
    return None


def doubtful(conn: Connection, session_ids: Sequence[int]) -> dict[int, frozenset[str]]:
    """The attributes of CoAs that got no answer since the router last acknowledged one, by session id; ANYTHING for one
    that was lost with the process that sent it, or was about to.
    """
    asked = (
        select(attempt.c.session_id, attempt.c.attributes)
        .join(session, session.c.id == attempt.c.session_id)
        .where(
            attempt.c.session_id.in_(session_ids),
            attempt.c.kind == "coa",
            attempt.c.result.not_in(("ack", "nak")),
            attempt.c.at > func.coalesce(session.c.applied_at, 0),
        )
    )
    names: defaultdict[int, set[str]] = defaultdict(set)
    for row in conn.execute(asked):
        names[row.session_id].update(name for name, _ in json.loads(row.attributes))
    return {session_id: frozenset(found) for session_id, found in names.items()}


def crowded(conn: Connection, limits: dict[int, int]) -> set[int]:
    """The sessions beyond their service's limit: those that began when so many other devices had one open already.

    `limits` maps service ids to simultaneous uses, above 0. Without Calling-Station-Id a session is its own device.
    """
    if not limits:
        return set()
    open_ones = (
        select(session.c.id, session.c.service_id, session.c.calling_station_id)
        .where(session.c.service_id.in_(list(limits)), session.c.closed_at.is_(None))
        .order_by(session.c.service_id, session.c.started_at, session.c.id)
    )
    beyond: set[int] = set()
    devices: defaultdict[int, set[str]] = defaultdict(set)
    for row in conn.execute(open_ones):
        device = device_of(row.calling_station_id) or f"session {row.id}"
        if len(devices[row.service_id] - {device}) >= limits[row.service_id]:
            beyond.add(row.id)
        else:
            devices[row.service_id].add(device)
    return beyond


def rests(conn: Connection, service_ids: set[int], now: int) -> dict[int, int]:
    """Until when services are left in peace, by id, if their new sessions were cut off of late.

    A session is planned again as it starts when its login met a replica that lags. Should that replica stand still,
    every redial would be cut off, several times a second: so each time doubles the wait before the next.
    """
    if not service_ids:
        return {}
    cut_off = (
        select(session.c.service_id, func.count().label("times"), func.max(attempt.c.at).label("last"))
        .join(attempt, attempt.c.session_id == session.c.id)
        .where(
            session.c.service_id.in_(service_ids),
            session.c.started_at > now - _OF_LATE,
            attempt.c.kind == "disconnect",
            attempt.c.result == "ack",
            attempt.c.cause.in_(AT_START),
        )
        .group_by(session.c.service_id)
    )
    rows = conn.execute(cut_off)
    return {row.service_id: row.last + min(_FIRST_REST << min(row.times - 1, 8), _LONGEST_REST) for row in rows}


def _needs_record(row: Row[Any]) -> bool:
    """Whether an earlier record must tell the address it was given."""
    return row.applied_profile is not None and row.applied_ip is None and row.version not in (None, row.present_version)


def _records(conn: Connection, versions: set[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    if not versions:
        return {}
    key = tuple_(timeline_history.c.service_id, timeline_history.c.version)
    found = select(timeline_history.c.service_id, timeline_history.c.version, timeline_history.c.record)
    return {(row.service_id, row.version): row.record for row in conn.execute(found.where(key.in_(list(versions))))}


def _of(conn: Connection, row: Row[Any], replaced: dict[tuple[int, int], bytes]) -> Applied:
    if row.applied_profile is None:
        return _at_start(conn, row)
    if row.applied_ip is not None:
        return Applied(row.applied_profile, row.applied_ip, row.given_end)
    told = row.record if row.version == row.present_version else replaced.get((row.service_id, row.version))
    return Applied(row.applied_profile, _address_beside(told, row.applied_profile), row.given_end)


def _address_beside(told: bytes | None, profile: int) -> int | None:
    """The Framed-IP-Address that a record names together with a profile."""
    if told is None:
        return None
    head = record.entry(told)
    steps = (record.step(told, head, index) for index in range(head.segments))
    return next((step.framed_ip for step in steps if step.profile == profile), None)


def _at_start(conn: Connection, row: Row[Any]) -> Applied:
    in_force = (
        select(timeline_history.c.record)
        .where(timeline_history.c.service_id == row.service_id, timeline_history.c.replaced_at > row.started_at)
        .order_by(timeline_history.c.version)
        .limit(1)
    )
    told: bytes | None = conn.execute(in_force).scalar() or row.record
    if told is None:
        return Applied(None, None, None)
    head = record.entry(told)
    if record.step(told, head, 0).start > row.started_at:
        return Applied(None, None, None)
    step = record.step_at(told, head, row.started_at)
    return Applied(step.profile, step.framed_ip, step.verdict_end or None)
