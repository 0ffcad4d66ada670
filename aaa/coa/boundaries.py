"""What becomes due by the clock or by accounting (shell): segment boundaries, horizons, recompile requests, pools that
have addresses again, mass jobs.

Each function does one batch in one transaction and says whether there may be more. Many engines may run them: rows are
taken with SKIP LOCKED.
"""

from typing import Final

from sqlalchemy import Connection, bindparam, case, func, literal, null, select

from aaa.clock import SECOND
from aaa.commands import caller_id, jobs
from aaa.commands.door import change, lock_services
from aaa.commands.recompile import renewal_at
from aaa.domain.rank import CUT, LIFT, NEITHER
from aaa.domain.timeline import Verdict
from aaa.store import dialect, record
from aaa.store.database import Database
from aaa.store.holds import held_since
from aaa.store.leases import fillable
from aaa.store.tables import access, enforcement, job, recompile_request, session

BATCH: Final = 500
ACTOR: Final = "engine"
_LATER: Final = 3_600 * SECOND
_NOTE_NEXT: Final = (
    access.update()
    .where(access.c.service_id == bindparam("crossed"))
    .values(next_due=bindparam("following"), feed=access.c.feed)
)


def next_due(db: Database, now: int) -> int | None:
    """When `run` has something to do; at or before `now`: it has."""
    asked = select(func.min(recompile_request.c.requested_at)).scalar_subquery()
    began = select(func.min(job.c.created_at)).where(job.c.done_at.is_(None)).scalar_subquery()
    with db.read() as conn:
        if fillable(conn, 1):
            return now
        times = conn.execute(select(func.min(access.c.next_due), asked, began)).one()
    return min((time for time in times if time is not None), default=None)


def run(db: Database, now: int) -> bool:
    """One batch of everything that is due; False if nothing was. Boundaries first: they cut and restore people."""
    return any([cross(db, now), renew(db, now), recompile_requested(db, now), fill(db, now), jobs.run_batch(db, now)])


def cross(db: Database, now: int) -> bool:
    """For services whose next segment has begun: have their live sessions planned again, and note the next one.

    While cuts are held no timeline is renewed (R8.4): one that is due waits for its next step, or an hour.
    """
    due = (
        select(access.c.service_id, access.c.record)
        .where(access.c.next_due <= now)
        .order_by(access.c.next_due)
        .limit(BATCH)
        .with_for_update(skip_locked=True, key_share=True)
    )
    with db.write() as conn:
        rows = conn.execute(due).all()
        held = bool(rows) and held_since(conn) != 0
        following = {row.service_id: _following(row.service_id, row.record, now, held) for row in rows}
        crossed = sorted(service_id for service_id, due_at in following.items() if due_at is None or due_at > now)
        if not crossed:
            return False
        records = {row.service_id: row.record for row in rows}
        verdicts = {service_id: _verdict(records[service_id], now) for service_id in crossed}
        for verdict in sorted(set(verdicts.values())):
            _request(conn, [one for one in crossed if verdicts[one] == verdict], verdict, now)
        conn.execute(_NOTE_NEXT, [{"crossed": one, "following": following[one]} for one in crossed])
        dialect.notify(conn, "ledgate_engine")
        return len(following) == BATCH


def renew(db: Database, now: int) -> bool:
    """Compile anew the services whose timelines near their horizon; their live sessions are planned again with that.

    Not while cuts are held: a timeline serves on past its horizon, and by a clock that ran ahead all would be due.
    """
    with db.read() as conn:
        if held_since(conn):
            return False
        due = select(access.c.service_id, access.c.record).where(access.c.next_due <= now).limit(BATCH)
        rows = conn.execute(due).all()
    ids = [row.service_id for row in rows if row.record is not None and _renewal(row.service_id, row.record) <= now]
    return _recompile(db, ids, "horizon", now)


