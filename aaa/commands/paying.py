"""A card payment under way: the subscriber reaches his bank's pages for a while (shell).

They may be anywhere (3-D Secure), so for that while his addresses are on a list that routers let through to the web.
Only routers with an API keep it; they end it by themselves.
"""

from datetime import datetime, time
from typing import Final

from sqlalchemy import func, select

from aaa.clock import SECOND
from aaa.commands.door import change
from aaa.commands.recompile import Cause, request_enforcement
from aaa.domain.local_time import instant_of, local_of
from aaa.domain.timeline import Verdict
from aaa.store.database import Database
from aaa.store.tables import access, event, nas, service, session, visp

SECONDS: Final = 900
TIMES_A_DAY: Final = 3
KIND: Final = "paying"


class NotNow(Exception):
    """It is not opened; the message, for people, says why."""


def open_for_payment(db: Database, service_id: int, account_id: int, *, actor: str, now: int) -> int:
    """Let the service's live sessions reach the web until the instant returned. Three times a local day at most.

    Raises NotNow where that was all for today, or no session of it is on a router that could do it.
    """
    with change(db, actor=actor, now=now) as door:
        door.lock_account(account_id)
        conn = door.conn
        subject = f"service:{service_id}"
        zone = select(visp.c.timezone).join(service, service.c.visp_id == visp.c.id).where(service.c.id == service_id)
        today = _midnight(now, conn.execute(zone).scalar_one())
        opened = select(func.count()).where(event.c.subject == subject, event.c.kind == KIND, event.c.at >= today)
        if conn.execute(opened).scalar_one() >= TIMES_A_DAY:
            raise NotNow(f"it was opened {TIMES_A_DAY} times today already")
        live = (
            select(session.c.id)
            .join(nas, nas.c.id == session.c.nas_id)
            .where(session.c.service_id == service_id, session.c.closed_at.is_(None), nas.c.api_host.is_not(None))
            .order_by(session.c.key)
            .with_for_update(key_share=True, of=session)
        )
        ids = conn.execute(live).scalars().all()
        if not ids:
            raise NotNow("no session of it is on a router with an API")
        until = now + SECONDS * SECOND
        # the feed mark stays: logins have nothing to do with it
        row = session.update().where(session.c.id.in_(ids))
        conn.execute(row.values(paying_until=until, feed=session.c.feed))
        cause = Cause(KIND, door.event(KIND, subject, None, {"until": until}))
        version = conn.execute(select(access.c.version).where(access.c.service_id == service_id)).scalar_one()
        # his bank must not wait behind those who are cut off
        allowed = {service_id: Verdict.ALLOW}
        request_enforcement(conn, {service_id: version}, allowed, now=now, causes={service_id: cause})
    return until


def _midnight(now: int, timezone: str) -> int:
    return instant_of(datetime.combine(local_of(now, timezone).date(), time.min), timezone)
