"""Routers with an API for tests: a fake one with the usual firewall, and what it holds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aaa import clock
from aaa.routeros.client import Client, Where
from aaa.routeros.rows import ADDRESS_LIST, FILTER, FILTER_6, NAT
from ledgate.lab.behaviour import Behaviour
from ledgate.lab.routeros.commands import Sentence, run
from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.login import Method, User
from ledgate.lab.routeros.server import ApiEvent, ApiServer
from ledgate.lab.routeros.tables import Item

ESTABLISHED = "established,related"
FIREWALL: tuple[tuple[str, Mapping[str, str]], ...] = (
    (FILTER, {"chain": "input", "action": "accept", "comment": "Novák"}),
    (FILTER, {"chain": "forward", "action": "drop", "connection-state": "invalid"}),
    (FILTER, {"chain": "forward", "action": "fasttrack-connection", "connection-state": ESTABLISHED}),
    (FILTER, {"chain": "forward", "action": "accept", "connection-state": ESTABLISHED}),
    (FILTER, {"chain": "forward", "action": "drop", "in-interface": "ether1"}),
    (NAT, {"chain": "srcnat", "action": "masquerade", "out-interface": "ether1"}),
    (ADDRESS_LIST, {"list": "mine", "address": "10.0.0.1", "comment": "کوه"}),
)
FIREWALL_6 = (FILTER_6, {"chain": "forward", "action": "accept", "connection-state": ESTABLISHED})
PASSWORD = "hush-hush"


class Box:
    """A fake router and its API. `writes` are the commands that changed something."""

    def __init__(self, version: str = "7.16.2", *, tls: bool = False, login: Method = "plain", port: int = 0) -> None:
        self.behaviour = Behaviour()
        self.device = Device(version, clock.now(), identity="mt1", behaviour=self.behaviour)
        self.events: list[ApiEvent] = []
        self.tls = tls
        self.users = [User("ledgate", PASSWORD), User("reader", PASSWORD, "read")]
        self.server = ApiServer(
            self.device,
            self.users,
            tls=tls,
            login=login,
            port=port,
            behaviour=self.behaviour,
            on_event=self.events.append,
        )
        ipv6 = (FIREWALL_6,) if self.device.table(FILTER_6) is not None else ()
        for menu, values in (*FIREWALL, *ipv6):
            self.do(menu, "add", **values)

    def do(self, menu: str, verb: str, **values: str) -> None:
        """A command, as somebody gives it by hand."""
        with self.server.lock:
            run(self.device, Sentence(menu, verb, values), clock.now())

    def rows(self, menu: str) -> list[Item]:
        with self.server.lock:
            table = self.device.table(menu)
            assert table is not None
            return [dict(table.item(row, clock.now())) for row in table]

    def ours(self, menu: str) -> list[Item]:
        return [row for row in self.rows(menu) if row.get("comment", "").startswith("ledgate:")]

    def foreign(self) -> dict[str, list[Item]]:
        menus = (FILTER, NAT, ADDRESS_LIST, FILTER_6)
        return {
            menu: [row for row in self.rows(menu) if not row.get("comment", "").startswith("ledgate:")]
            for menu in menus
            if self.device.table(menu) is not None
        }

    @property
    def writes(self) -> list[str]:
        return [event.what for event in self.events if event.kind == "write"]

    @property
    def where(self) -> Where:
        return Where("127.0.0.1", self.server.port, "ledgate", PASSWORD, self.tls)

    def api(self) -> dict[str, object]:
        """As a load file names it."""
        return {
            "host": "127.0.0.1",
            "port": self.server.port,
            "tls": self.tls,
            "user": "ledgate",
            "password": PASSWORD,
        }

    @contextmanager
    def client(self) -> Iterator[Client]:
        client = Client(self.where)
        try:
            yield client
        finally:
            client.close()


@contextmanager
def box(version: str = "7.16.2", *, tls: bool = False, login: Method = "plain") -> Iterator[Box]:
    made = Box(version, tls=tls, login=login)
    with made.server:
        yield made
