"""The bell: waiting for somebody's commit (shell)."""

import threading
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy.exc import DBAPIError, TimeoutError

from aaa.store.database import Database

FEED: Final = "ledgate_feed"
ENGINE: Final = "ledgate_engine"


class Bell:
    """Wakes early when `channel` is notified on PostgreSQL. On SQLite, or while PostgreSQL is away, it only waits: who
    uses it looks for itself each time it returns."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._conn: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Stop listening."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def wait(self, seconds: float, stop: threading.Event) -> None:
        """Return when the channel was notified, or after `seconds`; while it only waits, also when `stop` is set."""
        if not self._database.is_postgresql:
            stop.wait(seconds)
            return
        try:
            for _ in self._listening().notifies(timeout=seconds, stop_after=1):
                return
        except (psycopg.Error, DBAPIError, TimeoutError):
            self.close()
            stop.wait(seconds)

    def _listening(self) -> psycopg.Connection[Any]:
        if self._conn is None:
            pooled = self._database.engine.raw_connection()
            conn = pooled.driver_connection
            assert isinstance(conn, psycopg.Connection)
            pooled.detach()  # ours for as long as we listen: the pool may have another in its place
            self._conn = conn
            conn.autocommit = True
            conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        return self._conn
