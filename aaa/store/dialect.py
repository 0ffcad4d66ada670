"""Everything that differs between PostgreSQL and SQLite, in one place."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, LargeBinary, Table, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import UserDefinedType

Id = BigInteger().with_variant(Integer(), "sqlite")
"""A row id: 64 bits; SQLite numbers only INTEGER primary keys by itself."""

Bytes = LargeBinary().with_variant(postgresql.BYTEA(), "postgresql")


class FeedMark(UserDefinedType[Any]):
    """The transaction that wrote a row: `xid8` on PostgreSQL, a counter on SQLite. Only the feed reads it."""

    cache_ok = True


@compiles(FeedMark, "postgresql")
def _feed_mark_postgresql(element: FeedMark, compiler: Any, **kw: Any) -> str:
    return "XID8"


@compiles(FeedMark, "sqlite")
def _feed_mark_sqlite(element: FeedMark, compiler: Any, **kw: Any) -> str:
    return "INTEGER"


class feed_mark(FunctionElement[Any]):
    """The mark of the present write transaction, for `feed` columns."""

    type = FeedMark()
    inherit_cache = True
    name = "feed_mark"


@compiles(feed_mark, "postgresql")
def _present_mark_postgresql(element: feed_mark, compiler: Any, **kw: Any) -> str:
    return "pg_current_xact_id()"


@compiles(feed_mark, "sqlite")
def _present_mark_sqlite(element: feed_mark, compiler: Any, **kw: Any) -> str:
    return "(SELECT value FROM feed_counter)"


Upsert = postgresql.Insert | sqlite.Insert


def upsert(conn: Connection, table: Table) -> Any:
    """`INSERT` that takes `on_conflict_do_update`/`on_conflict_do_nothing` and `excluded`, in the connection's dialect."""
    return postgresql.insert(table) if is_postgresql(conn) else sqlite.insert(table)


def is_postgresql(conn: Connection) -> bool:
    return conn.dialect.name == "postgresql"


def new_ids(conn: Connection, table: Table, count: int) -> Sequence[int]:
    """`count` fresh ids for `table`, in ascending order, so that rows can be sealed under their id before they are inserted."""
    if count == 0:
        return ()
    if is_postgresql(conn):
        sequence = f"{table.name}_id_seq"
        drawn = conn.execute(
            text("SELECT nextval(CAST(:sequence AS regclass)) FROM generate_series(1, :count)"),
            {"sequence": f'"{sequence}"', "count": count},
        )
        return sorted(drawn.scalars())
    first = conn.execute(table.select().with_only_columns(table.c.id).order_by(table.c.id.desc()).limit(1)).scalar() or 0
    return range(first + 1, first + 1 + count)


def notify(conn: Connection, channel: str) -> None:
    """Wake those who LISTEN on `channel` when this transaction commits; SQLite has no such bell, its readers poll."""
    if is_postgresql(conn):
        conn.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})
