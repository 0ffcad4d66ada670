"""Looking things up by the names people use (shell)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, or_, select

from aaa.store.replica import NasRow
from aaa.store.tables import attempt, nas, service, session, suspension, visp


class NotFound(LookupError):
    """No such object, or more than one; the message says which name and what to do."""


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """A service as found by its name."""

    service_id: int
    account_id: int
    username: str
    visp_id: int
    visp: str
    currency: str
    timezone: str


def find_service(conn: Connection, name: str) -> ServiceRef:
    """`username` where it is unambiguous, else `username@realm` or `username@visp`. Raises NotFound."""
    user, _, realm = name.rpartition("@")
    wanted = service.c.username == name
    if user:
        there = or_(func.lower(visp.c.realm) == realm.lower(), visp.c.name == realm)
        wanted = or_(wanted, (service.c.username == user) & there)
    rows: Sequence[Any] = conn.execute(
        select(
            service.c.id,
            service.c.account_id,
            service.c.username,
            visp.c.id.label("visp_id"),
            visp.c.name.label("visp"),
            visp.c.realm,
            visp.c.currency,
            visp.c.timezone,
        )
        .join(visp, service.c.visp_id == visp.c.id)
        .where(wanted)
        .limit(3)
    ).all()
    if not rows:
        raise NotFound(f"no subscriber is called {name!r}")
    if len(rows) > 1:
        places = ", ".join(f"{row.username}@{row.realm or row.visp}" for row in rows)
        raise NotFound(f"{name!r} is the name of several subscribers: say which, as {places}")
    [row] = rows
    return ServiceRef(row.id, row.account_id, row.username, row.visp_id, row.visp, row.currency, row.timezone)


def open_sessions(conn: Connection, service_id: int | None = None) -> Sequence[Any]:
    """Every live session, of one service or of all, with its NAS's name, oldest first."""
    found = select(session, nas.c.name.label("nas")).join(nas, session.c.nas_id == nas.c.id)
    if service_id is not None:
        found = found.where(session.c.service_id == service_id)
    return conn.execute(found.where(session.c.closed_at.is_(None)).order_by(session.c.started_at)).all()


def attempts(conn: Connection, service_id: int | None, last: int) -> Sequence[Any]:
    """The `last` things that routers were told of live sessions, of one service or of all, newest first."""
    found = (
        select(attempt, session.c.username, session.c.acct_session_id, nas.c.name.label("nas"))
        .join(session, session.c.id == attempt.c.session_id)
        .join(nas, nas.c.id == session.c.nas_id)
    )
    if service_id is not None:
        found = found.where(session.c.service_id == service_id)
    return conn.execute(found.order_by(attempt.c.id.desc()).limit(last)).all()


def suspension_rows(conn: Connection, service_id: int) -> Sequence[Any]:
    """Every suspension that a service ever had, oldest first (R4.10)."""
    held = select(suspension).where(suspension.c.service_id == service_id)
    return conn.execute(held.order_by(suspension.c.id)).all()


def nas_rows(conn: Connection) -> list[NasRow]:
    """Every router in use, as the replica has it."""
    columns = [nas.c[name] for name in NasRow._fields]
    return [NasRow(*row) for row in conn.execute(select(*columns).where(nas.c.removed.is_(False)).order_by(nas.c.id))]
