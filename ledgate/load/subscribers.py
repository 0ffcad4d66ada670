"""The section `subscribers` of a load file, a chunk at a time (shell)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select

from aaa.commands import catalogue, services, suspensions
from aaa.commands.door import Change
from aaa.domain.instant import iso
from aaa.domain.service import Level
from aaa.domain.suspension import Suspension
from aaa.store import dialect
from aaa.store.seal import Sealer
from aaa.store.tables import plan, service, visp
from billing import openings
from ledgate.load import accounts, fields, keys, scopes
from ledgate.load import suspensions as suspension_lists
from ledgate.load.fields import BadLoad, Reader

CHUNK: Final = 5_000


@dataclass(slots=True)
class Names:
    """What a subscriber may refer to: (id, currency, timezone) of VISPs by name, ids of plans by VISP id and name, of
    centers, resellers and classes by level and name.
    """

    visps: Mapping[str, tuple[int, str, str]]
    plans: Mapping[tuple[int, str], int]
    scopes: Mapping[tuple[Level, str], int]
    seen: dict[tuple[int, str], str] = field(default_factory=dict)
    """Where in the file a subscriber is, by VISP id and username."""


class Subscribers:
    """Those of one load. `paths` is told where a VISP's subscribers were put into a center, reseller or class."""

    def __init__(self, door: Change, sealer: Sealer, paths: dict[tuple[str, object], str]) -> None:
        self._door = door
        self._conn: Connection = door.conn
        self._sealer = sealer
        self._paths = paths
        self._accounts = accounts.Accounts(door)
        self.ambiguous: dict[str, list[str]] = {}
        """The usernames made here that are in several VISPs now, and those by name."""
        self._present: set[str] = set()
        """The usernames of the file that there are already."""

    def lock(self, subscribers: Sequence[Any]) -> None:
        """Lock the scopes, and the accounts of those subscribers that are there already, or that the file names."""
        self._door.lock_scopes()
        found: set[int] = set()
        for at in range(0, len(subscribers), CHUNK):
            readers = [
                Reader(one, f"subscribers[{at + index}]", keys.SUBSCRIBER)
                for index, one in enumerate(subscribers[at : at + CHUNK])
            ]
            usernames = [reader.need("username", fields.username) for reader in readers]
            found.update(accounts.ids_named(self._conn, readers))
            owners = select(service.c.account_id, service.c.username)
            for row in self._conn.execute(owners.where(dialect.among(self._conn, service.c.username, usernames))):
                found.add(row.account_id)
                self._present.add(row.username)
        self._door.lock_accounts(found)

    def names(self) -> Names:
        visps = {row.name: (row.id, row.currency, row.timezone) for row in self._conn.execute(select(visp))}
        plans = {(row.visp_id, row.name): row.id for row in self._conn.execute(select(plan))}
        named = {
            (level, row.name): row.id
            for level in scopes.SECTIONS.values()
            for row in self._conn.execute(select(catalogue.LEVEL_TABLES[level]))
        }
        return Names(visps, plans, named)

    def put(self, readers: Sequence[Reader], names: Names) -> int:
        """Make or update one chunk; returns how many were made."""
        usernames = [reader.need("username", fields.username) for reader in readers]
        known: dict[str, list[Any]] = {}
        present = self._present.intersection(usernames)
        found = select(service).where(dialect.among(self._conn, service.c.username, present))
        for row in self._conn.execute(found).mappings() if present else ():
            known.setdefault(row["username"], []).append(row)
        self._accounts.begin(readers, {row["account_id"] for those in known.values() for row in those})
        fresh: list[services.NewService] = []
        joining: list[services.NewService] = []
        opened: list[openings.Opening] = []
        suspended: dict[int, list[Suspension]] = {}
        to_suspend: dict[tuple[int, str], list[Suspension]] = {}
        for reader, username in zip(readers, usernames, strict=True):
            place, existing = self._place(reader, username, known.get(username, []), names)
            visp_id, currency, zone = place
            other = names.seen.setdefault((visp_id, username), reader.path)
            if other != reader.path:
                raise BadLoad(reader.at("username"), f"{username!r} is in {other} already")
            values = self._service_values(reader, visp_id, zone, names)
            balance = reader.take("balance", fields.whole(-fields.MOST, fields.MOST)) or 0
            last_payment = reader.take("last_payment", fields.instant(zone))
            if last_payment is not None and last_payment > self._door.now:
                raise BadLoad(reader.at("last_payment"), f"{iso(last_payment)} is yet to come: nobody has paid then")
            wanted = suspension_lists.read(reader, zone)
            if existing is not None:
                secret = reader.take("password", fields.password, null=False)
                services.update(self._door, existing, values, secret, self._sealer)
                self._accounts.update(reader, username, existing["account_id"])
                if wanted is not None:
                    suspended[existing["id"]] = wanted
                continue
            secret = reader.need("password", fields.password)
            to_suspend[visp_id, username] = wanted or []
            joins = self._accounts.joins(reader, visp_id)
            owns = self._accounts.columns(reader, visp_id)
            (joining if joins else fresh).append(services.NewService(username, secret, visp_id, currency, values, owns))
            if not joins:
                opened.append(openings.Opening(currency, balance, last_payment))
        standings = openings.prepare(self._door, opened)
        made = services.create(self._door, fresh, standings, self._sealer)
        openings.post(self._door, [(one.account_id, one.event_id) for one in made], opened, standings)
        self._accounts.made(fresh, made)
        made += services.join(self._door, joining, self._accounts.joined(joining), self._sealer)
        for one, its in zip((*fresh, *joining), made, strict=True):
            if those := to_suspend[one.visp_id, one.username]:
                suspended[its.service_id] = those
        suspensions.replace(self._door, suspended)
        if len(names.visps) > 1:
            self._note_ambiguous([one.username for one in (*fresh, *joining)])
        return len(made)

    def _note_ambiguous(self, made: Sequence[str]) -> None:
        homes = select(service.c.username, visp.c.name).join(visp, service.c.visp_id == visp.c.id).order_by(visp.c.name)
        found: dict[str, list[str]] = {}
        for row in self._conn.execute(homes.where(dialect.among(self._conn, service.c.username, made))):
            found.setdefault(row.username, []).append(row.name)
        self.ambiguous.update((username, visps) for username, visps in found.items() if len(visps) > 1)

    def _place(
        self, reader: Reader, username: str, known: Sequence[Any], names: Names
    ) -> tuple[tuple[int, str, str], Any]:
        """The VISP of a subscriber, and its row if it is there already."""
        if reader.raw("visp") is None and len(known) == 1:
            [row] = known
            return next(place for place in names.visps.values() if place[0] == row["visp_id"]), row
        name = reader.need("visp", fields.name)
        place = names.visps.get(name)
        if place is None:
            raise BadLoad(reader.at("visp"), f"there is no VISP called {name!r}")
        return place, next((row for row in known if row["visp_id"] == place[0]), None)

    def _service_values(self, reader: Reader, visp_id: int, zone: str, names: Names) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if reader.has("plan"):
            plan_name = reader.take("plan", fields.name)
            values["plan_id"] = None if plan_name is None else names.plans.get((visp_id, plan_name))
            if plan_name is not None and values["plan_id"] is None:
                raise BadLoad(reader.at("plan"), f"its VISP has no plan called {plan_name!r}")
        for key, level in scopes.MEMBERSHIPS.items():
            if reader.has(key):
                values[f"{key}_id"] = self._member(reader, key, level, visp_id, names)
        for key, read in (
            ("static_ip", fields.ipv4),
            ("mac", fields.mac_address),
            ("active_to", fields.instant(zone)),
        ):
            if reader.has(key):
                values[key] = reader.take(key, read)
        for key in ("mac_auth", "dont_show_overdue"):
            if reader.has(key):
                values[key] = reader.take(key, fields.switch) or False
        return values

    def _member(self, reader: Reader, key: str, level: Level, visp_id: int, names: Names) -> int | None:
        """The id of the center, reseller or class that a subscriber is put into; None: into none."""
        name = reader.take(key, fields.name)
        if name is None:
            return None
        found = names.scopes.get((level, name))
        if found is None:
            raise BadLoad(reader.at(key), f"there is no {key} called {name!r}")
        self._paths.setdefault(("member", (level, found, visp_id)), reader.at(key))
        return found
