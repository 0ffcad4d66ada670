"""From what a router holds to what it is to hold: the operations, in an order that is safe at every step. Pure.

What lets through is made before what stops, own chains before the jumps into them, and jumps into own chains before the
router's: so nothing is active before what belongs to it is there. What goes, goes the other way round, and last of all:
a rule that is replaced stands until its successor does.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from aaa.routeros.operations import Add, Move, Operation, Remove, Set, is_hidden, writable
from aaa.routeros.rows import (
    LISTS,
    MATCHERS,
    MENUS,
    ORDERED,
    RULES,
    SECRET,
    SINGLE,
    WALLED_GARDEN,
    Fields,
    Item,
    Row,
    meaning,
    same,
)

Printed = Mapping[str, Sequence[Row]]
"""The rows of each menu that the router has, in its order; of lists, only those that are wanted."""

_PASSES: Final = 0
_STOPS: Final = 1
_JUMPS: Final = 2
_ENTRIES: Final = 3
"""Phases of a menu: rules of our own chains by what they do; then the jumps in the router's own chains."""

_OWN: Final = "ledgate-"
_HARMLESS: Final = frozenset(("log", "passthrough", "add-src-to-address-list", "add-dst-to-address-list"))
"""What may stand before a jump of ours: the packet goes on to the next rule."""


def difference(items: Iterable[Item], printed: Printed) -> list[Operation]:
    """What makes the router hold `items`, and nothing else of ours, in the menus that were `printed`. Foreign and
    dynamic rows are neither changed nor moved, and session entries are foreign."""
    refs = (f"+{number}" for number in _count())
    menus = [
        _Menu(menu, [item for item in items if item.menu == menu], printed[menu], refs)
        for menu in MENUS
        if menu in printed
    ]
    built = [operation for menu in menus for operation in menu.build()]
    gone = [operation for menu in reversed(menus) for operation in menu.clear()]
    return built + gone


def _count() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


class _Menu:
    """One menu under change: its rows as they will be once the operations so far are done."""

    def __init__(self, menu: str, items: Sequence[Item], rows: Sequence[Row], refs: Iterator[str]) -> None:
        self._menu = menu
        self._items = list(items)
        self._refs = refs
        self._order = [row.id for row in rows]
        self._rows = {row.id: row for row in rows}
        self._gone: list[Row] = []
        self._kept: dict[str, Row] = {}
        """By key, the row that stays, or stays until its successor is there."""
        self._replaced: set[str] = set()

    def build(self) -> Iterator[Operation]:
        """Whatever adds, mends and moves."""
        if self._menu in SINGLE:
            yield from self._single()
            return
        self._match()
        if self._menu not in ORDERED:
            for item in self._items:
                yield from self._mend(item) if item.key in self._kept else self._add(item, None)
            return
        placed = self._placed()
        for phase in (_PASSES, _STOPS, _JUMPS, _ENTRIES):
            for item in self._items:
                if _phase(item) == phase:
                    yield from self._put(item, placed)

    def clear(self) -> Iterator[Operation]:
        """Whatever removes, in the opposite order."""
        for row in sorted(self._gone, key=_phase_of_row, reverse=True):
            after = self._after(row.id, row.chain)
            self._order.remove(row.id)
            yield Remove(self._menu, row.id, writable(row.fields), after)

    def _single(self) -> Iterator[Operation]:
        for item in self._items:
            for row in self._rows.values():
                changed = {name: value for name, value in item.fields if not _holds(row, name, value)}
                if changed:
                    yield Set(self._menu, "", changed, {name: row.fields.get(name, "") for name in changed})

    def _match(self) -> None:
        """Find the row of each item; whatever else is ours goes."""
        ours: dict[str, list[Row]] = {}
        for row in self._rows.values():
            if row.key is not None:
                ours.setdefault(row.key, []).append(row)
        for item in self._items:
            found = ours.get(item.key, [])
            best = min(found, key=lambda row: _faults(item, row), default=None)
            if best is not None:
                found.remove(best)
                self._kept[item.key] = best
                if self._menu in ORDERED and _needs_replacing(item, best):
                    self._replaced.add(item.key)
        if self._menu in LISTS:  # somebody else's entry will do: a router refuses to have one twice
            others = {_entry(row.fields) for row in self._rows.values() if row.key is None}
            self._items = [
                item for item in self._items if item.key in self._kept or _entry(dict(item.fields)) not in others
            ]
        self._gone = [row for rows in ours.values() for row in rows]

    def _placed(self) -> set[str]:
        """The keys of those that stand in their order; as few as possible of the others are moved."""
        placed: set[str] = set()
        for chain in {item.chain for item in self._items}:
            its = [item for item in self._items if item.chain == chain]
            if its[0].chain.startswith(_OWN) or self._menu not in RULES:
                stand = [item for item in its if item.key in self._kept and item.key not in self._replaced]
                places = [self._order.index(self._kept[item.key].id) for item in stand]
                placed.update(stand[at].key for at in _longest_rising(places))
        if self._menu == WALLED_GARDEN:
            first = self._barrier("", lambda row: row.action != "accept")
            late = set() if first is None else set(self._order[self._order.index(first) :])
            placed -= {key for key in placed if self._kept[key].id in late}
        return placed

    def _put(self, item: Item, placed: set[str]) -> Iterator[Operation]:
        """An item of an ordered menu to its place."""
        if _phase(item) == _ENTRIES:
            before = self._barrier(item.chain, _stops_a_jump)
        else:
            before = self._next(item, placed)
        stays = item.key in self._kept and item.key not in self._replaced
        if not stays:
            yield from self._add(item, before)
        else:
            yield from self._mend(item)
            if _phase(item) == _ENTRIES:
                is_late = before is not None and self._order.index(before) < self._order.index(self._kept[item.key].id)
            else:
                is_late = item.key not in placed
            if is_late:
                yield from self._move(item, before)
        placed.add(item.key)

    def _next(self, item: Item, placed: set[str]) -> str | None:
        """The row to put an item before: that of the next of its chain that is in place."""
        its = [one for one in self._items if one.chain == item.chain]
        for one in its[its.index(item) + 1 :]:
            if one.key in placed:
                return self._kept[one.key].id
        if self._menu == WALLED_GARDEN:
            return self._barrier("", lambda row: row.action != "accept")
        return None

    def _barrier(self, chain: str, stops: Callable[[Row], bool]) -> str | None:
        """The first foreign row of a chain that ours must not stand behind."""
        for ref in self._order:
            row = self._rows[ref]
            if row.chain == chain and not row.dynamic and row.key is None and stops(row):
                return ref
        return None

    def _add(self, item: Item, before: str | None) -> Iterator[Operation]:
        ref = next(self._refs)
        row = Row(ref, item.written)
        if item.key in self._replaced:
            self._gone.append(self._kept[item.key])
            self._replaced.discard(item.key)
        self._kept[item.key] = self._rows[ref] = row
        self._order.insert(len(self._order) if before is None else self._order.index(before), ref)
        yield Add(self._menu, ref, row.fields, before)

    def _mend(self, item: Item) -> Iterator[Operation]:
        row = self._kept[item.key]
        changed = {name: value for name, value in item.written.items() if not _holds(row, name, value)}
        if row.disabled:
            changed["disabled"] = "no"
        if changed:
            was = {name: row.fields.get(name, "") for name in changed}
            yield Set(self._menu, row.id, changed, was, row.fields.get("comment", ""))

    def _move(self, item: Item, before: str | None) -> Iterator[Operation]:
        row = self._kept[item.key]
        was_before = self._after(row.id, row.chain)
        self._order.remove(row.id)
        self._order.insert(len(self._order) if before is None else self._order.index(before), row.id)
        yield Move(self._menu, row.id, before, was_before, row.fields)

    def _after(self, ref: str, chain: str) -> str | None:
        """The next row of the chain that can be named as a place."""
        if self._menu not in ORDERED:
            return None
        for other in self._order[self._order.index(ref) + 1 :]:
            row = self._rows[other]
            if row.chain == chain and not row.dynamic:
                return other
        return None


