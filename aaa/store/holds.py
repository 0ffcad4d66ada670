"""The engine's heartbeat, and the hold on cuts while the clock cannot be trusted (R8.4) (shell).

The hold is one row that the replica follows; ended, it stays without its instant.
"""

from typing import NamedTuple

from sqlalchemy import Connection, select

from aaa.domain.clock_watch import Doubt
from aaa.store import dialect
from aaa.store.tables import heartbeat, hold

_ONE = 1


class Hold(NamedTuple):
    """Cuts are held since `since`; `made_at` is what the doubtful clock of `machine` said then. UTC microseconds."""

    since: int
    why: str
    machine: str
    made_at: int


def read_hold(conn: Connection, *, lock: bool = False) -> Hold | None:
    """The hold in force; None if there is none. With `lock` nobody else ends it meanwhile."""
    found = select(hold.c.since, hold.c.why, hold.c.machine, hold.c.made_at).where(hold.c.since.is_not(None))
    row = conn.execute(found.with_for_update() if lock else found).first()
    return None if row is None else Hold(row.since, row.why, row.machine, row.made_at)


def held_since(conn: Connection) -> int:
    """Since when cuts are held, UTC microseconds; 0: they are not."""
    since: int | None = conn.execute(select(hold.c.since)).scalar()
    return since or 0


def trusted(conn: Connection, now: int) -> int:
    """The instant to compile and to judge as of: `now`, but while cuts are held the last that can be trusted."""
    return held_since(conn) or now


def place(conn: Connection, doubt: Doubt, machine: str, now: int) -> bool:
    """Hold cuts; False if they are held already: that hold stays as it is."""
    row = {"id": _ONE, "since": doubt.since, "why": doubt.why[:500], "machine": machine, "made_at": now}
    insert = dialect.upsert(conn, hold).values(row)
    names = ("since", "why", "machine", "made_at")
    put = insert.on_conflict_do_update(
        index_elements=[hold.c.id],
        set_={name: insert.excluded[name] for name in names} | {"feed": dialect.feed_mark()},
        where=hold.c.since.is_(None),
    )
    placed = conn.execute(put.returning(hold.c.id)).first() is not None
    if placed:
        dialect.notify(conn, "ledgate_feed")
    return placed


def lift(conn: Connection) -> None:
    """Hold no cuts any more."""
    conn.execute(hold.update().values(since=None))
    dialect.notify(conn, "ledgate_feed")


class Beat(NamedTuple):
    """What the engine of `machine` said the time was, UTC microseconds."""

    machine: str
    at: int


def beat(conn: Connection, machine: str, now: int) -> Beat | None:
    """Write a heartbeat; returns the one before it."""
    row = conn.execute(select(heartbeat.c.machine, heartbeat.c.at).with_for_update()).first()
    new = {"id": _ONE, "machine": machine, "at": now}
    insert = dialect.upsert(conn, heartbeat).values(new)
    conn.execute(insert.on_conflict_do_update(index_elements=[heartbeat.c.id], set_=new))
    return None if row is None else Beat(row.machine, row.at)
