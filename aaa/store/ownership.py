"""Whose session it is: from an accounting record to the service, under the service's lock (shell).

The lock is the one that every change of a service takes. So a change either sees the session that is being opened and
asks for it to be planned again, or is seen here as a newer version; and of two sessions of one service that open at
once, the second sees the first.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, exists, select

from aaa.domain import mac
from aaa.domain.session import Peer, Record, device_of
from aaa.store import prepared
from aaa.store.record import Entry, UnknownFormat, entry
from aaa.store.tables import access, service, session, threshold, visp


class Grant(NamedTuple):
    """What a service is served now. `record` and its `head` are None if the service is gone, or its record is one that
    another version of the product wrote."""

    version: int
    record: bytes | None
    head: Entry | None


class Owners(NamedTuple):
    """`services`: the service of each record's key, None if it is nobody's. `misnamed`: keys whose Class names a
    service that has another user name, so they must be looked up by name. `grants`: what the services are served, by
    id; `peers`: their open sessions. The services are locked: none can open another, or be served anything else."""

    services: dict[bytes, int | None]
    misnamed: set[bytes]
    grants: dict[int, Grant]
    peers: list[Peer]


def _locked(postgresql: bool) -> Select[Any]:
    # FOR NO KEY UPDATE: rows that refer to the service may still be inserted by others
    locked = select(service.c.id, service.c.username, service.c.visp_id)
    locked = locked.where(prepared.listed(service.c.id, "services", postgresql))
    return locked.order_by(service.c.id).with_for_update(key_share=True)


def _named(postgresql: bool) -> Select[Any]:
    named = select(service.c.id, service.c.username, visp.c.realm).join(visp, service.c.visp_id == visp.c.id)
    return named.where(prepared.listed(service.c.username, "names", postgresql))


def _grants(postgresql: bool) -> Select[Any]:
    grants = select(access.c.service_id, access.c.version, access.c.record)
    return grants.where(prepared.listed(access.c.service_id, "services", postgresql))


def _peers(postgresql: bool) -> Select[Any]:
    peers = select(session.c.key, session.c.service_id, session.c.calling_station_id, session.c.started_at)
    return peers.where(session.c.closed_at.is_(None), prepared.listed(session.c.service_id, "services", postgresql))


def _visps(postgresql: bool) -> Select[Any]:
    return select(service.c.id, service.c.visp_id).where(prepared.listed(service.c.id, "services", postgresql))


_LOCKED: Final = prepared.Prepared(_locked)
_NAMED: Final = prepared.Prepared(_named)
_GRANTS: Final = prepared.Prepared(_grants)
_PEERS: Final = prepared.Prepared(_peers)
_VISPS: Final = prepared.Prepared(_visps)
_ZONES: Final = prepared.Prepared(lambda _: select(visp.c.id, visp.c.timezone, exists(select(threshold.c.service_id))))

_MOST: Final = 500_000


class Zones:
    """The timezones of services. A service never leaves its VISP, so that much is remembered from batch to batch."""

    def __init__(self) -> None:
        self._visps: dict[int, int] = {}

    def ask(self, tx: prepared.Transaction) -> prepared.Answer:
        """Ask for the VISPs' timezones, and for whether anybody's use is watched, for `of`."""
        return tx.run(_ZONES, {})

    def know(self, visps: Iterable[tuple[int, int]]) -> None:
        """Services and their VISPs."""
        if len(self._visps) > _MOST:
            self._visps.clear()
        self._visps.update(visps)

    def of(
        self, tx: prepared.Transaction, asked: prepared.Answer, services: Iterable[int]
    ) -> tuple[dict[int, str], bool]:
        """The timezones of these services, by id, and whether there is any threshold at all (aaa.store.thresholds)."""
        wanted = set(services)
        unknown = [one for one in wanted if one not in self._visps]
        if unknown:
            self.know(tx.run(_VISPS, {"services": prepared.many(tx, unknown)}).fetchall())
        rows = asked.fetchall()
        zones = {visp_id: timezone for visp_id, timezone, _ in rows}
        return {one: zones[self._visps[one]] for one in wanted}, any(watched for _, _, watched in rows)


def find_owners(tx: prepared.Transaction, records: Iterable[Record], by_name: set[bytes], zones: Zones) -> Owners:
    """The services of records, locked: by Class, or by user name where there is none of ours and for `by_name`."""
    by_key: dict[bytes, Record] = {}
    for record in records:
        known = by_key.get(record.key)
        if known is None or known.authorisation is None:
            by_key[record.key] = record
    classed: dict[bytes, int] = {}
    nameless: dict[bytes, Record] = {}
    for key, record in by_key.items():
        if record.authorisation is not None and key not in by_name:
            classed[key] = record.authorisation.service_id
        else:
            nameless[key] = record
    named = _by_name(tx, nameless)
    wanted = sorted({*classed.values(), *[found for found in named.values() if found is not None]})
    if not wanted:
        return Owners(dict.fromkeys(by_key), set(), {}, [])
    listed = {"services": prepared.many(tx, wanted)}
    locking = tx.run(_LOCKED, listed)
    granting = tx.run(_GRANTS, listed)  # once they are locked, by a statement of its own
    peering = tx.run(_PEERS, listed)
    locked = locking.fetchall()
    usernames: dict[int, str] = {id: username for id, username, _ in locked}
    zones.know((id, visp_id) for id, _, visp_id in locked)
    services: dict[bytes, int | None] = {key: found if found in usernames else None for key, found in named.items()}
    misnamed = set()
    for key, service_id in classed.items():
        username = usernames.get(service_id)
        if username is None or not is_called(by_key[key].username, username):
            misnamed.add(key)
        services[key] = service_id
    return Owners(
        services,
        misnamed,
        {service_id: _grant(version, record) for service_id, version, record in granting.fetchall()},
        [Peer(key, id, device_of(calling), started_at) for key, id, calling, started_at in peering.fetchall()],
    )


def _grant(version: int, record: bytes | None) -> Grant:
    if record:
        try:
            return Grant(version, record, entry(record))
        except UnknownFormat:
            pass
    return Grant(version, None, None)


def is_called(sent: str, username: str) -> bool:
    r"""Whether User-Name `sent` may stand for the service `username`: as it is, with a realm, as DOMAIN\name, or as a
    MAC address in another spelling."""
    return any(username == name for name, _ in _readings(sent)) or _same_mac(sent, username)


def _readings(sent: str) -> list[tuple[str, str | None]]:
    """What a User-Name may mean: (user name, realm), the likeliest first."""
    readings: list[tuple[str, str | None]] = []
    for name in (sent, sent.rpartition("\\")[2]):
        bare, at, realm = name.rpartition("@")
        if at:
            readings.append((bare, realm.lower()))
        readings.append((name, None))
    normal = mac.normalise(sent)
    if normal is not None:
        readings += [(normal, None), (normal.lower(), None), (normal.replace(":", ""), None)]
    return readings


def _same_mac(sent: str, username: str) -> bool:
    normal = mac.normalise(sent.partition("@")[0])
    return normal is not None and normal == mac.normalise(username)


def _by_name(tx: prepared.Transaction, records: Mapping[bytes, Record]) -> dict[bytes, int | None]:
    if not records:
        return {}
    readings = {key: _readings(record.username) for key, record in records.items() if record.username}
    names = {name for choices in readings.values() for name, _ in choices}
    found: dict[str, list[tuple[int, str | None]]] = {}
    for service_id, username, realm in tx.run(_NAMED, {"names": prepared.many(tx, names)}).fetchall():
        found.setdefault(username, []).append((service_id, realm))
    return {key: _choose(readings.get(key, []), found) for key in records}


def _choose(readings: list[tuple[str, str | None]], found: Mapping[str, list[tuple[int, str | None]]]) -> int | None:
    """The first reading that means exactly one service."""
    for name, realm in readings:
        services = found.get(name, [])
        if realm is not None:
            services = [one for one in services if one[1] is not None and one[1].lower() == realm]
        if len(services) == 1:
            return services[0][0]
    return None
