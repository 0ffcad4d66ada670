"""When routers were heard, so that the silence of one is not taken for the end of its sessions (shell)."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, case, select

from aaa.domain.session import SECOND, Record
from aaa.store import dialect
from aaa.store.tables import nas_contact

DEFAULT_INTERIM: Final = 300
"""Seconds between a session's interim records where its profile does not say."""

CONTACT_EVERY: Final = SECOND
"""How exactly it is known when a router was last heard."""


def note_contacts(conn: Connection, records: Sequence[Record], interims: dict[bytes, int]) -> None:
    """Note that the records' routers were heard; one that was silent for longer than two intervals, as anew.

    `interims` are seconds between the records of sessions, by key.
    """
    heard: dict[tuple[str, str], dict[str, Any]] = {}
    for one in records:
        gap = 2 * interims.get(one.key, DEFAULT_INTERIM) * SECOND
        row = heard.get((one.source, one.identifier))
        if row is None:
            heard[one.source, one.identifier] = {
                "source": one.source,
                "identifier": one.identifier,
                "nas_id": one.nas_id,
                "heard_since": one.heard_at,
                "heard_at": one.heard_at,
                "gap": gap,
            }
        else:
            row["heard_since"] = min(row["heard_since"], one.heard_at)
            row["heard_at"] = max(row["heard_at"], one.heard_at)
            row["gap"] = min(row["gap"], gap)
    known = {
        (row.source, row.identifier): row.heard_at
        for row in conn.execute(
            select(nas_contact.c.source, nas_contact.c.identifier, nas_contact.c.heard_at).where(
                nas_contact.c.source.in_(sorted({source for source, _ in heard}))
            )
        )
    }
    # Most batches find it written a moment ago: routers' rows would otherwise be what all processes wait for.
    rows = [row for name, row in sorted(heard.items()) if row["heard_at"] - known.get(name, 0) >= CONTACT_EVERY]
    if not rows:
        return
    names = [name for name in rows[0] if name != "gap"]
    insert = dialect.upsert(conn, nas_contact).values({name: bindparam(f"heard_{name}") for name in names})
    new = insert.excluded
    silent = new.heard_since - nas_contact.c.heard_at > bindparam("heard_gap", type_=nas_contact.c.heard_at.type)
    later = case((new.heard_at > nas_contact.c.heard_at, new.heard_at), else_=nas_contact.c.heard_at)
    conn.execute(
        insert.on_conflict_do_update(
            index_elements=[nas_contact.c.source, nas_contact.c.identifier],
            set_={
                "nas_id": new.nas_id,
                "heard_since": case((silent, new.heard_since), else_=nas_contact.c.heard_since),
                "heard_at": later,
            },
        ),
        [{f"heard_{name}": value for name, value in row.items()} for row in rows],
    )
