"""The routers of one database as peers whose lists are kept (shell)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import select

from aaa import clock
from aaa.routeros import lease
from aaa.routeros.client import Client, Command, RouterAway, Trap, Where, any_of
from aaa.routeros.executor import Away, Refused
from aaa.routeros.lists import V4, V6
from aaa.store.database import Database
from aaa.store.seal import SealBroken, Sealer
from aaa.store.settings import read_settings
from aaa.store.tables import nas, router

_LEASE: Final = 60
"""Seconds: more than a batch takes, however slow the router."""
_CONNECTIONS: Final = {V4: "/ip/firewall/connection", V6: "/ipv6/firewall/connection"}


class NoApi(RouterAway):
    """The router has no API that we could speak to: none is set, or its password cannot be opened."""


def where(db: Database, keys: Sealer, nas_id: int) -> Where:
    """A router's API. Raises NoApi."""
    with db.read() as conn:
        row = conn.execute(select(nas).where(nas.c.id == nas_id, nas.c.removed.is_(False))).first()
    if row is None or row.api_host is None:
        raise NoApi("it has no api")
    try:
        password = keys.unseal("nas", "api_password", nas_id, row.api_password)
    except SealBroken as error:
        raise NoApi(str(error)) from None
    return Where(row.api_host, row.api_port, row.api_user, password.decode(), row.api_tls)


def connect(db: Database, keys: Sealer, nas_id: int) -> "RouterPeer":
    """Raises Away."""
    try:
        client = Client(where(db, keys, nas_id))
    except RouterAway as error:
        _look_soon(db, nas_id)
        raise Away(str(error)) from None
    with db.read() as conn:
        portal = read_settings(conn).server_ip
    return RouterPeer(client, portal)


def _look_soon(db: Database, nas_id: int) -> None:
    """Have a router visited that was last seen well, so that it is known to be away."""
    well = router.update().where(router.c.nas_id == nas_id, router.c.failures == 0, router.c.due_at > clock.now())
    with db.write() as conn:
        conn.execute(well.values(due_at=clock.now()))


class RouterPeer:
    """A Peer (aaa.routeros.executor) over a connection; `portal` is where redirects lead."""

    def __init__(self, client: Client, portal: str | None) -> None:
        self._client = client
        self._portal = portal

    def find(self, menu: str, shown: Sequence[str], name: str, values: Iterable[str]) -> list[Mapping[str, object]]:
        try:
            return list(self._client.find(menu, shown, any_of(name, values)))
        except RouterAway as error:
            raise Away(str(error)) from None
        except Trap as trap:
            if trap.unknown:
                return []  # a RouterOS without IPv6 has nothing there
            raise Refused(str(trap)) from None

    def remove(self, menu: str, ids: Sequence[str]) -> None:
        self._run([Command(f"{menu}/remove", ((".id", one),)) for one in ids])

    def add(self, menu: str, rows: Sequence[Mapping[str, str]]) -> None:
        self._run([Command(f"{menu}/add", tuple(row.items())) for row in rows])

    def change(self, menu: str, ids: Sequence[str], values: Mapping[str, str]) -> None:
        self._run([Command(f"{menu}/set", ((".id", one), *values.items())) for one in ids])

    def clear(self, addresses: Sequence[str], redirected: Sequence[str]) -> None:
        for menu, connections in _CONNECTIONS.items():
            wanted = [{one for one in some if (":" in one) == (menu == V6)} for some in (addresses, redirected)]
            if any(wanted):
                self._clear(connections, *wanted)

    def close(self) -> None:
        self._client.close()

    def _clear(self, menu: str, addresses: set[str], redirected: set[str]) -> None:
        """Queries compare whole values, and these have ports: so all are read, once for a batch."""
        try:
            rows = self._client.find(menu, (".id", "src-address", "reply-src-address"))
        except RouterAway as error:
            raise Away(str(error)) from None
        except Trap:
            return  # RouterOS 6 does not show IPv6 connections
        doomed = [
            row[".id"]
            for row in rows
            if (source := _host(row.get("src-address", ""))) in addresses
            or (source in redirected and _host(row.get("reply-src-address", "")) == self._portal)
        ]
        self._run([Command(f"{menu}/remove", ((".id", one),)) for one in doomed])

    def _run(self, commands: Sequence[Command]) -> None:
        """Carry out what can be in any order; what somebody else has done already is done."""
        try:
            replies = self._client.run_all(commands)
        except RouterAway as error:
            raise Away(str(error)) from None
        for reply in replies:
            if reply.trap is not None and not (reply.trap.gone or reply.trap.exists):
                raise Refused(str(reply.trap))


def _host(place: str) -> str:
    """The address of `10.0.0.5:443`, and of what has no port."""
    return place.rpartition(":")[0] if place.count(":") == 1 else place


class ListsLease:
    """The lists of this database's routers, held in the name of one process."""

    def __init__(self, db: Database, holder: str) -> None:
        self._db = db
        self._holder = holder

    def take(self, nas_id: int) -> bool:
        return lease.take(self._db, nas_id, "lists", self._holder, clock.now(), _LEASE)

    def let_go(self, nas_id: int) -> None:
        lease.let_go(self._db, nas_id, "lists", self._holder)
