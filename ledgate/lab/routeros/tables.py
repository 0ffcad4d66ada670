"""The rows of one menu, in their order. Pure: `now` is an argument, UTC microseconds.

Ids count up and are never given twice. Whoever listens is told of each row that is added, changed or removed.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from ledgate.lab.routeros.menus import Menu
from ledgate.lab.routeros.query import Query
from ledgate.lab.routeros.trap import failure, no_such_item
from ledgate.lab.routeros.values import Version, print_time

Item = dict[str, str]
"""A row as print shows it."""
Live = Callable[[int], Mapping[str, str]]
"""Properties at an instant, as print shows them."""


class Row:
    """A row: what was set, by property. `until`: the instant at which it vanishes, 0 for never, printed as `timeout`.
    `live` gives, at an instant, the properties that never stand still. A row with an `owner` was made by the router
    itself, for what the word says; only the router changes it or takes it away.
    """

    __slots__ = ("live", "number", "owner", "until", "values")

    def __init__(self, number: int, values: Item, until: int, live: Live | None, owner: str) -> None:
        self.number = number
        self.values = values
        self.until = until
        self.live = live
        self.owner = owner

    @property
    def id(self) -> str:
        return f"*{self.number:X}"

    @property
    def dynamic(self) -> bool:
        return self.values.get("dynamic") == "true"


Watcher = Callable[[Row, bool], None]
"""Told of a row that is new or has changed, or (True) that is no more."""


class Table:
    """The rows of a menu in the order in which they count."""

    def __init__(self, menu: Menu, version: Version) -> None:
        self.menu = menu
        self.version = version
        self.rows: dict[int, Row] = {}
        self.watchers: list[Watcher] = []
        self._last = 0
        self._indexed = menu.indexed | {".id"}
        self._places: dict[str, dict[str, dict[int, None]]] = {name: {} for name in menu.indexed}
        self._unique: dict[tuple[str, ...], int] = {}
        self._deaths: list[tuple[int, int]] = []  # of rows that vanish, soonest first; stale where a row has changed
        self.defaults: Final = {
            name: field.default
            for name, field in menu.fields.items()
            if field.default is not None and field.known(version)
        }

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows.values())

    def append(
        self,
        values: Mapping[str, str],
        *,
        before: Row | None = None,
        until: int = 0,
        live: Live | None = None,
        owner: str = "",
    ) -> Row:
        """A new row at the end or before another one. `values` are as print shows them. Raises Trap if there is one
        like it.
        """
        filled = {**self.defaults, **values}
        self._refuse_twin(filled, None)
        self._last += 1
        row = Row(self._last, filled, until, live, owner)
        self.rows[row.number] = row
        if before is not None:
            self._move_to([row], before)
        self._note(row)
        self._tell(row, gone=False)
        return row

    def change(
        self, row: Row, values: Mapping[str, str], without: Iterable[str] = (), until: int | None = None
    ) -> None:
        """Set properties of a row and take others from it. Raises Trap if that makes it like another one."""
        filled = {**row.values, **values}
        for name in without:
            filled.pop(name, None)
            if name in self.defaults:
                filled[name] = self.defaults[name]
        self._refuse_twin(filled, row)
        self._forget(row)
        row.values = filled
        if until is not None:
            row.until = until
        self._note(row)
        self._tell(row, gone=False)

    def remove(self, row: Row) -> None:
        self._forget(row)
        del self.rows[row.number]
        self._tell(row, gone=True)

    def move(self, rows: list[Row], before: Row | None) -> None:
        """Put rows, in this order, before another one or at the end."""
        if before is not None and before in rows:
            raise failure("cannot move an item before itself")
        self._move_to(rows, before)
        for row in rows:
            self._tell(row, gone=False)

    def find(self, reference: str) -> Row:
        """The row of an id (*1F) or, where rows have names, of a name. Raises Trap."""
        if reference.startswith("*"):
            number = _number_of(reference)
            if number in self.rows:
                return self.rows[number]
        elif reference and "name" in self.menu.fields:
            for row in self.where(name=reference):
                return row
        raise no_such_item()

    def where(self, **properties: str) -> list[Row]:
        """The rows with these properties; `_` in a name stands for `-`."""
        wanted = {name.replace("_", "-"): value for name, value in properties.items()}
        query = Query([f"?={name}={value}" for name, value in wanted.items()])
        return [row for row in self._candidates(query) if wanted.items() <= row.values.items()]

    def selected(self, query: Query, now: int) -> Iterator[tuple[Row, Item]]:
        """The rows that a query takes, as print shows them, in order."""
        for row in self._candidates(query):
            item = self.item(row, now)
            if query.matches(item):
                yield row, item

    def item(self, row: Row, now: int) -> Item:
        """A row as print shows it at an instant."""
        item = {".id": row.id, **row.values}
        if row.until:
            item["timeout"] = print_time(max(0, row.until - now) // 1_000_000 * 1_000_000, self.version)
        if row.live is not None:
            item.update(row.live(now))
        return item

    def expire(self, now: int) -> None:
        """Remove the rows whose time has come."""
        while (due := self.next_expiry()) is not None and due <= now:
            self.remove(self.rows[self._deaths[0][1]])

    def next_expiry(self) -> int | None:
        """The instant at which the next row vanishes."""
        while self._deaths:
            until, number = self._deaths[0]
            row = self.rows.get(number)
            if row is not None and row.until == until:
                return until
            heapq.heappop(self._deaths)
        return None

    def _candidates(self, query: Query) -> list[Row]:
        buckets = query.buckets(self._indexed)
        if buckets is None:
            return list(self.rows.values())
        found = {number for name, value in buckets for number in self._numbers(name, value)}
        if len(found) > 1 and self.menu.kind == "ordered":
            return [row for number, row in self.rows.items() if number in found]
        return [self.rows[number] for number in sorted(found)]

    def _numbers(self, name: str, value: str) -> Iterable[int]:
        if name != ".id":
            return self._places[name].get(value, ())
        number = _number_of(value)
        return () if number is None or number not in self.rows else (number,)

    def _move_to(self, rows: list[Row], before: Row | None) -> None:
        moving = {row.number: row for row in rows}
        ordered: dict[int, Row] = {}
        for number, row in self.rows.items():
            if before is not None and number == before.number:
                ordered.update(moving)
            if number not in moving:
                ordered[number] = row
        if before is None:
            ordered.update(moving)
        self.rows = ordered

    def _refuse_twin(self, values: Item, row: Row | None) -> None:
        key = self._key(values)
        if key is not None:
            twin = self._unique.get(key)
            if twin is not None and (row is None or twin != row.number):
                raise failure("already have such entry")

    def _key(self, values: Item) -> tuple[str, ...] | None:
        unique = self.menu.unique
        return tuple([values.get(name, "") for name in unique]) if unique else None

    def _note(self, row: Row) -> None:
        for name, places in self._places.items():
            value = row.values.get(name)
            if value is not None:
                places.setdefault(value, {})[row.number] = None
        key = self._key(row.values)
        if key is not None:
            self._unique[key] = row.number
        if row.until:
            heapq.heappush(self._deaths, (row.until, row.number))

    def _forget(self, row: Row) -> None:
        for name, places in self._places.items():
            value = row.values.get(name)
            if value is not None:
                held = places[value]
                del held[row.number]
                if not held:
                    del places[value]
        key = self._key(row.values)
        if key is not None and self._unique.get(key) == row.number:
            del self._unique[key]

    def _tell(self, row: Row, gone: bool) -> None:
        for watcher in tuple(self.watchers):
            watcher(row, gone)


def _number_of(reference: str) -> int | None:
    """The number in an id, None if it is none."""
    try:
        return int(reference.removeprefix("*"), 16)
    except ValueError:
        return None
