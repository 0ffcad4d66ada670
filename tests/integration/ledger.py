"""What the tests of the ledger share: the document of the manual, its loading, and looking at what is stored."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from aaa.clock import DAY, SECOND
from aaa.commands.breaker import CutsHeld
from aaa.domain.timeline import Timeline
from aaa.store.database import Database
from aaa.store.queries import ServiceRef, find_service
from aaa.store.seal import Sealer
from aaa.store.tables import metadata, service
from aaa.store.timelines import read_timeline
from billing.tables import metadata as billing_metadata
from ledgate.load import Counts, load
from ledgate.load.fields import parse_instant
from tests.integration.population import add_nas, add_session

__all__ = ["DAY", "SECOND"]

SEALER = Sealer([bytes(range(32))])
NOW = parse_instant("2026-11-24T08:30:00Z", "UTC")
LAST_PAYMENT = parse_instant("2026-11-01T00:00:00Z", "UTC")

EXAMPLE: dict[str, list[dict[str, Any]]] = {
    "visps": [{"name": "tehran", "currency": "IRR", "timezone": "Asia/Tehran", "realm": "tehran.example"}],
    "plans": [
        {
            "name": "home20",
            "visp": "tehran",
            "price": 400000,
            "reply": {"Mikrotik-Rate-Limit": "20M/20M", "Framed-Pool": "pool1"},
        }
    ],
    "controls": [
        {"name": "Home-Users", "max_debt": 800000, "max_delay": 2592000, "anchor": "last_payment"},
        {"name": "VIP", "max_debt": None, "max_delay": None},
    ],
    "finish_rules": [
        {
            "name": "garden",
            "debit": {"restrict": {"pool": "finish", "address_list": "overdue", "rate_limit": "128k/128k"}},
            "expire": "deny",
        }
    ],
    "params": [
        {"scope": "server", "name": "DebitControl", "value": "Home-Users", "status": "passthrough-yes"},
        {"scope": "visp:tehran", "name": "FinishRule", "value": "garden"},
        {"scope": "user:ali", "name": "DebitControl", "value": "VIP"},
    ],
    "nas": [
        {
            "name": "mt1",
            "address": "127.0.0.1",
            "identifier": None,
            "secret": "testing123",
            "coa_port": 3799,
            "require_message_authenticator": "auto",
            "octets": "rfc",
        }
    ],
    "subscribers": [
        {
            "username": "ali",
            "password": "secret",
            "visp": "tehran",
            "plan": "home20",
            "balance": -812000,
            "last_payment": "2026-11-01T00:00:00Z",
            "static_ip": None,
            "mac": None,
            "mac_auth": False,
            "active_to": None,
        }
    ],
}


def example(**sections: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The document of the manual, with more objects in its sections, and more keys of those it has by name."""
    return extended(EXAMPLE, sections)


def extended(
    document: Mapping[str, list[dict[str, Any]]], sections: Mapping[str, list[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """A document with more objects in its sections, and more keys of those that it has by name."""
    found = copy.deepcopy(dict(document))
    for section, more in sections.items():
        listed = found.setdefault(section, [])
        known = {(one.get("name"), one.get("visp")): one for one in listed if section != "params"}
        for one in more:
            if "name" in one and (one["name"], one.get("visp")) in known:
                known[one["name"], one.get("visp")].update(one)
            else:
                listed.append(one)
    return found


def subscriber(username: str, balance: Any = 0, **more: Any) -> dict[str, Any]:
    """A subscriber of the VISP and plan of the example."""
    return {
        "username": username,
        "password": f"pw-{username}",
        "visp": "tehran",
        "plan": "home20",
        "balance": balance,
    } | more


def put(db: Database, document: object, now: int = NOW) -> Counts:
    """Load, and confirm whatever it cuts off."""
    try:
        return load(db, document, SEALER, actor="test", now=now)
    except CutsHeld as held:
        return load(db, document, SEALER, actor="test", now=now, confirmed=held.preview.cut)


def ref(db: Database, name: str) -> ServiceRef:
    with db.read() as conn:
        return find_service(conn, name)


def timeline_of(db: Database, name: str) -> tuple[Timeline, int]:
    """A subscriber's present timeline and its version."""
    with db.read() as conn:
        found = read_timeline(conn, find_service(conn, name).service_id)
    assert found is not None
    return found


def content(db: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but for the counter that each SQLite transaction bumps."""
    tables = [table for one in (metadata, billing_metadata) for table in one.sorted_tables]
    with db.snapshot() as conn:
        return {
            table.name: sorted((tuple(row) for row in conn.execute(select(table))), key=repr)
            for table in tables
            if table.name != "feed_counter"
        }


def rows(db: Database, table: Any, *where: Any) -> list[Any]:
    """A table's rows, in the order of its primary key."""
    with db.read() as conn:
        return list(conn.execute(select(table).where(*where).order_by(*table.primary_key)))


def service_row(db: Database, username: str) -> Any:
    [row] = rows(db, service, service.c.username == username)
    return row


def make_live(db: Database, usernames: Iterable[str]) -> dict[str, int]:
    """An open session for each of these subscribers; their ids."""
    refs = [ref(db, username) for username in usernames]
    with db.write() as conn:
        nas_id = add_nas(conn, "live", address="10.9.9.9")
        return {one.username: add_session(conn, nas_id, one.service_id, one.service_id) for one in refs}
