"""Addresses of pools that services have while their timelines want them (R3.1, R3.3; shell).

Every address of a pool is a row: free, or some service's. Rows of a service are changed under that service's lock only,
and free rows are taken with SKIP LOCKED; so nobody waits here, and no address is given twice, whatever processes and
machines compile at once. The longest free goes first: its last owner may still be about to be disconnected.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select

from aaa.domain.address_pool import Span, dotted, holds, in_order, span_of
from aaa.store import dialect
from aaa.store.tables import pool, pool_address, pool_wait

_log: Final = logging.getLogger(__name__)

Leased = dict[str, str]
"""A service's addresses, by the name of the pool."""


class Pool(NamedTuple):
    """A pool as stored; its spans are in order."""

    id: int
    name: str
    spans: tuple[Span, ...]


class PoolUse(NamedTuple):
    """How many addresses a pool has and how many are in use; `waiting` services want one and have none."""

    name: str
    ranges: Sequence[str]
    size: int
    used: int
    waiting: int


def read_pools(conn: Connection) -> dict[str, Pool]:
    """All pools, by name."""
    return {
        row.name: Pool(row.id, row.name, in_order(map(span_of, row.ranges)))
        for row in conn.execute(select(pool).order_by(pool.c.id))
    }


class Leases:
    """The addresses of the services of one transaction, which holds their locks if it settles them. `pools` are those
    there are, if they were read already.
    """

    def __init__(self, conn: Connection, pools: Mapping[str, Pool] | None = None) -> None:
        self._conn = conn
        self._pools = read_pools(conn) if pools is None else pools
        self._names = {one.id: one.name for one in self._pools.values()}
        self._held: dict[tuple[int, str], int] = {}
        """The address of a service from a pool, also one that the pool does not have any more."""
        self._waiting: set[tuple[int, str]] = set()

    def read(self, services: Iterable[int]) -> dict[int, Leased]:
        """The addresses that these services have. Without pools it costs nothing."""
        if not self._pools:
            return {}
        ids = list(services)
        held = select(pool_address).where(dialect.among(self._conn, pool_address.c.service_id, ids))
        self._held = {
            (row.service_id, self._names[row.pool_id]): row.address
            for row in self._conn.execute(held).all()
            if row.pool_id in self._names  # made since the pools were read
        }
        waiting = select(pool_wait).where(dialect.among(self._conn, pool_wait.c.service_id, ids))
        self._waiting = {
            (row.service_id, self._names[row.pool_id])
            for row in self._conn.execute(waiting).all()
            if row.pool_id in self._names
        }
        found: dict[int, Leased] = {}
        for (service_id, name), address in self._held.items():
            if holds(self._pools[name].spans, address):
                found.setdefault(service_id, {})[name] = dotted(address)
        return found

    def settle(self, wanted: Mapping[int, Iterable[str]], now: int) -> dict[int, Leased]:
        """Give the services last `read` the addresses they want and take back those they do not; returns the new ones.

        `wanted` maps them to names of pools. A pool that has none free is told to the log, and fills up later
        (`fillable`).
        """
        if not self._pools:
            return {}
        asked = {(service_id, name) for service_id, names in wanted.items() for name in names if name in self._pools}
        kept = {
            key for key, address in self._held.items() if key in asked and holds(self._pools[key[1]].spans, address)
        }
        self._release([key for key in self._held if key not in kept], now)
        given: dict[int, Leased] = {}
        missing = asked - kept
        unserved: set[tuple[int, str]] = set()
        for name in sorted({name for _, name in missing}):
            services = sorted(service_id for service_id, its in missing if its == name)
            addresses = self._take(self._pools[name].id, services)
            for service_id, address in zip(services, addresses, strict=False):
                given.setdefault(service_id, {})[name] = dotted(address)
            unserved.update((service_id, name) for service_id in services[len(addresses) :])
        self._wait(unserved)
        return {service_id: self._now_held(service_id, kept) | new for service_id, new in given.items()}

    def _now_held(self, service_id: int, kept: set[tuple[int, str]]) -> Leased:
        return {name: dotted(self._held[owner, name]) for owner, name in kept if owner == service_id}

    def _release(self, keys: Sequence[tuple[int, str]], now: int) -> None:
        for name in sorted({name for _, name in keys}):
            its = self._pools[name]
            addresses = [self._held[key] for key in keys if key[1] == name]
            there = [one for one in addresses if holds(its.spans, one)]
            gone = [one for one in addresses if not holds(its.spans, one)]
            for those, statement in (
                (there, pool_address.update().values(service_id=None, freed_at=now)),
                (gone, pool_address.delete()),
            ):
                if those:
                    among = dialect.among(self._conn, pool_address.c.address, those)
                    self._conn.execute(statement.where(pool_address.c.pool_id == its.id, among))

    def _take(self, pool_id: int, services: Sequence[int]) -> list[int]:
        """As many free addresses as there are, at most one for each service, and theirs from now on."""
        free = (
            select(pool_address.c.address)
            .where(pool_address.c.pool_id == pool_id, pool_address.c.service_id.is_(None))
            .order_by(pool_address.c.freed_at, pool_address.c.address)
            .limit(len(services))
            .with_for_update(skip_locked=True)
        )
        addresses = list(self._conn.execute(free).scalars())
        if addresses:
            given = (
                pool_address.update()
                .where(pool_address.c.pool_id == pool_id, pool_address.c.address == bindparam("taken"))
                .values(service_id=bindparam("owner"))
            )
            self._conn.execute(
                given,
                [
                    {"taken": address, "owner": service_id}
                    for address, service_id in zip(addresses, services, strict=False)
                ],
            )
        return addresses

    def _wait(self, unserved: set[tuple[int, str]]) -> None:
        """Note who got none, and forget who does not wait any more."""
        for service_id, name in sorted(self._waiting - unserved):
            row = (pool_wait.c.pool_id == self._pools[name].id) & (pool_wait.c.service_id == service_id)
            self._conn.execute(pool_wait.delete().where(row))
        new = sorted(unserved - self._waiting)
        if new:
            rows = [{"pool_id": self._pools[name].id, "service_id": service_id} for service_id, name in new]
            self._conn.execute(pool_wait.insert(), rows)
        for name in sorted({name for _, name in new}):
            count = sum(its == name for _, its in new)
            _log.warning("pool=%s is used up: %d more services are restricted without an address of it", name, count)


