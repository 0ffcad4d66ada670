"""How a session shows in the menus of its router: active, host, interface, dynamic queue, address-list. Pure."""

from collections.abc import Callable, Mapping

from ledgate.lab.rates import queue
from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.tables import Live, Row, Table
from ledgate.lab.routeros.values import SECOND, print_time
from ledgate.lab.session import Session

ADDRESS_LIST = "Mikrotik-Address-List"
QUEUES = "/queue/simple"
_OF_A_RATE = ("burst-limit", "burst-threshold", "burst-time", "priority", "limit-at")
Meter = Callable[[], tuple[int, int, int, int | None]]
"""Octets up and down, microseconds online, and those that are left (None: no end), all at this moment."""


class Shown:
    """The rows of one session. What the meter says of it is printed as it stands when it is asked for."""

    def __init__(self, device: Device, session: Session, now: int, meter: Meter) -> None:
        self.session = session
        self._device = device
        self._meter = meter
        self._owner = session.acct_session_id
        self._rows: list[tuple[Table, Row]] = []
        self._queue: tuple[Table, Row] | None = None
        self._listed: list[tuple[Table, Row]] = []
        self.name = self._free_name()
        if session.subscriber.access == "pppoe":
            self._show_ppp()
        else:
            self._show_hotspot()
        self.show_queue()
        self.show_lists(now)

    def take_away(self) -> None:
        """The session is no more."""
        self._drop(self._rows + self._listed + ([self._queue] if self._queue else []))

    def show_queue(self) -> None:
        """The dynamic queue, as its limits are now."""
        wanted = queue(self.session.told)
        table = self._device.tables[QUEUES]
        if self._queue is not None:
            row = self._queue[1]
            if wanted:
                table.change(row, wanted, [name for name in _OF_A_RATE if name not in wanted])
            else:
                self._drop([self._queue])
                self._queue = None
        elif wanted:
            ppp = self.session.subscriber.access == "pppoe"
            target = self.name if ppp else f"{self.session.framed_ip}/32"
            values = {"name": self.name, "target": target, "dynamic": "true", **wanted}
            self._queue = (table, table.append(values, live=self._queue_bytes, owner=self._owner))

    def show_lists(self, now: int) -> None:
        """The address on the lists that the session was told."""
        self._drop(self._listed)
        self._listed = []
        for name in self.session.words(ADDRESS_LIST):
            found = self._device.list_address(name, self.session.framed_ip, self._owner, now)
            if found is not None:
                self._listed.append(found)

    def _free_name(self) -> str:
        """<pppoe-eve>, or <pppoe-eve-1> where there is such a one."""
        who = self.session.subscriber
        taken = self._device.tables["/interface" if who.access == "pppoe" else QUEUES]
        base = name = f"<{who.access}-{who.username}>"
        number = 0
        while taken.where(name=name):
            number += 1
            name = f"{base[:-1]}-{number}>"
        return name

    def _show_ppp(self) -> None:
        session = self.session
        interface = {"name": self.name, "type": "pppoe-in", "mtu": "1480", "dynamic": "true"}
        self._show("/interface", interface, None)
        active = {
            "name": session.subscriber.username,
            "service": "pppoe",
            "caller-id": session.subscriber.mac,
            "address": session.framed_ip,
            "encoding": "",
            "session-id": session.acct_session_id,
            "limit-bytes-in": str(session.limit("Recv")),
            "limit-bytes-out": str(session.limit("Xmit")),
            "radius": "true",
        }
        self._show("/ppp/active", active, self._uptime)

    def _show_hotspot(self) -> None:
        session = self.session
        host = {"mac-address": session.subscriber.mac, "address": session.framed_ip, "server": "hotspot1"}
        seen = {"to-address": session.framed_ip, "authorized": "true", "bypassed": "false", "dynamic": "true"}
        self._show("/ip/hotspot/host", {**host, **seen}, self._hotspot_uptime)
        login = {"user": session.subscriber.username, "login-by": "http-chap", "radius": "true"}
        self._show("/ip/hotspot/active", {**host, **login}, self._hotspot_uptime)

    def _show(self, path: str, values: Mapping[str, str], live: Live | None) -> None:
        table = self._device.tables[path]
        self._rows.append((table, table.append(values, live=live, owner=self._owner)))

    def _drop(self, rows: list[tuple[Table, Row]]) -> None:
        for table, row in rows:
            if row.number in table.rows:
                table.remove(row)

    def _uptime(self, _now: int) -> Mapping[str, str]:
        return {"uptime": self._print(self._meter()[2])}

    def _hotspot_uptime(self, _now: int) -> Mapping[str, str]:
        up, down, online, left = self._meter()
        shown = {
            "uptime": self._print(online),
            "idle-time": self._print(0),
            "bytes-in": str(up),
            "bytes-out": str(down),
        }
        return shown if left is None else {**shown, "session-time-left": self._print(left)}

    def _queue_bytes(self, _now: int) -> Mapping[str, str]:
        up, down, _, _ = self._meter()
        return {"bytes": f"{up}/{down}"}

    def _print(self, microseconds: int) -> str:
        return print_time(microseconds // SECOND * SECOND, self._device.version)
