"""Statements that are executed so often that Core's share of it would count; the rest of `aaa.store.dialect`.

Many rows are one statement: arrays on PostgreSQL, executemany on SQLite. They are given by column.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import ColumnElement, Connection, Select, Table, Text, any_, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import UpdateBase

from aaa.store import arrays
from aaa.store.dialect import FeedMark, feed_mark

Columns = Mapping[str, Sequence[Any]]
"""Rows: the values of each column, all of the same number."""


class Answer(Protocol):
    """What a statement returned. On PostgreSQL asking for it waits, also for the statements before it."""

    def fetchall(self) -> Sequence[Any]:
        """All rows."""


class Transaction(Protocol):
    """A write transaction of `Prepared` statements only; see `Database.write_prepared`."""

    @property
    def postgresql(self) -> bool:
        """Whether it is one of PostgreSQL, else of SQLite."""

    def run(self, statement: "Prepared", params: dict[str, Any]) -> Answer:
        """Execute with `params`, all that the statement leaves open."""


Build = Callable[[bool], Select[Any] | UpdateBase]
"""Makes a statement; it is told whether that is for PostgreSQL."""

_DOLLARS: Final = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class Prepared:
    """A statement that is compiled once and that PostgreSQL parses once per connection. Core's share of an execution
    would cost more than the database's."""

    __slots__ = ("_build", "_compiled", "_core")

    def __init__(self, build: Build) -> None:
        self._build = build
        self._core: Select[Any] | UpdateBase | None = None
        self._compiled: Compiled | None = None

    def core(self) -> Select[Any] | UpdateBase:
        """For SQLite."""
        if self._core is None:
            self._core = self._build(False)
        return self._core

    def compiled(self) -> "Compiled":
        """For PostgreSQL."""
        if self._compiled is None:
            made: Any = self._build(True).compile(dialect=_DOLLARS)
            self._compiled = Compiled(str(made).encode(), tuple(made.positiontup), dict(made.params))
        return self._compiled


class Compiled(NamedTuple):
    """A statement's text, with `$1` and so on for its parameters; their names; and what those are that it knows."""

    text: bytes
    order: tuple[str, ...]
    known: dict[str, Any]

    def values(self, given: Mapping[str, Any]) -> list[bytes | None]:
        """The parameters, in the database's text format."""
        values = [given[name] if name in given else self.known[name] for name in self.order]
        return [None if value is None else str(value).encode() for value in values]


class Direct:
    """The `Transaction` of SQLite."""

    postgresql: Final = False

    def __init__(self, conn: Connection) -> None:
        self.conn = conn

    def run(self, statement: Prepared, params: dict[str, Any]) -> Answer:
        """As `Transaction.run`."""
        return self.conn.execute(statement.core(), params)

    def run_many(self, statement: Prepared, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute once for each row."""
        self.conn.execute(statement.core(), rows)


def insert(tx: Transaction, table: Table, rows: Columns) -> None:
    """Insert rows."""
    _run_many(tx, _insert(table, tuple(rows)), rows)


@cache
def _insert(table: Table, names: tuple[str, ...]) -> Prepared:
    def build(postgresql: bool) -> UpdateBase:
        return _insert_from_arrays(table, names) if postgresql else table.insert().values(_given(table, names))

    return Prepared(build)


def update(tx: Transaction, table: Table, rows: Columns, *, mark: bool, key: str = "id") -> None:
    """Update many rows by their `key`. Without `mark` the feed is not told of it."""
    _run_many(tx, _update(table, tuple(rows), mark, key), rows)


@cache
def _update(table: Table, names: tuple[str, ...], mark: bool, key: str) -> Prepared:
    def build(postgresql: bool) -> UpdateBase:
        arrays = _arrays(table, names)
        given: Mapping[str, Any] = dict(arrays.c) if postgresql else _given(table, names)
        values = {name: value for name, value in given.items() if name != key}
        values["feed"] = feed_mark() if mark else table.c.feed
        return table.update().where(table.c[key] == given[key]).values(values)

    return Prepared(build)


Conflict = Callable[[Table, tuple[str, ...], Any], Mapping[str, Any]]
"""What a row becomes that is there already: given the table, the names of the columns that were to be inserted, and
their values (`excluded`)."""


def upsert(tx: Transaction, table: Table, rows: Columns, conflict: Conflict) -> None:
    """Insert rows, or change those that have the same primary key."""
    _run_many(tx, _upsert(table, tuple(rows), conflict), rows)


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


def _run_many(tx: Transaction, statement: Prepared, rows: Columns) -> None:
    if not any(rows.values()):
        return
    if isinstance(tx, Direct):
        names = [f"new_{name}" for name in rows]
        tx.run_many(statement, [dict(zip(names, row, strict=True)) for row in zip(*rows.values(), strict=True)])
    else:
        tx.run(statement, {f"new_{name}": arrays.literal(values) for name, values in rows.items()})


def _insert_from_arrays(table: Table, names: tuple[str, ...]) -> postgresql.Insert:
    marks = [one.name for one in table.c if isinstance(one.type, FeedMark)]
    rows = select(*_arrays(table, names).c, *[feed_mark() for _ in marks])
    return postgresql.insert(table).from_select([*names, *marks], rows)


def _arrays(table: Table, names: tuple[str, ...]) -> Any:
    """Rows given as one array for each column: a statement of the same text for any number of them."""
    given = [bindparam(f"new_{name}", type_=postgresql.ARRAY(table.c[name].type)) for name in names]
    columns = [column(name, table.c[name].type) for name in names]
    return func.unnest(*given).table_valued(*columns).render_derived()


def _given(table: Table, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in names}


def listed(wanted: ColumnElement[Any], name: str, for_postgresql: bool) -> ColumnElement[bool]:
    """`wanted IN (…)` in a `Prepared` statement; its parameter `name` is what `many` makes of the values."""
    if not for_postgresql:
        return wanted.in_(bindparam(name, expanding=True))
    return wanted == any_(bindparam(name, type_=postgresql.ARRAY(wanted.type)))


def many(tx: Transaction, values: Iterable[int | str | bytes]) -> Any:
    """Values for `listed`."""
    return arrays.literal(values) if tx.postgresql else list(values)


def ring(tx: Transaction, channel: str) -> None:
    """As `dialect.notify`."""
    if tx.postgresql:
        tx.run(_RING, {"channel": channel})


_RING = Prepared(lambda _: select(func.pg_notify(bindparam("channel", type_=Text()), "")))
