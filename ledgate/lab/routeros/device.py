"""A RouterOS device: every menu of its version with its rows, and what the router itself adds to them. Pure.

`now` is an argument, UTC microseconds. Whoever makes a `Device` hears of what only the outside can do by `hooks`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ledgate.lab.behaviour import Behaviour
from ledgate.lab.routeros import access, firewall, services
from ledgate.lab.routeros.menus import Menu
from ledgate.lab.routeros.tables import Row, Table
from ledgate.lab.routeros.trap import failure, no_such_value
from ledgate.lab.routeros.values import SECOND, is_dns_name, print_time, version_of

MENUS: Mapping[str, Menu] = {menu.path: menu for menu in (*firewall.MENUS, *access.MENUS, *services.MENUS)}
ADDRESS_LISTS = {4: "/ip/firewall/address-list", 6: "/ipv6/firewall/address-list"}

# Which menu knows the words that a property may name.
_REFERENCES: Mapping[tuple[str, str], str] = {
    **{
        (path, name): "/interface"
        for path in MENUS
        for name in ("interface", "in-interface", "out-interface")
        if name in MENUS[path].fields
    },
    ("/ip/hotspot", "profile"): "/ip/hotspot/profile",
    ("/ip/hotspot", "address-pool"): "/ip/pool",
    ("/ip/pool", "next-pool"): "/ip/pool",
    ("/interface/pppoe-server/server", "default-profile"): "/ppp/profile",
}


@dataclass(slots=True)
class Hooks:
    """What happens outside the tables. `removed` is called, by menu, instead of removing a row of what is seen there;
    `reboot` when the router is told to.
    """

    removed: dict[str, Callable[[Row], None]] = field(default_factory=dict)
    reboot: Callable[[], None] | None = None


class Device:
    """The tables of a router. `names`: what DNS names that come into an address-list resolve to."""

    def __init__(
        self,
        version: str,
        now: int,
        *,
        identity: str = "MikroTik",
        names: Mapping[str, Sequence[str]] | None = None,
        behaviour: Behaviour | None = None,
    ) -> None:
        self.version_text = version
        self.version = version_of(version)
        self.names = dict(names or {})
        self.hooks = Hooks()
        self.behaviour = behaviour or Behaviour()
        self.began = now
        self.tables = {menu.path: Table(menu, self.version) for menu in MENUS.values() if menu.known(self.version)}
        for table in self.tables.values():
            for values in table.menu.rows or ({},) * (table.menu.kind == "singleton"):
                table.append(values)
        self._identify(identity)
        for family, path in ADDRESS_LISTS.items():
            self._follow_names(self.tables[path], family)

    def table(self, path: str) -> Table | None:
        return self.tables.get(path)

    def check_references(self, menu: Menu, values: Mapping[str, str]) -> None:
        """Raises Trap where a value names something that another menu does not have."""
        for name, value in values.items():
            path = _REFERENCES.get((menu.path, name))
            if path is None or value in ("none", "all", ""):
                continue
            if not self.tables[path].where(name=value.removeprefix("!")):
                raise no_such_value(name)

    def stamp(self, now: int) -> str:
        """An instant of the router's clock as the version prints it."""
        at = self._local(now)
        if self.version < (7, 10):
            return f"{at:%b/%d/%Y %H:%M:%S}".lower()
        return f"{at:%Y-%m-%d %H:%M:%S}"

    def expire(self, now: int) -> None:
        """Remove what has timed out."""
        for table in self.tables.values():
            if table.menu.timed:
                table.expire(now)

    def next_expiry(self) -> int | None:
        """The instant at which the next row vanishes."""
        found = [table.next_expiry() for table in self.tables.values() if table.menu.timed]
        return min((instant for instant in found if instant is not None), default=None)

    def restart(self, now: int) -> None:
        """Forget what is not stored: whatever is dynamic, and whatever was seen."""
        self.began = now
        for table in self.tables.values():
            lost = [row for row in table if row.dynamic or row.owner or table.menu.kind == "seen"]
            for row in lost:
                if row.number in table.rows and table.menu.removable:
                    table.remove(row)

    def log(self, now: int, topics: str, message: str) -> None:
        """A line of `/log`, which keeps the last thousand."""
        table = self.tables["/log"]
        table.append({"time": self.stamp(now), "topics": topics, "message": message})
        while len(table) > 1000:
            table.remove(next(iter(table)))

    def list_address(self, name: str, address: str, owner: str, now: int) -> tuple[Table, Row] | None:
        """Put an address on a list for a session: a dynamic row, or None if it is on the list already."""
        table = self.tables[ADDRESS_LISTS[6 if ":" in address else 4]]
        if table.where(list=name, address=address):
            return None
        values = {"list": name, "address": address, "dynamic": "true", "creation-time": self.stamp(now)}
        return table, table.append(values, owner=owner)

    def connect(self, protocol: str, source: str, destination: str, now: int, answers: str | None = None) -> Row:
        """A connection as `/ip/firewall/connection` shows it, addresses as "ip:port". `answers`: who really answers,
        where it was redirected.
        """
        tcp = protocol == "tcp"
        values = {
            "protocol": protocol,
            "src-address": source,
            "dst-address": destination,
            "reply-src-address": answers or destination,
            "reply-dst-address": source,
            "dstnat": "true" if answers else "false",
            "assured": "true",
            "seen-reply": "true",
            "confirmed": "true",
            "orig-bytes": "0",
            "repl-bytes": "0",
        }
        path = "/ipv6/firewall/connection" if source.startswith("[") else "/ip/firewall/connection"
        state = {"tcp-state": "established"} if tcp else {}
        return self.tables[path].append({**values, **state}, until=now + (86400 if tcp else 180) * SECOND)

    def _local(self, now: int) -> datetime:
        return datetime.fromtimestamp(now // SECOND, UTC) + timedelta(seconds=self.behaviour.clock_offset)

    def _identify(self, identity: str) -> None:
        for row in self.tables["/system/identity"]:
            self.tables["/system/identity"].change(row, {"name": identity})
        board = {
            "version": f"{self.version_text} (stable)",
            "build-time": "2024-11-26 12:09:40" if self.version >= (7,) else "Sep/07/2023 09:38:12",
            "free-memory": "805306368",
            "total-memory": "1073741824",
            "cpu": "ARM64" if self.version >= (7,) else "ARMv7",
            "cpu-count": "4",
            "cpu-load": "3",
            "free-hdd-space": "100663296",
            "total-hdd-space": "134217728",
            "architecture-name": "arm64" if self.version >= (7,) else "arm",
            "board-name": "Ledgate lab",
            "platform": "MikroTik",
        }
        for row in self.tables["/system/resource"]:
            self.tables["/system/resource"].change(row, board)
            row.live = lambda now: {"uptime": print_time((now - self.began) // SECOND * SECOND, self.version)}
        for row in self.tables["/system/clock"]:
            row.live = self._clock
        packages = ("routeros",) if self.version >= (7,) else ("system", "ppp", "hotspot", "security", "ipv6")
        for name in packages:
            self.tables["/system/package"].append(
                {"name": name, "version": self.version_text, "build-time": board["build-time"], "disabled": "false"}
            )

    def _clock(self, now: int) -> Mapping[str, str]:
        date, time = self.stamp(now).split()
        return {"date": date, "time": time, "gmt-offset": "+00:00"}

    def _follow_names(self, table: Table, family: int) -> None:
        """Keep, for each DNS name on a list, rows with the addresses that it resolves to."""
        children: dict[int, list[Row]] = {}

        def follow(row: Row, gone: bool) -> None:
            if row.owner:
                return
            name = row.values["address"]
            for child in children.pop(row.number, ()):
                if child.number in table.rows:
                    table.remove(child)
            if gone or row.values["disabled"] == "true" or not is_dns_name(name):
                return
            kept = children[row.number] = []
            for address in self.names.get(name.lower(), ()):
                if (":" in address) != (family == 6):
                    continue
                shown = table.menu.read("address", address, self.version)
                if table.where(list=row.values["list"], address=shown):
                    continue
                values = {"list": row.values["list"], "address": shown, "comment": name, "dynamic": "true"}
                kept.append(table.append({**values, "creation-time": row.values["creation-time"]}, owner="dns"))

        table.watchers.append(follow)


def refuse_change(row: Row, verb: str) -> None:
    """Raises Trap for a row that the router made by itself."""
    if row.owner:
        raise failure(f"can not {verb} dynamic")