def _entry(fields: Fields) -> tuple[str, str]:
    return fields.get("list", ""), meaning("address", fields.get("address", ""))


def _holds(row: Row, name: str, value: str) -> bool:
    printed = row.fields.get(name, "")
    return same(name, printed, value) or (name == SECRET and is_hidden(name, printed))


def _needs_replacing(item: Item, row: Row) -> bool:
    """Whether a rule does anything else than its item; what only marks it can be set."""
    fields = dict(item.fields)
    if any(not _holds(row, name, value) for name, value in item.fields):
        return True
    return any(value and name not in fields for name, value in row.fields.items() if name in MATCHERS)


def _faults(item: Item, row: Row) -> tuple[bool, int]:
    return (
        item.menu in ORDERED and _needs_replacing(item, row),
        sum(not _holds(row, name, value) for name, value in item.written.items()) + row.disabled,
    )


def _stops_a_jump(row: Row) -> bool:
    if row.action == "drop" and row.fields.get("connection-state") == "invalid":
        return False
    return row.action not in _HARMLESS


def _phase(item: Item) -> int:
    return _phase_of(item.menu, item.chain, item.action)


def _phase_of_row(row: Row) -> int:
    return _phase_of("", row.chain, row.action)


def _phase_of(menu: str, chain: str, action: str) -> int:
    if chain and not chain.startswith(_OWN):
        return _ENTRIES
    if action == "jump":
        return _JUMPS
    return _PASSES if action in ("accept", "return", "") else _STOPS


def _longest_rising(values: Sequence[int]) -> list[int]:
    """The indexes of a longest rising subsequence."""
    ends: list[int] = []
    before: list[int] = []
    for at, value in enumerate(values):
        place = bisect_left([values[end] for end in ends], value)
        before.append(ends[place - 1] if place else -1)
        ends[place : place + 1] = [at]
    found: list[int] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        found.append(at)
        at = before[at]
    return found[::-1]
