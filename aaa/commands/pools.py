"""Address pools, put by name, inside an open change (shell)."""

from collections.abc import Sequence

from sqlalchemy import not_, select

from aaa.commands.door import Change
from aaa.domain.address_pool import in_order, span_of
from aaa.store import dialect
from aaa.store.leases import within
from aaa.store.tables import pool, pool_address


def put_pool(change: Change, name: str, ranges: Sequence[str]) -> int:
    """Insert a pool or change its ranges, which were checked: apart from each other and from those of other pools.

    Services whose addresses it loses are compiled anew; they give them back then. Who waits for an address is served by
    the engine. Returns the pool's id. The change must have locked the scopes.
    """
    spans = in_order(map(span_of, ranges))
    found = change.conn.execute(select(pool).where(pool.c.name == name)).first()
    if found is None:
        pool_id = int(
            change.conn.execute(pool.insert().returning(pool.c.id), {"name": name, "ranges": list(ranges)}).scalar_one()
        )
        change.event("create", f"pool:{name}", None, {"ranges": list(ranges)})
    elif found.ranges == list(ranges):
        return int(found.id)
    else:
        pool_id = found.id
        change.conn.execute(pool.update().where(pool.c.id == pool_id).values(ranges=list(ranges)))
        event = change.event("update", f"pool:{name}", {"ranges": found.ranges}, {"ranges": list(ranges)})
        outside = (pool_address.c.pool_id == pool_id) & not_(within(spans))
        # The free ones first: whoever is taking one of them has done so by then, and is found below.
        change.conn.execute(pool_address.delete().where(outside, pool_address.c.service_id.is_(None)))
        losing = select(pool_address.c.service_id).where(outside, pool_address.c.service_id.is_not(None))
        change.touch(change.conn.execute(losing).scalars().all(), cause="pool", event=event)
    there = set(change.conn.execute(select(pool_address.c.address).where(pool_address.c.pool_id == pool_id)).scalars())
    rows = [
        {"pool_id": pool_id, "address": address}
        for first, last in spans
        for address in range(first, last + 1)
        if address not in there
    ]
    dialect.insert_many(change.conn, pool_address, rows)
    return pool_id
