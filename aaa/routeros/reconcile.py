"""One router: read what it holds, compare, and change what differs (shell).

As little is read as will do: of rules where they stand and what they do, and in full only ours; of lists only ours.
RouterOS knows no transactions. Operations are safe in their order, each has an inverse, and when the router refuses
one, what was done is undone. If the connection breaks nothing is undone: the next comparison goes on from there.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aaa.domain.router import ALLOWED
from aaa.routeros.client import Client, Command, Reply, RouterAway, Trap, any_of
from aaa.routeros.diff import Printed, difference
from aaa.routeros.lists import session_of
from aaa.routeros.operations import Add, Move, Operation, Remove, Set, inverse, may_go_together, writable
from aaa.routeros.rows import LISTS, MENUS, RADIUS, RULES, Row
from aaa.routeros.wanted import Abilities, Box, Rules, parse_version, wanted

_log: Final = logging.getLogger(__name__)

_WHERE_THEY_STAND: Final = ".id,chain,action,connection-state,dynamic,disabled,comment"
_WHAT_THEY_ARE: Final = ".id,list,address,timeout,dynamic,disabled,comment"
_FULL_AT_ONCE: Final = 64
"""Comments that one query asks for."""
_SYSTEM: Final = "/system/resource"
_HOTSPOT: Final = "/ip/hotspot"
_IPV6: Final = "/ipv6/firewall/filter"

Keep = Callable[[], None]


class NotApplied(Exception):
    """The router refused something; the message says what, and whether what came before it was undone."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a router says of itself, and what differs."""

    version: str
    can: Abilities
    operations: Sequence[Operation]


def compare(client: Client, rules: Rules, box: Box) -> Comparison:
    """What makes the router hold what is wanted. Raises RouterAway, Trap."""
    version, can, printed = _read(client, whole_lists=False)
    return Comparison(version, can, difference(wanted(rules, box, can), printed))


def compare_with_nothing(client: Client) -> Comparison:
    """What takes everything of ours off the router, the list entries of sessions included. What it is told by menus
    that are one row stays as it is: nobody knows what it was before. Raises RouterAway, Trap."""
    version, can, printed = _read(client, whole_lists=True)
    operations = difference([], printed)
    for menu in sorted(LISTS & printed.keys()):
        for row in printed[menu]:
            if session_of(row.comment) is not None:
                operations.append(Remove(menu, row.id, writable(row.fields)))
    return Comparison(version, can, operations)


def _read(client: Client, whole_lists: bool) -> tuple[str, Abilities, Printed]:
    commands = [
        Command(f"{_SYSTEM}/print", ((".proplist", "version"),)),
        Command(f"{_HOTSPOT}/print", ((".proplist", ".id"),)),
        *(_first_look(menu, whole_lists) for menu in MENUS),
    ]
    replies = client.run_all(commands)
    version = _rows(replies[0])[0].get("version", "")
    rows: dict[str, list[dict[str, str]]] = {}
    for menu, reply in zip(MENUS, replies[2:], strict=True):
        if reply.trap is None or not reply.trap.unknown:  # a router without IPv6, or hotspots, has no such menu
            rows[menu] = _rows(reply)
    printed = {menu: [Row(row.get(".id", ""), row) for row in some] for menu, some in rows.items()}
    for menu in RULES & printed.keys():
        printed[menu] = _with_ours_in_full(client, menu, printed[menu])
    hotspot = replies[1].trap is None and bool(replies[1].rows)
    foreign = {row.fields.get("address", "") for row in printed.get(RADIUS, ()) if row.key is None and not row.disabled}
    return version, Abilities(parse_version(version), hotspot, _IPV6 in printed, frozenset(foreign)), printed