def recompile_requested(db: Database, now: int) -> bool:
    """Compile anew what accounting asked for."""
    with db.read() as conn:
        asked = select(recompile_request).where(recompile_request.c.requested_at <= now)
        waiting = asked.order_by(recompile_request.c.requested_at).limit(BATCH)
        kinds = {row.service_id: row.kind for row in conn.execute(waiting)}
    more = False
    for kind in sorted(set(kinds.values())):
        more |= _recompile(db, [one for one in kinds if kinds[one] == kind], kind, now)
    return more


def fill(db: Database, now: int) -> bool:
    """Compile anew the services that wait for an address of a pool that has one again (R3.1)."""
    with db.read() as conn:
        waiting = fillable(conn, BATCH)
    return _recompile(db, waiting, "pool", now)


def _recompile(db: Database, service_ids: list[int], kind: str, now: int) -> bool:
    if not service_ids:
        return False
    with change(db, actor=ACTOR, now=now) as door:
        # Before the requests: accounting writes them while it holds the service.
        lock_services(door.conn, sorted(service_ids))
        done = recompile_request.delete().where(
            recompile_request.c.service_id.in_(service_ids), recompile_request.c.requested_at <= now
        )
        asked = door.conn.execute(done.returning(recompile_request.c.service_id, recompile_request.c.mac)).all()
        event = door.event(kind, "services", None, {"services": service_ids})
        door.touch(service_ids, cause=kind, event=event)
        caller_id.learn(door, {service_id: device for service_id, device in asked if device is not None})
    return len(service_ids) == BATCH


def _following(service_id: int, packed: bytes | None, now: int, held: bool) -> int | None:
    """When the service is due again after `now`; None: never, it is gone. At or before `now`: it must be renewed, which
    is put off while cuts are `held`.
    """
    if packed is None:
        return None
    head = record.entry(packed)
    position = record.step_at(packed, head, now).position
    renewal = _renewal(service_id, packed)
    if held and renewal <= now:
        renewal = now + _LATER
    if position + 1 == head.segments or renewal <= now:
        return renewal
    return min(record.step(packed, head, position + 1).start, renewal)


def _renewal(service_id: int, packed: bytes) -> int:
    head = record.entry(packed)
    return renewal_at(record.step(packed, head, 0).start, head.horizon, service_id)


def _verdict(packed: bytes | None, now: int) -> int:
    return Verdict.DENY if packed is None else record.step_at(packed, record.entry(packed), now).verdict


def _request(conn: Connection, service_ids: list[int], verdict: int, now: int) -> None:
    """A wish for every live session of these services, which have `verdict` now, with the mark of the timeline that it
    comes from: whoever has that timeline has the new segment, and no Disconnect waits for more.
    """
    listed = case((session.c.lists.is_not(None), LIFT), else_=NEITHER)
    same = listed if verdict == Verdict.ALLOW else literal(NEITHER)  # as aaa.domain.rank has it
    live = (
        select(
            session.c.id,
            session.c.service_id,
            null().label("event_id"),
            access.c.version,
            literal("boundary").label("cause"),
            access.c.next_due,
            literal(now).label("not_before"),
            literal(0).label("tries"),
            case(
                (session.c.applied_verdict > verdict, LIFT), (session.c.applied_verdict < verdict, CUT), else_=same
            ).label("rank"),
            access.c.feed,
        )
        .join(access, access.c.service_id == session.c.service_id)
        .where(session.c.service_id.in_(service_ids), session.c.closed_at.is_(None))
        .order_by(session.c.id)
    )
    names = ("event_id", "wanted_version", "cause", "requested_at", "not_before", "tries", "rank", "feed")
    insert = dialect.upsert(conn, enforcement).from_select(["session_id", "service_id", *names], live)
    conn.execute(
        insert.on_conflict_do_update(
            index_elements=[enforcement.c.session_id], set_={name: insert.excluded[name] for name in names}
        )
    )
