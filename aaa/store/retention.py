"""Rows that nobody needs after a while (shell)."""

from typing import Final

from sqlalchemy import Select, Table, select

from aaa.clock import DAY
from aaa.store.database import Database
from aaa.store.tables import attempt, auth_log

KEEP_LOGINS: Final = 90 * DAY
KEEP_ATTEMPTS: Final = 90 * DAY
_BATCH: Final = 5_000


def forget_logins(db: Database, now: int) -> int:
    """Delete login rows older than `KEEP_LOGINS`, in batches so that nobody waits long; returns how many."""
    old = select(auth_log.c.id).where(auth_log.c.at < now - KEEP_LOGINS).order_by(auth_log.c.at).limit(_BATCH)
    return _forget(db, auth_log, old)


def forget_attempts(db: Database, now: int) -> int:
    """The same for what routers were told, `KEEP_ATTEMPTS`."""
    oldest = select(attempt.c.id, attempt.c.at).order_by(attempt.c.id).limit(_BATCH).subquery()
    return _forget(db, attempt, select(oldest.c.id).where(oldest.c.at < now - KEEP_ATTEMPTS))


def _forget(db: Database, table: Table, old: Select[tuple[int]]) -> int:
    forgotten = 0
    while True:
        with db.write() as conn:
            count = conn.execute(table.delete().where(table.c.id.in_(old))).rowcount
        forgotten += count
        if count < _BATCH:
            return forgotten
