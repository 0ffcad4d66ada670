"""Mass changes: jobs that recompile a scope's services in batches, resumable after a kill (shell)."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, select

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


class Job(NamedTuple):
    """A mass change: `scope` as params name it, how many of how many services are done. Instants are UTC
    microseconds.
    """

    id: int
    kind: str
    scope: str
    created_at: int
    done_at: int | None
    done: int
    total: int


def listed(conn: Connection, limit: int = 20) -> list[Job]:
    """The open jobs and the newest of the others, the newest first."""
    newest = select(job).order_by(job.c.done_at.is_not(None), job.c.id.desc()).limit(limit)
    found = [_job(conn, row) for row in conn.execute(newest)]
    return sorted(found, reverse=True)


def find(conn: Connection, job_id: int) -> Job:
    """One job."""
    return _job(conn, conn.execute(select(job).where(job.c.id == job_id)).one())


def _job(conn: Connection, row: Any) -> Job:
    level = Level[row.level.upper()]
    total = facts.count_services_in(conn, level, row.scope_id)
    done = total if row.done_at is not None else facts.count_services_in(conn, level, row.scope_id, to=row.cursor)
    return Job(
        row.id,
        row.kind,
        facts.scope_name(conn, level, row.scope_id),
        row.created_at,
        row.done_at,
        done,
        total,
    )


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
