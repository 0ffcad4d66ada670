"""What spares a subscriber for a while: an exemption from automatic suspension (R4.9), the OK to a reminder (R5.4)
(shell).
"""

from sqlalchemy import select

from aaa.commands.door import change
from aaa.domain.timeline import Cause
from aaa.store.database import Database
from aaa.store.tables import account, service
from aaa.store.timelines import read_timeline


def exempt(db: Database, service_id: int, account_id: int, until: int | None, *, actor: str, now: int) -> int | None:
    """Suspend a service of this account by itself no earlier than `until`, UTC microseconds; None ends an exemption.

    Returns when the exemption that it replaces was to end; None: there was none.
    """
    with change(db, actor=actor, now=now) as door:
        door.lock_account(account_id)
        row = service.c.id == service_id
        before = door.conn.execute(select(service.c.exempt_until).where(row)).scalar_one()
        if before != until:
            door.conn.execute(service.update().where(row).values(exempt_until=until))
            subject = f"service:{service_id}"
            event = door.event("exempt", subject, {"exempt_until": before}, {"exempt_until": until})
            door.touch([service_id], cause="exempt", event=event)
    return None if before is None else int(before)


def acknowledge(db: Database, account_id: int, *, actor: str, now: int) -> bool:
    """The OK to a reminder: no service of the account is reminded again for as long as its policy says.

    False, and nothing is recorded, where no service of the account is reminded at `now`: a page that was left open, or
    an OK given twice, must not put off a reminder that nobody has seen.
    """
    with change(db, actor=actor, now=now) as door:
        services = door.lock_account(account_id)
        found = [read_timeline(door.conn, service_id) for service_id in services]
        reasons = [one[0].at(now).reason for one in found if one is not None]
        if not any(reason is not None and reason.cause is Cause.OVERDUE for reason in reasons):
            return False
        row = account.c.id == account_id
        before = door.conn.execute(select(account.c.acknowledged_at).where(row)).scalar_one()
        door.conn.execute(account.update().where(row).values(acknowledged_at=now))
        told = ({"acknowledged_at": before}, {"acknowledged_at": now})
        event = door.event("acknowledge", f"account:{account_id}", *told)
        door.touch(services, cause="acknowledge", event=event)
        return True