def _first_look(menu: str, whole_lists: bool) -> Command:
    if menu in RULES:
        return Command(f"{menu}/print", ((".proplist", _WHERE_THEY_STAND),))
    if menu in LISTS:
        query = () if whole_lists else (f"?list={ALLOWED}",)
        return Command(f"{menu}/print", ((".proplist", _WHAT_THEY_ARE),), query)
    return Command(f"{menu}/print")


def _with_ours_in_full(client: Client, menu: str, rows: list[Row]) -> list[Row]:
    marks = sorted({row.comment for row in rows if row.key is not None})
    commands = [
        Command(f"{menu}/print", (), any_of("comment", marks[at : at + _FULL_AT_ONCE]))
        for at in range(0, len(marks), _FULL_AT_ONCE)
    ]
    full = {row[".id"]: row for reply in client.run_all(commands) for row in _rows(reply)}
    return [Row(row.id, full.get(row.id, row.fields)) for row in rows]


def _rows(reply: Reply) -> list[dict[str, str]]:
    if reply.trap is not None:
        raise reply.trap
    return reply.rows


def apply(client: Client, operations: Sequence[Operation], keep: Keep) -> None:
    """Carry operations out, in order; `keep` is called before each and may raise to stop there. Raises RouterAway,
    NotApplied."""
    work = _Work(client)
    try:
        for batch in _batches(operations):
            keep()
            work.do(batch)
    except Trap as trap:
        fault = work.undo()
        raise NotApplied(
            f"{trap}; {'all was undone' if fault is None else f'not all could be undone: {fault}'}"
        ) from None


def _batches(operations: Sequence[Operation]) -> Iterator[list[Operation]]:
    """What may be under way at once."""
    batch: list[Operation] = []
    for operation in operations:
        if batch and not may_go_together(batch[-1], operation):
            yield batch
            batch = []
        batch.append(operation)
    if batch:
        yield batch


class _Work:
    """Operations under way: what rows that were added are called, and what is done so far."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ids: dict[str, str] = {}
        self._done: list[Operation] = []

    def do(self, batch: Sequence[Operation]) -> None:
        """Raises Trap when all of the batch has been answered; what the router did of it is noted."""
        replies = self._client.run_all([self._command(operation) for operation in batch])
        refused: Trap | None = None
        for operation, reply in zip(batch, replies, strict=True):
            if reply.trap is None:
                self._done.append(operation)
                if isinstance(operation, Add):
                    self._ids[operation.ref] = reply.ret
            elif not _is_so_already(operation, reply.trap):
                refused = refused or reply.trap
        if refused is not None:
            raise refused

    def undo(self) -> str | None:
        """The inverses, last first; what could not be undone."""
        fault: str | None = None
        done, self._done = self._done, []
        for operation in reversed(done):
            undone = inverse(operation)
            if undone is None:
                continue
            try:
                self.do([undone])
            except (Trap, RouterAway) as error:
                fault = fault or str(error)
                _log.warning("router operation cannot be undone: %s", error)
        return fault

    def _command(self, operation: Operation) -> Command:
        fields: dict[str, str] = {}
        verb = type(operation).__name__.lower()
        if isinstance(operation, Add):
            fields = dict(operation.fields)
            if operation.before is not None:
                fields["place-before"] = self._id(operation.before)
        elif isinstance(operation, Move):
            fields = {"numbers": self._id(operation.ref)}
            if operation.before is not None:
                fields["destination"] = self._id(operation.before)
        else:
            if operation.ref:
                fields[".id"] = self._id(operation.ref)
            if isinstance(operation, Set):
                fields |= operation.fields
        return Command(f"{operation.menu}/{verb}", tuple(fields.items()))

    def _id(self, ref: str) -> str:
        """The `.id` of a row that was added meanwhile, or added again."""
        return self._ids.get(ref, ref)


def _is_so_already(operation: Operation, trap: Trap) -> bool:
    """Whether somebody else did it meanwhile."""
    return (isinstance(operation, Remove) and trap.gone) or (
        isinstance(operation, Add) and operation.menu in LISTS and trap.exists
    )
