"""Rows that nobody needs after a while (shell)."""

from typing import Final

from sqlalchemy import select

from aaa.clock import DAY
from aaa.store.database import Database
from aaa.store.tables import auth_log

KEEP_LOGINS: Final = 90 * DAY
_BATCH: Final = 5_000


def forget_logins(db: Database, now: int) -> int:
    """Delete login rows older than `KEEP_LOGINS`, in batches so that nobody waits long; returns how many."""
    forgotten = 0
    while True:
        with db.write() as conn:
            old = select(auth_log.c.id).where(auth_log.c.at < now - KEEP_LOGINS).order_by(auth_log.c.at).limit(_BATCH)
            count = conn.execute(auth_log.delete().where(auth_log.c.id.in_(old))).rowcount
        forgotten += count
        if count < _BATCH:
            return forgotten
