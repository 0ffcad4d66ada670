"""A router so small that it can be trusted: rows in lists, `.id`s never given anew, and a firewall that is read rule by
rule."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aaa.routeros.operations import Add, Operation, Remove, Set, inverse
from aaa.routeros.rows import MENUS, ORDERED, SINGLE, Row


class Model:
    """A router's menus. `do` refuses what RouterOS refuses."""

    def __init__(self) -> None:
        self.menus: dict[str, list[dict[str, str]]] = {menu: [] for menu in MENUS}
        self.menus["/radius/incoming"] = [{"accept": "false", "port": "3799"}]
        self.menus["/ppp/aaa"] = [{"use-radius": "false", "accounting": "true", "interim-update": "0s"}]
        self._last = 0
        self._refs: dict[str, str] = {}

    def insert(self, menu: str, fields: Mapping[str, str], at: int | None = None) -> str:
        self._last += 1
        ref = f"*{self._last:X}"
        rows = self.menus[menu]
        rows.insert(len(rows) if at is None else at, {".id": ref, **fields})
        return ref

    def printed(self) -> dict[str, list[Row]]:
        return {menu: [Row(row.get(".id", ""), dict(row)) for row in rows] for menu, rows in self.menus.items()}

    def values(self) -> dict[str, list[dict[str, str]]]:
        """All but the ids."""
        return {
            menu: [{name: value for name, value in row.items() if name != ".id"} for row in rows]
            for menu, rows in self.menus.items()
        }

    def index(self, menu: str, ref: str) -> int:
        ref = self._refs.get(ref, ref)
        return next(at for at, row in enumerate(self.menus[menu]) if row[".id"] == ref)

    def do(self, operation: Operation) -> None:
        rows = self.menus[operation.menu]
        if isinstance(operation, Add):
            if "list" in operation.fields:
                pair = [operation.fields["list"], operation.fields["address"]]
                assert pair not in [[row["list"], row["address"]] for row in rows], "already have such entry"
            at = self._place(operation.menu, operation.before)
            self._refs[operation.ref] = self.insert(operation.menu, operation.fields, at)
        elif isinstance(operation, Set):
            if operation.menu in SINGLE:
                rows[0].update(operation.fields)
                return
            row = rows[self.index(operation.menu, operation.ref)]
            assert row.get("dynamic") != "true"
            row.update(operation.fields)
        elif isinstance(operation, Remove):
            assert rows[self.index(operation.menu, operation.ref)].get("dynamic") != "true"
            del rows[self.index(operation.menu, operation.ref)]
        else:
            assert operation.ref != operation.before
            row = rows.pop(self.index(operation.menu, operation.ref))
            at = self._place(operation.menu, operation.before)
            rows.insert(len(rows) if at is None else at, row)

    def undo(self, operations: Iterable[Operation]) -> None:
        """The inverses, last first; rows that come back have new ids."""
        for operation in reversed(list(operations)):
            undone = inverse(operation)
            if undone is not None:
                self.do(undone)

    def _place(self, menu: str, before: str | None) -> int | None:
        if before is None:
            return None
        assert menu in ORDERED
        at = self.index(menu, before)
        assert self.menus[menu][at].get("dynamic") != "true"
        return at


@dataclass(frozen=True)
class Packet:
    """What rules look at; the lists that its addresses are on."""

    protocol: str = "tcp"
    port: str = "443"
    address: str = "198.51.100.1"
    source: frozenset[str] = frozenset()
    destination: frozenset[str] = frozenset()
    state: str = "new"
    inbound: bool = False
    """To a subscriber, whose lists are those of the destination; `port` and `address` are of the other side."""


def verdict(rows: Iterable[Mapping[str, str]], packet: Packet, chain: str) -> str:
    """The action that ends a packet's way through a chain: accept, if none does."""
    return _walk(list(rows), packet, chain) or "accept"


def _walk(rows: list[Mapping[str, str]], packet: Packet, chain: str) -> str | None:
    for row in rows:
        if row.get("chain") != chain or row.get("disabled") in ("yes", "true") or not _matches(row, packet):
            continue
        action = row.get("action", "accept")
        if action == "return":
            return None
        if action == "jump":
            found = _walk(rows, packet, row["jump-target"])
            if found is not None:
                return found
        elif action not in ("log", "passthrough"):
            return f"dst-nat {row['to-ports']}" if action == "dst-nat" else action
    return None


def _matches(row: Mapping[str, str], packet: Packet) -> bool:
    side = "src" if packet.inbound else "dst"
    other = "dst" if packet.inbound else "src"
    for name, value in row.items():
        bang = value.startswith("!")
        wanted = value.removeprefix("!")
        if name == "protocol":
            holds = packet.protocol == wanted
        elif name == f"{side}-port":
            holds = packet.port in wanted.split(",")
        elif name == f"{other}-port":
            holds = False
        elif name == f"{side}-address":
            holds = packet.address == wanted
        elif name == f"{other}-address":
            holds = False
        elif name == "src-address-list":
            holds = wanted in packet.source
        elif name == "dst-address-list":
            holds = wanted in packet.destination
        elif name == "connection-state":
            holds = packet.state in wanted.split(",")
        else:
            continue
        if holds == bang:
            return False
    return True
