"""The section `pools`, and the finish rules that name pools (R3.1)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select

from aaa.commands.door import Change
from aaa.commands.pools import put_pool
from aaa.debit.controls.finish_rule import IP_POOL
from aaa.domain.address_pool import MOST_ADDRESSES, MOST_RANGES, BadRange, Span, dotted, overlap, size, span_of
from aaa.store.tables import pool
from ledgate.load import fields
from ledgate.load.fields import BadLoad, Reader

KEYS: Final = ("name", "ranges")


def put(door: Change, readers: Sequence[Reader]) -> None:
    """Put the pools of a file, in an order in which an address may move from one to another. Raises BadLoad."""
    if not readers:
        return
    stored = {row.name: row.ranges for row in door.conn.execute(select(pool))}
    wanted: dict[str, list[str]] = {}
    spans: dict[str, list[tuple[Span, str, str]]] = {
        name: [(span_of(text), text, "") for text in ranges] for name, ranges in stored.items()
    }
    for reader in readers:
        name = reader.need("name", fields.name)
        if name not in stored or reader.has("ranges"):
            read = reader.need("ranges", _ranges)
            wanted[name] = [text for _, text, _ in read]
            spans[name] = read
    _keep_apart(spans)
    for name, ranges in wanted.items():
        put_pool(door, name, ranges)


def check_rule(value: Mapping[str, Any], path: str, door: Change) -> None:
    """Raise BadLoad where a finish rule, in the form of the file, names a pool that does not exist."""
    named = list(_named(value, path))
    if named:
        known = set(door.conn.execute(select(pool.c.name)).scalars())
        for where, name in named:
            if name not in known:
                raise BadLoad(where, f"there is no pool called {name!r}")


def _named(value: Mapping[str, Any], path: str) -> list[tuple[str, str]]:
    """Every (path, name) of a pool that is named in it."""
    found: list[tuple[str, str]] = []
    for key, one in value.items():
        if key == IP_POOL and isinstance(one, str):
            found.append((f"{path}.{key}", one))
        elif isinstance(one, Mapping):
            found += _named(one, f"{path}.{key}")
    return found


def _ranges(value: Any, path: str) -> list[tuple[Span, str, str]]:
    """(span, text, path) of every range."""
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_RANGES:
        raise BadLoad(path, f"must be a list of 1 to {MOST_RANGES} ranges")
    read: list[tuple[Span, str, str]] = []
    for index, one in enumerate(value):
        where = f"{path}[{index}]"
        text = fields.text(40)(one, where)
        try:
            read.append((span_of(text), text, where))
        except BadRange as error:
            raise BadLoad(where, str(error)) from None
    if size(span for span, _, _ in read) > MOST_ADDRESSES:
        raise BadLoad(path, f"has more than {MOST_ADDRESSES} addresses")
    return read


def _keep_apart(spans: Mapping[str, Sequence[tuple[Span, str, str]]]) -> None:
    """An address in two pools would be given twice."""
    known = sorted((one, text, path, name) for name, those in spans.items() for one, text, path in those)
    # Of spans in order an overlap shows between one and the furthest reaching before it.
    furthest = known[0]
    for one in known[1:]:
        if overlap(furthest[0], one[0]):
            # The path is of the file, if only one of them is.
            there, other = (one, furthest) if one[2] else (furthest, one)
            first = dotted(max(one[0][0], furthest[0][0]))
            raise BadLoad(there[2], f"{first} is in {other[1]} of the pool {other[3]} already")
        if one[0][1] > furthest[0][1]:
            furthest = one
