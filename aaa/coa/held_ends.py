"""Longer Session-Timeouts for live sessions while cuts are held (R8.4) (shell)."""

from typing import Final

from sqlalchemy import literal, null, select

from aaa.clock import SECOND
from aaa.domain.rank import NEITHER
from aaa.store import dialect
from aaa.store.database import Database
from aaa.store.holds import held_since
from aaa.store.tables import access, enforcement, session

_AHEAD: Final = 3_600 * SECOND
"""How long before its end a session is told a later one; a plan puts off what is longer (aaa.coa.plan)."""


def extend(db: Database, now: int) -> int:
    """Have the live sessions planned again whose given end comes within an hour, if it lies after the instant since
    which cuts are held; returns how many those are. What is planned already stays so.
    """
    with db.read() as conn:
        since = held_since(conn)
    if not since:
        return 0
    with db.write() as conn:
        ending = (
            select(
                session.c.id,
                session.c.service_id,
                null().label("event_id"),
                access.c.version,
                literal("hold").label("cause"),
                literal(now).label("requested_at"),
                literal(now).label("not_before"),
                literal(0).label("tries"),
                literal(NEITHER).label("rank"),
                access.c.feed,
            )
            .join(access, access.c.service_id == session.c.service_id)
            .where(session.c.closed_at.is_(None), session.c.given_end > since, session.c.given_end <= now + _AHEAD)
            .order_by(session.c.id)
        )
        names = ("event_id", "wanted_version", "cause", "requested_at", "not_before", "tries", "rank", "feed")
        insert = dialect.upsert(conn, enforcement).from_select(["session_id", "service_id", *names], ending)
        asked = conn.execute(insert.on_conflict_do_nothing().returning(enforcement.c.session_id)).all()
        dialect.notify(conn, "ledgate_engine")
    return len(asked)
