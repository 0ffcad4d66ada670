"""Statements that are executed so often that Core's share of it would count; the rest of `aaa.store.dialect`.

Many rows are one statement: arrays on PostgreSQL, executemany on SQLite. They are given by column.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select, Table, Text, any_, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import UpdateBase

from aaa.store import arrays
from aaa.store.dialect import FeedMark, array, feed_mark, is_postgresql

Columns = Mapping[str, Sequence[Any]]
"""Rows: the values of each column, all of the same number."""


class Answer(Protocol):
    """What a statement returned; on PostgreSQL, within `Database.write_at_once`, asking for it waits for it."""

    def fetchall(self) -> Sequence[Any]:
        """All rows."""


Build = Callable[[bool], Select[Any] | UpdateBase]
"""Makes a statement; it is told whether that is for PostgreSQL."""


class Prepared:
    """A statement that is compiled once and that PostgreSQL parses and plans once per connection.

    On PostgreSQL the driver executes the text itself: Core's share of an execution costs more than the database's.
    """

    __slots__ = ("_build", "_core", "_given", "_text")

    def __init__(self, build: Build) -> None:
        self._build = build
        self._core: Select[Any] | UpdateBase | None = None
        self._text: str | None = None
        self._given: dict[str, Any] = {}

    def run(self, conn: Connection, params: dict[str, Any]) -> Answer:
        """Execute with `params`, all that the statement leaves open."""
        if not is_postgresql(conn):
            return conn.execute(self._core_statement(), params)
        if self._text is None:
            self._compile(conn)
        driver = conn.connection.driver_connection
        assert driver is not None
        answer: Answer = driver.execute(self._text, self._given | params, prepare=True)
        return answer

    def run_many(self, conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each row; for SQLite only."""
        conn.execute(self._core_statement(), rows)

    def _core_statement(self) -> Select[Any] | UpdateBase:
        if self._core is None:
            self._core = self._build(False)
        return self._core

    def _compile(self, conn: Connection) -> None:
        compiled: Any = self._build(True).compile(dialect=conn.dialect)
        self._given = dict(compiled.params)
        self._text = str(compiled)


def insert(conn: Connection, table: Table, rows: Columns) -> None:
    """Insert rows."""
    _run_many(conn, _insert(table, tuple(rows)), rows)


@cache
def _insert(table: Table, names: tuple[str, ...]) -> Prepared:
    def build(postgresql: bool) -> UpdateBase:
        return _insert_from_arrays(table, names) if postgresql else table.insert().values(_given(table, names))

    return Prepared(build)


def update(conn: Connection, table: Table, rows: Columns, *, mark: bool) -> None:
    """Update many rows by `id`. Without `mark` the feed is not told of it."""
    _run_many(conn, _update(table, tuple(rows), mark), rows)


@cache
def _update(table: Table, names: tuple[str, ...], mark: bool) -> Prepared:
    def build(postgresql: bool) -> UpdateBase:
        arrays = _arrays(table, names)
        given: Mapping[str, Any] = dict(arrays.c) if postgresql else _given(table, names)
        values = {name: value for name, value in given.items() if name != "id"}
        values["feed"] = feed_mark() if mark else table.c.feed
        return table.update().where(table.c.id == given["id"]).values(values)

    return Prepared(build)


Conflict = Callable[[Table, tuple[str, ...], Any], Mapping[str, Any]]
"""What a row becomes that is there already: given the table, the names of the columns that were to be inserted, and
their values (`excluded`)."""


def upsert(conn: Connection, table: Table, rows: Columns, conflict: Conflict) -> None:
    """Insert rows, or change those that have the same primary key."""
    _run_many(conn, _upsert(table, tuple(rows), conflict), rows)


def add_up(table: Table, names: tuple[str, ...], new: Any) -> Mapping[str, Any]:
    """The `Conflict` that adds the new values to the old ones."""
    return {name: table.c[name] + new[name] for name in names if not table.c[name].primary_key}


@cache
def _upsert(table: Table, names: tuple[str, ...], conflict: Conflict) -> Prepared:
    key = [column.name for column in table.primary_key]

    def build(postgresql: bool) -> UpdateBase:
        insert: Any
        if postgresql:
            insert = _insert_from_arrays(table, names)
        else:
            insert = sqlite.insert(table).values(_given(table, names))
        changes = dict(conflict(table, names, insert.excluded))
        upserting: UpdateBase = insert.on_conflict_do_update(index_elements=key, set_=changes)
        return upserting

    return Prepared(build)


def _run_many(conn: Connection, statement: Prepared, rows: Columns) -> None:
    if not any(rows.values()):
        return
    if is_postgresql(conn):
        statement.run(conn, {f"new_{name}": arrays.literal(values) for name, values in rows.items()})
    else:
        names = [f"new_{name}" for name in rows]
        statement.run_many(conn, [dict(zip(names, row, strict=True)) for row in zip(*rows.values(), strict=True)])


def _insert_from_arrays(table: Table, names: tuple[str, ...]) -> postgresql.Insert:
    marks = [one.name for one in table.c if isinstance(one.type, FeedMark)]
    rows = select(*_arrays(table, names).c, *[feed_mark() for _ in marks])
    return postgresql.insert(table).from_select([*names, *marks], rows)


def _arrays(table: Table, names: tuple[str, ...]) -> Any:
    """Rows given as one array for each column: a statement of the same text for any number of them."""
    given = [array(bindparam(f"new_{name}", type_=Text()), table.c[name]) for name in names]
    columns = [column(name, table.c[name].type) for name in names]
    return func.unnest(*given).table_valued(*columns).render_derived()


def _given(table: Table, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}


def listed(wanted: ColumnElement[Any], name: str, postgresql: bool) -> ColumnElement[bool]:
    """`wanted IN (…)` in a `Prepared` statement; its parameter `name` is what `many` makes of the values."""
    if not postgresql:
        return wanted.in_(bindparam(name, expanding=True))
    return wanted == any_(array(bindparam(name, type_=Text()), wanted))


def many(conn: Connection, values: Iterable[int | str | bytes]) -> Any:
    """Values for `listed`."""
    return arrays.literal(values) if is_postgresql(conn) else list(values)


def ring(conn: Connection, channel: str) -> None:
    """As `dialect.notify`."""
    if is_postgresql(conn):
        _RING.run(conn, {"channel": channel})


_RING = Prepared(lambda _: select(func.pg_notify(bindparam("channel", type_=Text()), "")))
