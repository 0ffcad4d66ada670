"""The bell: waiting for somebody's commit (shell)."""

import threading
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import PoolProxiedConnection
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
        self._pooled: PoolProxiedConnection | None = None

    def close(self) -> None:
        """Stop listening."""
        if self._pooled is not None:
            self._pooled.close()
            self._pooled = None

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

    def _listening(self) -> psycopg.Connection[tuple[object, ...]]:
        if self._pooled is None:
            pooled = self._database.engine.raw_connection()
            pooled.detach()  # it stays open for as long as we listen: the pool may have another in its place
            self._pooled = pooled
            conn = self._driver(pooled)
            conn.autocommit = True
            conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        return self._driver(self._pooled)

    @staticmethod
    def _driver(pooled: PoolProxiedConnection) -> psycopg.Connection[tuple[object, ...]]:
        driver = pooled.driver_connection
        assert isinstance(driver, psycopg.Connection)
        return driver