def fillable(conn: Connection, limit: int) -> list[int]:
    """At most `limit` services, in order, that wait for an address of a pool that has one again."""
    found: set[int] = set()
    for pool_id in conn.execute(select(pool_wait.c.pool_id).distinct()).scalars().all():
        free = select(pool_address.c.address).where(
            pool_address.c.pool_id == pool_id, pool_address.c.service_id.is_(None)
        )
        count = len(conn.execute(free.limit(limit)).all())
        if count:
            waiting = select(pool_wait.c.service_id).where(pool_wait.c.pool_id == pool_id)
            found.update(conn.execute(waiting.order_by(pool_wait.c.service_id).limit(count)).scalars())
    return sorted(found)[:limit]


def pool_use(conn: Connection) -> list[PoolUse]:
    """Every pool and how full it is, by name."""
    rows: dict[str, Any] = {
        "size": select(pool_address.c.pool_id, func.count().label("n")).group_by(pool_address.c.pool_id),
        "used": select(pool_address.c.pool_id, func.count().label("n"))
        .where(pool_address.c.service_id.is_not(None))
        .group_by(pool_address.c.pool_id),
        "waiting": select(pool_wait.c.pool_id, func.count().label("n")).group_by(pool_wait.c.pool_id),
    }
    counts = {name: {row.pool_id: row.n for row in conn.execute(statement)} for name, statement in rows.items()}
    return [
        PoolUse(row.name, row.ranges, *(counts[name].get(row.id, 0) for name in ("size", "used", "waiting")))
        for row in conn.execute(select(pool).order_by(pool.c.name))
    ]


def within(spans: Iterable[Span]) -> ColumnElement[bool]:
    """Whether a row's address lies in one of the spans."""
    return or_(*(and_(pool_address.c.address >= first, pool_address.c.address <= last) for first, last in spans))
