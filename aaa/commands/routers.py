"""Routers with an API: what a change means for them, inside an open change (shell)."""

from sqlalchemy import func, literal, null, select

from aaa.commands.door import Change
from aaa.domain.rank import NEITHER
from aaa.domain.router import FIRST_PORTAL_PORT, LAST_PORTAL_PORT
from aaa.store import dialect
from aaa.store.tables import access, enforcement, nas, router, session


class NoPortalPort(Exception):
    """Every port that a router's redirects may lead to is taken."""


def changed(change: Change, nas_id: int | None = None) -> None:
    """What routers are to hold may have changed: they are compared again soon. With `nas_id` it is that router itself
    that changed; where it has an API, it gets what it needs as a peer: a port of the portal's and a row for its state.
    """
    if nas_id is not None:
        has_api, port = change.conn.execute(
            select(nas.c.api_host.is_not(None), nas.c.portal_port).where(nas.c.id == nas_id)
        ).one()
        if has_api:
            if port is None:
                change.conn.execute(nas.update().where(nas.c.id == nas_id).values(portal_port=_free_port(change)))
            made = dialect.upsert(change.conn, router).values(nas_id=nas_id)
            change.conn.execute(made.on_conflict_do_nothing())
        concerned = router.c.nas_id == nas_id
    else:
        concerned = router.c.due_at > change.now
    change.conn.execute(router.update().where(concerned).values(due_at=change.now))


def lever_changed(change: Change, nas_id: int) -> None:
    """Who is online there came onto lists by another lever than the one that counts now: all are planned again."""
    live = (
        select(
            session.c.id,
            session.c.service_id,
            null().label("event_id"),
            access.c.version,
            literal("nas").label("cause"),
            literal(change.now).label("requested_at"),
            literal(change.now).label("not_before"),
            literal(0).label("tries"),
            literal(NEITHER).label("rank"),
        )
        .join(access, access.c.service_id == session.c.service_id)
        .where(session.c.nas_id == nas_id, session.c.closed_at.is_(None))
        .order_by(session.c.id)
    )
    names = ("event_id", "wanted_version", "cause", "requested_at", "not_before", "tries", "rank")
    insert = dialect.upsert(change.conn, enforcement).from_select(["session_id", "service_id", *names], live)
    newer = {name: insert.excluded[name] for name in names} | {"feed": dialect.feed_mark()}
    change.conn.execute(insert.on_conflict_do_update(index_elements=[enforcement.c.session_id], set_=newer))


def _free_port(change: Change) -> int:
    """The one above the highest; once that is the last, the lowest that is free."""
    change.lock_scopes()  # one at a time
    highest = change.conn.execute(select(func.max(nas.c.portal_port))).scalar()
    if highest is None:
        return FIRST_PORTAL_PORT
    if highest < LAST_PORTAL_PORT:
        return int(highest) + 1
    taken = set(change.conn.execute(select(nas.c.portal_port)).scalars())
    for port in range(FIRST_PORTAL_PORT, LAST_PORTAL_PORT + 1):
        if port not in taken:
            return port
    raise NoPortalPort(f"{LAST_PORTAL_PORT - FIRST_PORTAL_PORT + 1} routers have a port of the portal already")
