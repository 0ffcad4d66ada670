"""Rows for the tests of the feed and the replica: what access needs around them, and no more."""

from typing import Any

from sqlalchemy import Connection, insert, select, update

from aaa.store import dialect
from aaa.store.tables import (
    access,
    account,
    enforcement,
    feed_counter,
    nas,
    profile,
    service,
    session,
    subscriber,
    visp,
)

NOW = 1_790_000_000_000_000


def add_visp(conn: Connection, name: str = "tehran", realm: str | None = None) -> int:
    row = {"name": name, "currency": "IRR", "timezone": "Asia/Tehran", "realm": realm}
    return _added(conn.execute(insert(visp).values(row)))


def add_service(conn: Connection, visp_id: int, username: str, record: bytes) -> int:
    """A service with its access row."""
    who = _added(conn.execute(insert(subscriber).values(visp_id=visp_id, name=username)))
    owed = insert(account).values(subscriber_id=who, visp_id=visp_id, currency="IRR", dues=[])
    account_id = _added(conn.execute(owed))
    row = {"account_id": account_id, "visp_id": visp_id, "username": username, "password": b"sealed"}
    service_id = _added(conn.execute(insert(service).values(row)))
    served = {"service_id": service_id, "visp_id": visp_id, "username": username, "version": 1, "record": record}
    conn.execute(insert(access).values(served))
    return service_id


def set_access(conn: Connection, service_id: int, **values: Any) -> None:
    conn.execute(update(access).where(access.c.service_id == service_id).values(values))


def add_nas(conn: Connection, name: str = "mt1", **values: Any) -> int:
    row = {"name": name, "address": "10.0.0.1", "secret": b"\0sealed", **values}
    return _added(conn.execute(insert(nas).values(row)))


def add_profile(conn: Connection, profile_id: int, encoded: bytes) -> None:
    conn.execute(insert(profile).values(id=profile_id, attributes="[]", encoded=encoded))


def add_session(conn: Connection, nas_id: int, service_id: int | None, number: int, calling: str = "") -> int:
    row = {
        "key": b"key-%d" % number,
        "nas_id": nas_id,
        "source": "10.0.0.1",
        "identifier": "mt",
        "acct_session_id": f"8{number:07}",
        "username": "ali",
        "service_id": service_id,
        "calling_station_id": calling,
        "started_at": NOW,
        "recorded_at": NOW,
        "heard_at": NOW,
        "interim": 300,
    }
    return _added(conn.execute(insert(session).values(row)))


def close_session(conn: Connection, session_id: int) -> None:
    conn.execute(update(session).where(session.c.id == session_id).values(closed_at=NOW, closed_by="stop"))


def wish(conn: Connection, session_id: int, service_id: int) -> None:
    """An enforcement row."""
    row = {"session_id": session_id, "service_id": service_id, "wanted_version": 2, "cause": "payment"}
    statement = dialect.upsert(conn, enforcement).values({**row, "requested_at": NOW, "not_before": NOW})
    conn.execute(statement.on_conflict_do_update(index_elements=["session_id"], set_={"feed": dialect.feed_mark()}))


def renew_epoch(conn: Connection, epoch: str) -> None:
    conn.execute(update(feed_counter).values(epoch=epoch))


def access_rows(conn: Connection) -> dict[int, bytes | None]:
    """service id -> record, as the database has it."""
    return {row.service_id: row.record for row in conn.execute(select(access.c.service_id, access.c.record))}


def _added(result: Any) -> int:
    return int(result.inserted_primary_key[0])
