"""What is done to a router, and what undoes it. Pure.

Rows are named by their `.id`; one that a plan itself adds is named `+1`, `+2`, … until the router has said its `.id`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aaa.routeros.rows import LISTS, SINGLE, Fields, told


@dataclass(frozen=True, slots=True)
class Add:
    """A new row, named `ref`, before the row `before`; None: at the end."""

    menu: str
    ref: str
    fields: Fields = field(repr=False)
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Set:
    """Other values; `was` are those that were printed. `ref` is '' in a menu that is one row; `comment` tells which row
    it is to who reads the plan.
    """

    menu: str
    ref: str
    fields: Fields = field(repr=False)
    was: Fields = field(repr=False)
    comment: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Remove:
    """`was`: what it takes to make the row again, before the row `before`."""

    menu: str
    ref: str
    was: Fields = field(repr=False)
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """To before another row; None: to the end. `was_before`: the row it stood before."""

    menu: str
    ref: str
    before: str | None
    was_before: str | None
    fields: Fields = field(repr=False)


Operation = Add | Set | Remove | Move

_NOT_WRITTEN: Final = frozenset(
    (".id", ".nextid", "bytes", "creation-time", "dynamic", "invalid", "packets", "rate", "status", "inactive")
)
"""What routers print and do not take."""
_OFF: Final = frozenset(("disabled", "log"))
"""What is said only where it is on."""


def writable(fields: Fields) -> dict[str, str]:
    """What it takes to make a row that was printed like this; a secret that was hidden stays out."""
    return {name: value for name, value in fields.items() if name not in _NOT_WRITTEN and not is_hidden(name, value)}


def is_hidden(name: str, value: str) -> bool:
    """Whether a router keeps a secret to itself: its user lacks the policy `sensitive`."""
    return name == "secret" and not value.strip("*")


def inverse(operation: Operation) -> Operation | None:
    """What undoes it, once it is the last thing done; None: nothing needs to be."""
    if isinstance(operation, Add):
        return Remove(operation.menu, operation.ref, operation.fields, operation.before)
    if isinstance(operation, Remove):
        return Add(operation.menu, operation.ref, operation.was, operation.before)
    if isinstance(operation, Move):
        return Move(operation.menu, operation.ref, operation.was_before, operation.before, operation.fields)
    # What was not printed cannot be set back; a comment that was not printed was none.
    was = {
        name: value
        for name, value in operation.was.items()
        if (value or name == "comment") and not is_hidden(name, value)
    }
    return Set(operation.menu, operation.ref, was, operation.fields) if was else None


def may_go_together(one: Operation, other: Operation) -> bool:
    """Whether two may be under way at once: entries of a list depend on nothing and have no order."""
    return type(one) is type(other) and one.menu == other.menu and one.menu in LISTS


def _telling(fields: Fields) -> dict[str, str]:
    """What tells a row from others: not what a router counts, nor what is off or empty."""
    return {
        name: value
        for name, value in fields.items()
        if name not in _NOT_WRITTEN and value and not (name in _OFF and value in ("no", "false"))
    }


def lines(operation: Operation) -> list[str]:
    """What it does, as lines of a patch."""
    if isinstance(operation, Add):
        return [f"+ {told(operation.fields)}"]
    if isinstance(operation, Remove):
        return [f"- {told(_telling(operation.was))}"]
    if isinstance(operation, Move):
        where = "to the end" if operation.before is None else f"to before {operation.before}"
        return [f"> {operation.ref} {told(_telling(operation.fields))}, {where}"]
    was: Mapping[str, str] = {name: operation.was.get(name, "") for name in operation.fields}
    name = "" if operation.menu in SINGLE else f"{operation.ref} "
    name += f"({operation.comment}) " if operation.comment else ""
    return [f"~ {name}{told(was)}", f"  => {told(operation.fields)}"]
