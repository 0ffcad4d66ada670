"""The param caller-id-lock: `learn` binds a service to the first device that comes (R1.4; shell)."""

from collections.abc import Mapping

from sqlalchemy import select

from aaa.commands.door import Change
from aaa.store import dialect
from aaa.store.record import entry
from aaa.store.tables import access, service


def learn(change: Change, noticed: Mapping[int, str]) -> None:
    """Bind services, whose locks the change holds, to the devices that accounting noticed: service id -> MAC address.

    Those that have a device of their own by now, or learn none any more, stay as they are.
    """
    if not noticed:
        return
    learning = (
        select(service.c.id, access.c.record)
        .join(access, access.c.service_id == service.c.id)
        .where(dialect.among(change.conn, service.c.id, noticed), service.c.mac.is_(None))
        .order_by(service.c.id)
    )
    for service_id, packed in change.conn.execute(learning).all():
        if packed is not None and entry(packed).learns_caller:
            device = noticed[service_id]
            change.conn.execute(service.update().where(service.c.id == service_id).values(mac=device))
            event = change.event("learn", f"service:{service_id}", {"mac": None}, {"mac": device})
            change.touch([service_id], cause="caller-id", event=event)
