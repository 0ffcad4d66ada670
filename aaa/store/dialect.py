"""Everything that differs between PostgreSQL and SQLite, in one place."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Table,
    Text,
    any_,
    cast,
    literal,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement
from sqlalchemy.types import UserDefinedType

from aaa.store import arrays

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


postgresql.base.ischema_names["xid8"] = FeedMark  # so that reflection knows the type


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


class feed_position(FunctionElement[str]):
    """How far this transaction sees: text to keep, and to compare feed marks with. A `pg_snapshot` on PostgreSQL,
    where marks commit out of order; the counter on SQLite."""

    type = Text()
    inherit_cache = True
    name = "feed_position"


@compiles(feed_position, "postgresql")
def _feed_position_postgresql(element: feed_position, compiler: Any, **kw: Any) -> str:
    return "CAST(pg_current_snapshot() AS text)"


@compiles(feed_position, "sqlite")
def _feed_position_sqlite(element: feed_position, compiler: Any, **kw: Any) -> str:
    return "CAST((SELECT value FROM feed_counter) AS text)"


class feed_lineage(FunctionElement[str]):
    """Which history the positions belong to. Beside the epoch that a restore renews, PostgreSQL itself tells a
    cluster, a database in it and a timeline of its log (a failover may have lost commits) from any other."""

    type = Text()
    inherit_cache = True
    name = "feed_lineage"


@compiles(feed_lineage, "postgresql")
def _feed_lineage_postgresql(element: feed_lineage, compiler: Any, **kw: Any) -> str:
    return (
        "(SELECT concat_ws('/', epoch, (SELECT system_identifier FROM pg_control_system()),"
        " (SELECT oid FROM pg_database WHERE datname = current_database()),"
        " substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)) FROM feed_counter)"
    )


@compiles(feed_lineage, "sqlite")
def _feed_lineage_sqlite(element: feed_lineage, compiler: Any, **kw: Any) -> str:
    return "(SELECT epoch FROM feed_counter)"


class changed_after(FunctionElement[bool]):
    """`changed_after(mark, position)`: the mark's transaction was not seen at that position. The first half is what an
    index on the marks can answer."""

    type = Boolean()
    inherit_cache = True
    name = "changed_after"


@compiles(changed_after, "postgresql")
def _changed_after_postgresql(element: changed_after, compiler: Any, **kw: Any) -> str:
    mark, position = (compiler.process(clause, **kw) for clause in element.clauses)
    snapshot = f"CAST({position} AS pg_snapshot)"
    return f"({mark} >= pg_snapshot_xmin({snapshot}) AND NOT pg_visible_in_snapshot({mark}, {snapshot}))"


@compiles(changed_after, "sqlite")
def _changed_after_sqlite(element: changed_after, compiler: Any, **kw: Any) -> str:
    mark, position = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({mark} > CAST({position} AS integer))"


class included_in(FunctionElement[bool]):
    """`included_in(mark, position)`: the mark's transaction was seen at that position."""

    type = Boolean()
    inherit_cache = True
    name = "included_in"


@compiles(included_in, "postgresql")
def _included_in_postgresql(element: included_in, compiler: Any, **kw: Any) -> str:
    mark, position = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"pg_visible_in_snapshot({mark}, CAST({position} AS pg_snapshot))"


@compiles(included_in, "sqlite")
def _included_in_sqlite(element: included_in, compiler: Any, **kw: Any) -> str:
    mark, position = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"({mark} <= CAST({position} AS integer))"


def went_back(position: str, since: str) -> bool:
    """Whether `position` is older than `since`: the database is not the one that `since` was read from."""
    return _reach(position) < _reach(since)


def _reach(position: str) -> int:
    """The first mark beyond a position: `xmin:xmax:running` on PostgreSQL, else the counter itself."""
    return int(position.split(":")[1]) if ":" in position else int(position)


def prefer_indexes(conn: Connection) -> None:
    """For this transaction, use an index wherever there is one: statistics lag behind a table that has just been
    filled."""
    if is_postgresql(conn):
        conn.execute(text("SET LOCAL enable_seqscan = off"))


Upsert = postgresql.Insert | sqlite.Insert


def upsert(conn: Connection, table: Table) -> Any:
    """`INSERT` with `on_conflict_do_update`, `on_conflict_do_nothing` and `excluded`, in the connection's dialect."""
    return postgresql.insert(table) if is_postgresql(conn) else sqlite.insert(table)


def is_postgresql(conn: Connection) -> bool:
    return conn.dialect.name == "postgresql"


def new_ids(conn: Connection, table: Table, count: int) -> Sequence[int]:
    """`count` fresh ids for `table`, in ascending order, so that rows can be sealed under their id before they are
    inserted.
    """
    if count == 0:
        return ()
    if is_postgresql(conn):
        sequence = f"{table.name}_id_seq"
        drawn = conn.execute(
            text("SELECT nextval(CAST(:sequence AS regclass)) FROM generate_series(1, :count)"),
            {"sequence": f'"{sequence}"', "count": count},
        )
        return sorted(drawn.scalars())
    first = (
        conn.execute(table.select().with_only_columns(table.c.id).order_by(table.c.id.desc()).limit(1)).scalar() or 0
    )
    return range(first + 1, first + 1 + count)


def insert_many(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert many rows, all with the same keys in the same order: COPY on PostgreSQL, executemany on SQLite."""
    if not rows:
        return
    if not is_postgresql(conn):
        conn.execute(table.insert(), rows)
        return
    names = list(rows[0])
    columns = [table.c[name] for name in names]
    as_json = [at for at, column in enumerate(columns) if isinstance(column.type, JSON)]
    marks: list[Any] = []
    for other in table.c:
        if isinstance(other.type, FeedMark) and other.name not in names:
            columns.append(other)
            marks.append(conn.execute(select(feed_mark())).scalar_one())
    copy = _copy_statement(table.name, [column.name for column in columns])
    driver = conn.connection.driver_connection
    assert driver is not None
    with driver.cursor() as cursor, cursor.copy(copy) as stream:
        for row in rows:
            values = [*row.values(), *marks]
            for at in as_json:
                values[at] = json.dumps(values[at]) if values[at] is not None else "null"
            stream.write_row(values)


def among(conn: Connection, wanted: ColumnElement[Any], values: Iterable[int | str | bytes]) -> ColumnElement[bool]:
    """`wanted IN (values)` for many values: one array on PostgreSQL, so that the statement stays the same.

    The array is read once, in a query of its own, and the planner takes it for short: it prefers an index.
    """
    if is_postgresql(conn):
        array = postgresql.ARRAY(wanted.type)
        given = select(cast(literal(arrays.literal(values), Text()), array)).scalar_subquery()
        return wanted == any_(cast(given, array))
    return wanted.in_(list(values))


def _copy_statement(table: str, columns: Sequence[str]) -> Any:
    from psycopg import sql

    names = sql.SQL(", ").join(sql.Identifier(column) for column in columns)
    return sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)


def notify(conn: Connection, channel: str) -> None:
    """Wake those who LISTEN on `channel` when this transaction commits; SQLite has no such bell, its readers poll."""
    if is_postgresql(conn):
        conn.execute(text("SELECT pg_notify(:channel, '')"), {"channel": channel})


_SCOPES = 0x4C65_6467


def lock_scopes(conn: Connection) -> None:
    """Wait until no other transaction holds this lock, and hold it to the end of this one; SQLite has one writer."""
    if is_postgresql(conn):
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCOPES})
