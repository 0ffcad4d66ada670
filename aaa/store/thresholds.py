"""What accounting must notice of a service's use (R6.3): written when the service is compiled, asked after every batch
(shell).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    Select,
    String,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import UpdateBase

from aaa.domain.usage import DOWNLOAD, SECONDS, UPLOAD, Threshold
from aaa.store import dialect, prepared
from aaa.store.tables import recompile_request, threshold, usage_day

CROSSED: Final = "usage"
"""The kind of the recompile requests that accounting makes."""


def store_thresholds(conn: Connection, wanted: Mapping[int, Collection[Threshold]]) -> None:
    """Give each of these services, which the caller holds locked, exactly these thresholds."""
    held: dict[int, set[Threshold]] = {}
    for row in conn.execute(select(threshold).where(dialect.among(conn, threshold.c.service_id, wanted))):
        held.setdefault(row.service_id, set()).add(Threshold(row.kind, row.since_day, row.until_day, row.more_than))
    differs = [service_id for service_id, those in wanted.items() if held.get(service_id, set()) != set(those)]
    stale = [service_id for service_id in differs if service_id in held]
    if stale:
        conn.execute(threshold.delete().where(dialect.among(conn, threshold.c.service_id, stale)))
    rows = [{"service_id": service_id, **one._asdict()} for service_id in differs for one in wanted[service_id]]
    dialect.insert_many(conn, threshold, rows)


def notice_crossings(tx: prepared.Transaction, services: Iterable[int], now: int) -> None:
    """Ask that those of these services be compiled whose use, of which this transaction may have stored some, has
    crossed a threshold.

    Of two transactions that only together cross it, and on two days, neither may see it; the next record does. Nobody
    waits here: where a request is there already, or just being carried out, none is made.
    """
    asked = sorted(set(services))
    if asked:
        tx.run(_NOTICE, {"services": prepared.many(tx, asked), "now": now})


def refresh_quotas(tx: prepared.Transaction, services: Iterable[int], now: int) -> None:
    """Ask that those of these services be compiled that have thresholds: their next login must know what was used."""
    asked = sorted(set(services))
    if asked:
        tx.run(_REFRESH, {"services": prepared.many(tx, asked), "now": now})


def _used() -> Any:
    """The use that counts for a threshold. Doubles do not overflow, and are exact far beyond any limit."""
    up, down, seconds = (cast(column, Double) for column in (usage_day.c.up, usage_day.c.down, usage_day.c.seconds))
    kind = threshold.c.kind
    counted = case((kind == SECONDS, seconds), (kind == DOWNLOAD, down), (kind == UPLOAD, up), else_=up + down)
    return (
        select(func.sum(counted))
        .where(
            usage_day.c.service_id == threshold.c.service_id,
            usage_day.c.day >= threshold.c.since_day,
            usage_day.c.day < threshold.c.until_day,
        )
        .correlate(threshold)
        .scalar_subquery()
    )


def _watched(for_postgresql: bool, *where: ColumnElement[bool]) -> Select[Any]:
    waiting = exists().where(recompile_request.c.service_id == threshold.c.service_id)
    return (
        select(
            threshold.c.service_id,
            cast(literal(CROSSED), String(32)),
            cast(bindparam("now", type_=BigInteger), BigInteger),
        )
        .where(
            prepared.listed(threshold.c.service_id, "services", for_postgresql),
            ~waiting,
            *where,
        )
        .distinct()
        .order_by(threshold.c.service_id)
    )


def _request(for_postgresql: bool, services: Select[Any]) -> UpdateBase:
    names = ["service_id", "kind", "requested_at"]
    if for_postgresql:
        return postgresql.insert(recompile_request).from_select(names, services).on_conflict_do_nothing()
    return sqlite.insert(recompile_request).from_select(names, services).on_conflict_do_nothing()


def _notice(for_postgresql: bool) -> UpdateBase:
    return _request(for_postgresql, _watched(for_postgresql, threshold.c.more_than < _used()))


def _refresh(for_postgresql: bool) -> UpdateBase:
    return _request(for_postgresql, _watched(for_postgresql))


_NOTICE: Final = prepared.Prepared(_notice)
_REFRESH: Final = prepared.Prepared(_refresh)
