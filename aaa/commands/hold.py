"""Ending the hold on cuts, once the clock can be trusted again (R8.4) (shell)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from aaa.commands.breaker import count_allowed
from aaa.commands.door import change
from aaa.commands.recompile import renewal_at
from aaa.debit.impact import limit
from aaa.domain.timeline import Verdict
from aaa.store import dialect, holds, record
from aaa.store.database import Database
from aaa.store.holds import Hold
from aaa.store.settings import read_settings
from aaa.store.tables import access

_CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A hold and what its end would do: how many services it would cut off, how many are allowed now, and how many may
    be cut off without a confirmation. `touched` are the services that the hold treats otherwise than the clock would.
    """

    hold: Hold
    cut: int
    allowed: int
    limit: int
    touched: Sequence[int]


class StillHeld(Exception):
    """The hold was not ended, for that would cut off too many: it needs `waiting.cut` as its confirmation."""

    def __init__(self, waiting: Waiting, confirmed: int | None) -> None:
        self.waiting = waiting
        told = "" if confirmed is None else f", not the {confirmed} that were confirmed"
        super().__init__(
            f"this would cut off {waiting.cut} services{told}; without a confirmation it may be {waiting.limit}: "
            f"cuts are still held, confirm with --yes-cut {waiting.cut}"
        )


def waiting(db: Database, now: int) -> Waiting | None:
    """The hold in force and what waits for its end; None if there is none. Reads every record."""
    cut = 0
    touched: list[int] = []
    with db.read() as conn:
        hold = holds.read_hold(conn)
        if hold is None:
            return None
        settings = read_settings(conn)
        stored = select(access.c.service_id, access.c.record).where(access.c.record.is_not(None))
        for service_id, packed in conn.execute(stored, execution_options={"yield_per": 10 * _CHUNK}):
            head = record.entry(packed)
            served, clocked = record.step_held(packed, head, now, hold.since), record.step_at(packed, head, now)
            cut += int(served.verdict == Verdict.ALLOW and clocked.verdict != Verdict.ALLOW)
            renewal = renewal_at(record.step(packed, head, 0).start, head.horizon, service_id)
            same = (served.position, served.verdict_end) == (clocked.position, clocked.verdict_end)
            if not same or renewal <= now:
                touched.append(service_id)
    allowed = count_allowed(db, now)
    return Waiting(hold, cut, allowed, limit(allowed, settings), touched)


def release(db: Database, confirmed: int | None, *, actor: str, now: int) -> Waiting | None:
    """Let the boundaries act that were held, as the clock says now; returns what was found, None if nothing is held.

    The engine plans the services' live sessions anew. Raises StillHeld if too many would be cut off, unless exactly so
    many are `confirmed`.
    """
    found = waiting(db, now)
    if found is None:
        return None
    if found.cut > found.limit and found.cut != confirmed:
        raise StillHeld(found, confirmed)
    with change(db, actor=actor, now=now) as door:
        hold = holds.read_hold(door.conn, lock=True)
        if hold != found.hold:
            return None  # somebody else was quicker
        holds.lift(door.conn)
        told = {"since": hold.since, "why": hold.why, "machine": hold.machine}
        door.event("release-hold", "server", told, {"cut": found.cut})
        ids = sorted(found.touched)
        for at in range(0, len(ids), _CHUNK):
            rows = access.update().where(dialect.among(door.conn, access.c.service_id, ids[at : at + _CHUNK]))
            # With a new mark: a Disconnect waits for the replicas that do not know yet that the hold is over.
            door.conn.execute(rows.values(next_due=now))
    return found
