"""Cuts that wait for a confirmation: money was posted, and only what it worsens is held back (R8.4) (shell).

A service in `held_cut` goes on with its stored timeline for as long as a fresh one would cut it off for money. Anything
else that its facts come to is stored as ever, and ends the waiting: after a payment, or a suspension by hand.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from sqlalchemy import Connection, bindparam, select

from aaa.clock import SECOND
from aaa.store import dialect, record
from aaa.store.tables import access, held_cut

_LATER: Final = 3_600 * SECOND
_PUT_OFF: Final = (
    access.update()
    .where(access.c.service_id == bindparam("held"))
    .values(next_due=bindparam("due"), feed=access.c.feed)
)


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


def put_off(conn: Connection, stored: Mapping[int, bytes | None], now: int) -> None:
    """Have the engine look at these services, by their records, at their next step, or in an hour."""
    if stored:
        conn.execute(_PUT_OFF, [{"held": one, "due": _due(packed, now)} for one, packed in stored.items()])


def _due(packed: bytes | None, now: int) -> int:
    due = now + _LATER
    if packed is not None:
        head = record.entry(packed)
        following = record.step_at(packed, head, now).position + 1
        if following < head.segments:
            due = min(due, record.step(packed, head, following).start)
    return due
