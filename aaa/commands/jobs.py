"""Mass changes: jobs that recompile a scope's services in batches, resumable after a kill (shell)."""

from typing import Any

from sqlalchemy import select

from aaa.commands.door import INLINE, lock_services
from aaa.commands.recompile import Cause, recompile
from aaa.domain.service import Level
from aaa.store import dialect, facts
from aaa.store.database import Database
from aaa.store.tables import job, service


def run_batch(db: Database, now: int) -> bool:
    """Do one batch of the oldest job that nobody works on; False if there is none to do.

    The cursor moves in the transaction that recompiles, so a kill repeats nothing and loses nothing.
    """
    with db.write() as conn:
        waiting = (
            select(job)
            .where(job.c.done_at.is_(None))
            .order_by(job.c.id)
            .limit(1)
            .with_for_update(skip_locked=True, key_share=True)
        )
        found = conn.execute(waiting).mappings().first()
        if found is None:
            return False
        reached = facts.services_in(
            Level[found["level"].upper()], found["scope_id"], after=found["cursor"], limit=INLINE
        )
        ids = list(conn.execute(reached).scalars())
        lock_services(conn, ids)
        cause = Cause(found["kind"], found["event_id"])
        recompile(conn, ids, now=now, causes=dict.fromkeys(ids, cause))
        progress: dict[str, Any] = {"cursor": ids[-1]} if ids else {}
        if len(ids) < INLINE:
            progress["done_at"] = now
        conn.execute(job.update().where(job.c.id == found["id"]).values(progress))
        dialect.notify(conn, "ledgate_feed")
        dialect.notify(conn, "ledgate_engine")
        return True


def pending(conn: Any, service_id: int) -> bool:
    """Whether a mass change that has not reached this service yet is under way."""
    open_jobs = conn.execute(
        select(job.c.level, job.c.scope_id).where(job.c.done_at.is_(None), job.c.cursor < service_id)
    )
    return any(
        conn.execute(
            facts.services_in(Level[one.level.upper()], one.scope_id).where(service.c.id == service_id)
        ).first()
        for one in open_jobs
    )
