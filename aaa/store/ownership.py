"""Whose session it is: from an accounting record to the service, under the service's lock (shell).

The lock is the one that every change of a service takes. So a change either sees the session that is being opened and
asks for it to be planned again, or is seen here as a newer version; and of two sessions of one service that open at
once, the second sees the first.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from aaa.domain import mac
from aaa.domain.session import Record
from aaa.store import dialect
from aaa.store.record import Entry, UnknownFormat, entry
from aaa.store.tables import access, service, visp


class Grant(NamedTuple):
    """What a service is served now. `record` and its `head` are None if the service is gone, or its record is one that
    another version of the product wrote."""

    version: int
    record: bytes | None
    head: Entry | None


class Owners(NamedTuple):
    """`services`: the service of each record's key, None if it is nobody's. `misnamed`: keys whose Class names a
    service that has another user name, so they must be looked up by name. The services are locked."""

    services: dict[bytes, int | None]
    misnamed: set[bytes]


_LOCKED: Final = (
    select(service.c.id, service.c.username).order_by(service.c.id).with_for_update(key_share=True)
)  # FOR NO KEY UPDATE: rows that refer to the service may still be inserted by others
_NAMED: Final = select(service.c.id, service.c.username, visp.c.realm).join(visp, service.c.visp_id == visp.c.id)
_GRANTS: Final = select(access.c.service_id, access.c.version, access.c.record)


def find_owners(conn: Connection, records: Iterable[Record], by_name: set[bytes]) -> Owners:
    """Lock and return the services of these records: by Class, or by user name where there is none of ours and for the
    keys `by_name`."""
    by_key: dict[bytes, Record] = {}
    for record in records:
        if record.key not in by_key or by_key[record.key].authorisation is None:
            by_key[record.key] = record
    classed: dict[bytes, int] = {}
    nameless: dict[bytes, Record] = {}
    for key, record in by_key.items():
        if record.authorisation is not None and key not in by_name:
            classed[key] = record.authorisation.service_id
        else:
            nameless[key] = record
    named = _by_name(conn, nameless)
    wanted = sorted({*classed.values(), *(found for found in named.values() if found is not None)})
    usernames: dict[int, str] = {}
    if wanted:
        locked = conn.execute(_LOCKED.where(dialect.among(conn, service.c.id, wanted))).all()
        usernames = {row.id: row.username for row in locked}
    services: dict[bytes, int | None] = {key: found if found in usernames else None for key, found in named.items()}
    misnamed = set()
    for key, service_id in classed.items():
        username = usernames.get(service_id)
        if username is None or not is_called(by_key[key].username, username):
            misnamed.add(key)
        services[key] = service_id
    return Owners(services, misnamed)


def read_grants(conn: Connection, service_ids: Iterable[int]) -> dict[int, Grant]:
    """What these services are served, by id; call it after they were locked."""
    wanted = set(service_ids)
    if not wanted:
        return {}
    rows = conn.execute(_GRANTS.where(dialect.among(conn, access.c.service_id, wanted))).all()
    return {row.service_id: _grant(row.version, row.record) for row in rows}


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


def _by_name(conn: Connection, records: Mapping[bytes, Record]) -> dict[bytes, int | None]:
    if not records:
        return {}
    readings = {key: _readings(record.username) for key, record in records.items() if record.username}
    names = {name for choices in readings.values() for name, _ in choices}
    found: dict[str, list[Any]] = {}
    for row in conn.execute(_NAMED.where(dialect.among(conn, service.c.username, names))):
        found.setdefault(row.username, []).append(row)
    return {key: _choose(readings.get(key, []), found) for key in records}


def _choose(readings: list[tuple[str, str | None]], found: Mapping[str, list[Any]]) -> int | None:
    """The first reading that means exactly one service."""
    for name, realm in readings:
        rows = found.get(name, [])
        if realm is not None:
            rows = [row for row in rows if row.realm is not None and row.realm.lower() == realm]
        if len(rows) == 1:
            service_id: int = rows[0].id
            return service_id
    return None
