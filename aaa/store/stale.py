"""Sessions whose Stop was lost and whose device does not come back (shell; a job of the engine)."""

from typing import Final

from sqlalchemy import BigInteger, ColumnElement, cast, exists, literal, select

from aaa.domain.session import SECOND, STALE
from aaa.store.database import Database
from aaa.store.tables import nas_contact, session

MISSED: Final = 3
"""So many interim records in a row must be missing."""

ROUTER_SILENT: Final = 2
"""A router is silent as a whole when it was not heard for so many intervals."""

_BATCH: Final = 500


def close_stale(db: Database, now: int, started_at: int = 0) -> int:
    """Close the sessions without a record for three intervals, at the last counted second; returns how many.

    Not those of a router that is silent as a whole or has been heard again for less than three intervals, as after its
    outage or ours, nor within three intervals of `started_at`, when we began to listen. A later interim record reopens
    the session. May run in several processes at once.
    """
    closed = 0
    while True:
        batch = _close_batch(db, now, started_at)
        closed += batch
        if batch < _BATCH:
            return closed


def _close_batch(db: Database, now: int, started_at: int) -> int:
    silent = (
        select(session.c.id)
        .where(
            session.c.closed_at.is_(None),
            session.c.heard_at <= _before(now, MISSED),
            _before(now, MISSED) >= literal(started_at, BigInteger),
            exists().where(
                nas_contact.c.source == session.c.source,
                nas_contact.c.identifier == session.c.identifier,
                nas_contact.c.heard_since <= _before(now, MISSED),
                nas_contact.c.heard_at >= _before(now, ROUTER_SILENT),
            ),
        )
        .order_by(session.c.key)
        .limit(_BATCH)
        .with_for_update(key_share=True, skip_locked=True)
    )
    with db.write() as conn:
        ids = conn.execute(silent).scalars().all()
        if ids:
            last_second = session.c.started_at + session.c.seconds * SECOND
            conn.execute(session.update().where(session.c.id.in_(ids)).values(closed_at=last_second, closed_by=STALE))
    return len(ids)


def _before(now: int, intervals: int) -> ColumnElement[int]:
    """The instant so many of the session's intervals before `now`."""
    return literal(now, BigInteger) - cast(session.c.interim, BigInteger) * (intervals * SECOND)
