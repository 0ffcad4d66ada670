"""How fast routers are told to end sessions: turns that all engines of a database take from the same rows (shell).

A modem that is cut off dials in again, and a router can take only so many of these at a time. `next_at` of a router is
the instant of the next Disconnect that anybody may send it: whoever takes turns moves it on, in a transaction. So
the rate holds for any number of engines, and one that dies takes a few unused turns with it.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlalchemy import bindparam, select

from aaa.coa.turns import Wanted, turns
from aaa.store import dialect
from aaa.store.database import Database
from aaa.store.tables import pace

_NEXT: Final = pace.update().where(pace.c.source == bindparam("of")).values(next_at=bindparam("at"))


class Pace:
    """The routers of one database, by the address that their requests come from."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._known: set[str] = set()

    def take(self, wanted: Mapping[str, Wanted], now: int) -> dict[str, list[int]]:
        """Turns of the near future, if there are any; they are the caller's."""
        self._know(wanted)
        with self._db.write() as conn:
            rows = select(pace.c.source, pace.c.next_at).where(dialect.among(conn, pace.c.source, wanted))
            found = {row.source: row.next_at for row in conn.execute(rows.order_by(pace.c.source).with_for_update())}
            taken = {source: turns(at, now, wanted[source]) for source, at in found.items()}
            moved = [{"of": source, "at": its[-1] + wanted[source].interval} for source, its in taken.items() if its]
            if moved:
                conn.execute(_NEXT, moved)
        return taken

    def _know(self, sources: Iterable[str]) -> None:
        missing = sorted(set(sources) - self._known)
        if missing:
            with self._db.write() as conn:
                made = dialect.upsert(conn, pace).on_conflict_do_nothing()
                conn.execute(made, [{"source": source, "next_at": 0} for source in missing])
            self._known.update(missing)
