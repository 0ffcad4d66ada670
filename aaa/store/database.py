"""Connections to the database: SQLite (embedded default) or PostgreSQL, behind the same `write` and `read`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnection

from aaa import clock
from aaa.store.pipeline import Meanwhile, Pipeline
from aaa.store.prepared import Direct, Transaction

_READ = "ledgate_read"

DATABASE_AWAY: Final = (DBAPIError, NoConnection, psycopg.Error)
"""What is raised when the database does not do its part: through SQLAlchemy, and past it by `write_prepared`."""


class BadDatabaseUrl(ValueError):
    """The database URL cannot be used; the message names the fault but never the password."""


class Database:
    """An open database. One transaction per `with`: committed at its end, rolled back by an exception."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._reader = engine.execution_options(**{_READ: True})
        isolated = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.is_postgresql else {}
        self._snapshot = engine.execution_options(**{_READ: True}, **isolated)
        self._planned_at = 0.0

    @property
    def is_postgresql(self) -> bool:
        return self.engine.dialect.name == "postgresql"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: `BEGIN IMMEDIATE` on SQLite (its single writer), read committed on PostgreSQL."""
        with self.engine.begin() as conn:
            if not self.is_postgresql:
                conn.execute(_BUMP)
            yield conn

    @contextmanager
    def write_prepared(self, meanwhile: Meanwhile | None = None) -> Iterator[Transaction]:
        """A write transaction of prepared statements only. On PostgreSQL they are a pipeline: a failure may show as
        late as at the end, and it is psycopg's own exception. While they are waited for, `meanwhile` is called."""
        if not self.is_postgresql:
            with self.write() as conn:
                yield Direct(conn)
            return
        lent = self.engine.raw_connection()
        pipeline: Pipeline | None = lent.info.get(_PIPELINE)
        if pipeline is None:
            pipeline = lent.info[_PIPELINE] = Pipeline(cast(Any, lent.driver_connection))
        try:
            moment = clock.monotonic()
            plan_anew = moment - self._planned_at > _PLANNED
            if plan_anew:
                self._planned_at = moment
            pipeline.begin(plan_anew, meanwhile)
            try:
                yield pipeline
                pipeline.commit()
            except BaseException:
                pipeline.rollback()
                raise
        finally:
            if not pipeline.idle:
                lent.invalidate()
            lent.close()

    @contextmanager
    def read_prepared(self) -> Iterator[Transaction]:
        """`write_prepared` for what only reads."""
        if self.is_postgresql:
            with self.write_prepared() as tx:
                yield tx
            return
        with self.read() as conn:
            yield Direct(conn)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read transaction."""
        with self._reader.begin() as conn:
            yield conn

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A read transaction in which all statements see one instant."""
        with self._snapshot.begin() as conn:
            yield conn

    def close(self) -> None:
        self.engine.dispose()


# A database host that vanishes without a word must be noticed in seconds; the URL may say otherwise.
_LINK = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,  # milliseconds
}
_PLANNED = 1.0
"""Seconds that plans are kept: of a table that was empty a moment ago, any plan seems good."""
_PIPELINE = "ledgate_pipeline"
_BUMP = text("UPDATE feed_counter SET value = value + 1")


# Plans are kept, and made for a few rows of tables of any size, whatever statistics say: those of a fresh table are
# missing.
_LOOK_UPS = (
    "SET plan_cache_mode = force_generic_plan",
    "SET enable_seqscan = off",
    "SET enable_bitmapscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET jit = off",
)


def sqlite_file(url: str) -> Path | None:
    """Where an SQLite database is or would be; None for any other."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def open_database(url: str, *, pool_size: int = 5, look_ups: bool = False) -> Database:
    """Open `sqlite:////path` or `postgresql://…` (psycopg 3). Raises BadDatabaseUrl.

    `look_ups`: for a process that only ever looks up some rows by index, and often: it finds out that a connection is
    dead when a statement fails.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadDatabaseUrl(
            "the database URL is not of the form sqlite:////path or postgresql://user@host/name"
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        import pysqlite3.dbapi2

        if not parsed.database or parsed.database == ":memory:":
            raise BadDatabaseUrl("sqlite needs a file: an in-memory database cannot be shared by the processes")
        engine = create_engine(parsed, module=pysqlite3.dbapi2, pool_size=pool_size, connect_args={"timeout": 10.0})
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
    elif backend == "postgresql":
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_size=pool_size,
            max_overflow=5,
            pool_pre_ping=not look_ups,
            pool_reset_on_return=None if look_ups else "rollback",
            connect_args={name: value for name, value in _LINK.items() if name not in parsed.query},
        )
        if look_ups:
            event.listen(engine, "connect", _on_look_up_connect)
    else:
        raise BadDatabaseUrl(f"{backend} is not supported: use sqlite or postgresql")
    return Database(engine)


def _on_sqlite_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin by itself
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_look_up_connect(connection: Any, _record: Any) -> None:
    for setting in _LOOK_UPS:
        connection.execute(setting)
    connection.commit()


def _on_sqlite_begin(conn: Connection) -> None:
    conn.exec_driver_sql("BEGIN" if conn.get_execution_options().get(_READ) else "BEGIN IMMEDIATE")
