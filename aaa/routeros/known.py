"""What the database says of routers: what they are to hold, and how they stand (shell)."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from aaa.debit.controls.definitions import FINISH_RULE, OVERDUE_POLICY
from aaa.debit.controls.finish_rule import restricted_lists
from aaa.debit.controls.overdue_policy import overdue_policy
from aaa.routeros.wanted import Box, Rules
from aaa.store.seal import Sealer
from aaa.store.settings import read_settings
from aaa.store.tables import control, nas, router


class Ports(NamedTuple):
    """Where RADIUS is served."""

    auth: int = 1812
    acct: int = 1813


def read_rules(conn: Connection) -> Rules:
    """What counts for all routers."""
    restricted: set[str] = set()
    https: set[str] = set()
    policies = select(control).where(control.c.kind.in_((FINISH_RULE, OVERDUE_POLICY)))
    for row in conn.execute(policies):
        if row.kind == FINISH_RULE:
            restricted |= restricted_lists(row.value)
        else:
            policy = overdue_policy(row.name, row.value)
            if policy.on:
                https.add(policy.https)
    return Rules(read_settings(conn), sorted(restricted), frozenset(https))


def read_box(conn: Connection, keys: Sealer, nas_id: int, ports: Ports) -> Box:
    """What we know of one router. Raises SealBroken."""
    row = conn.execute(select(nas).where(nas.c.id == nas_id)).one()
    secret = keys.unseal("nas", "secret", nas_id, row.secret).decode(errors="surrogateescape")
    return Box(row.portal_port, row.coa_port, secret, ports.auth, ports.acct)


def peers(conn: Connection, names: Iterable[str] | None = None) -> Sequence[Any]:
    """The routers with an API, by name: `nas_id`, `name`, and all of their row in `router`."""
    found = (
        select(router, nas.c.name)
        .join(nas, router.c.nas_id == nas.c.id)
        .where(nas.c.api_host.is_not(None), nas.c.removed.is_(False))
        .order_by(nas.c.name)
    )
    if names is not None:
        found = found.where(nas.c.name.in_(list(names)))
    return conn.execute(found).all()
