"""Stored timelines, present and replaced (shell)."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, select

from aaa.domain.timeline import Profile, Timeline
from aaa.store import record
from aaa.store.tables import access, event, profile, timeline_history


def read_profiles(conn: Connection, ids: set[int]) -> dict[int, Profile]:
    """The profiles of these ids; one that does not exist is not in the answer."""
    rows = conn.execute(select(profile.c.id, profile.c.attributes).where(profile.c.id.in_(ids)))
    return {row.id: record.profile_from_json(row.attributes) for row in rows}


def read_timeline(conn: Connection, service_id: int) -> tuple[Timeline, int] | None:
    """A service's present timeline and its version; None if it has none."""
    row = conn.execute(select(access.c.record, access.c.version).where(access.c.service_id == service_id)).first()
    if row is None or row.record is None:
        return None
    return decode(conn, row.record), row.version


def read_history(conn: Connection, service_id: int) -> Iterator[tuple[Timeline, int]]:
    """(timeline, when it was replaced), newest first, read as far as it is consumed."""
    before: int | None = None
    while True:
        rows = select(timeline_history).where(timeline_history.c.service_id == service_id)
        if before is not None:
            rows = rows.where(timeline_history.c.version < before)
        chunk = conn.execute(rows.order_by(timeline_history.c.version.desc()).limit(20)).all()
        for row in chunk:
            yield decode(conn, row.record), row.replaced_at
            before = row.version
        if len(chunk) < 20:
            return


def read_replacement(conn: Connection, service_id: int, at: int) -> Any:
    """The event that replaced the timeline which was in force at `at`: (at, actor, kind, subject, before, after).
    None if that one is the present timeline.
    """
    replaced = (
        select(
            timeline_history.c.replaced_at.label("at"),
            event.c.actor,
            event.c.kind,
            event.c.subject,
            event.c.before,
            event.c.after,
        )
        .join(event, timeline_history.c.event_id == event.c.id)
        .where(timeline_history.c.service_id == service_id, timeline_history.c.replaced_at > at)
        .order_by(timeline_history.c.version)
        .limit(1)
    )
    return conn.execute(replaced).first()


def decode(conn: Connection, packed: bytes) -> Timeline:
    """The timeline in an access record, with its profiles read from the database."""
    head = record.entry(packed)
    named = {record.step(packed, head, index).profile for index in range(head.segments)}
    return record.timeline(packed, read_profiles(conn, named))
