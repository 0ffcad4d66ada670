"""Cuts that wait for a confirmation: money was posted, and only what it worsens is held back (R8.4) (shell).

A service in `held_cut` is compiled as if money did not count, for as long as that would block it: whatever else its
facts come to acts as ever. A payment that helps ends the waiting.
"""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, select

from aaa.store import dialect
from aaa.store.tables import held_cut


def held_among(conn: Connection, service_ids: Collection[int]) -> set[int]:
    """Those of these services whose cut waits."""
    return set(
        conn.execute(
            select(held_cut.c.service_id).where(dialect.among(conn, held_cut.c.service_id, service_ids))
        ).scalars()
    )


def hold(conn: Connection, service_ids: Iterable[int], event: int, now: int) -> None:
    """Let the cut of these services wait; `event` is what would cut them off. Those that wait already go on."""
    rows = [{"service_id": one, "event_id": event, "since": now} for one in sorted(service_ids)]
    if rows:
        conn.execute(dialect.upsert(conn, held_cut).on_conflict_do_nothing(), rows)


def release(conn: Connection, service_ids: Collection[int]) -> None:
    """Let these services wait no longer."""
    if service_ids:
        conn.execute(held_cut.delete().where(dialect.among(conn, held_cut.c.service_id, service_ids)))
