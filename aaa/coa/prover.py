"""Looks whether what routers acknowledged came true, and has more done where it did not (shell).

Rows of `proof` come due, are looked at, and go: proven, or followed by an enforcement row of the next rung
(aaa.coa.proof). Any number of engines may do it: rows are taken with SKIP LOCKED and put ahead by a lease.
"""

import logging
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, func, select

from aaa.clock import SECOND
from aaa.coa.proof import (
    API,
    COA,
    DISCONNECT,
    FAILED,
    NEXT_LOOK,
    Finding,
    First,
    Standing,
    limit_of,
    next_rung,
    of_end,
    of_router,
    of_use,
    seen_at,
)
from aaa.domain.rank import NEITHER
from aaa.domain.router import list_lever
from aaa.domain.timeline import Profile
from aaa.radius.counters import Counters
from aaa.routeros.online import Look, Online, Seen
from aaa.routeros.work import Keeper
from aaa.store import dialect, record
from aaa.store.database import Database
from aaa.store.tables import access, attempt, enforcement, nas, profile, proof, session

_log: Final = logging.getLogger(__name__)

BATCH: Final = 500
LEASE: Final = 60 * SECOND
"""Longer than a router's API may take to show a session."""
FIRST_RETRY: Final = 10 * SECOND
LONGEST_RETRY: Final = 300 * SECOND
KINDS: Final = {COA: "coa", DISCONNECT: "disconnect", API: "api"}


class Judged(NamedTuple):
    """A row and what was found; `changes` of the row if that is open yet."""

    row: Any
    finding: Finding
    changes: dict[str, int]


class Prover:
    """The proofs of one database; `keeper` shows what routers have."""

    def __init__(self, db: Database, keeper: Keeper, counters: Counters) -> None:
        self._db = db
        self._keeper = keeper
        self._counters = counters
        self._looking: dict[int, Row[Any]] = {}
        self._last_token = 0

    def turn(self, now: int) -> bool:
        """Look at what is due, and at what routers showed meanwhile; whether there may be more."""
        shown = [(self._looking.pop(kept.token), kept.seen) for kept in self._keeper.finished()]
        rows = self._take(now)
        judged = [_judge(row, seen, now) for row, seen in shown]
        for row in rows:
            if row.closed_by is None and row.api_host is not None:
                self._last_token += 1
                self._looking[self._last_token] = row
                online = Online(row.framed_protocol == "ppp", row.username, row.acct_session_id, row.framed_ip)
                self._keeper.submit(self._last_token, row.nas_id, Look(online))
            else:
                judged.append(_judge(row, None, now))
        if judged:
            self._settle(judged, now)
        return len(rows) == BATCH

    def _take(self, now: int) -> Sequence[Row[Any]]:
        """What is due; nobody else takes it for a while."""
        with self._db.read() as conn:
            if conn.execute(select(proof.c.session_id).where(proof.c.look_at <= now).limit(1)).first() is None:
                return ()
        with self._db.write() as conn:
            rows = conn.execute(_due(now)).all()
            taken = proof.update().where(proof.c.session_id.in_([row.session_id for row in rows]))
            conn.execute(taken.values(look_at=now + LEASE))
        return rows

    def _settle(self, judged: Sequence[Judged], now: int) -> None:
        """Store what was found. Sessions are locked in key order, enforcement rows and proofs in session order."""
        with self._db.write() as conn:
            told = dict(
                conn.execute(
                    select(proof.c.session_id, proof.c.told_at).where(
                        proof.c.session_id.in_([one.row.session_id for one in judged])
                    )
                ).all()
            )
            # what was told anew meanwhile is another matter
            valid = [one for one in judged if told.get(one.row.session_id) == one.row.told_at]
            valid.sort(key=lambda one: one.row.session_id)
            proven = [one.row for one in valid if one.finding == "proven"]
            failed = [one.row for one in valid if one.finding == "disproven"]
            self._verified(conn, proven, now)
            for row in failed:
                self._escalate(conn, row, now)
            if failed:
                dialect.notify(conn, "ledgate_engine")
            for one in valid:
                if one.finding == "open":
                    conn.execute(proof.update().where(_same(one.row)).values(one.changes))
                else:
                    conn.execute(proof.delete().where(_same(one.row)))

    def _verified(self, conn: Connection, rows: Sequence[Any], now: int) -> None:
        """What routers said came true, or does not matter any more."""
        if not rows:
            return
        self._counters.add("proven", len(rows))
        ids = [row.session_id for row in rows]
        locked = select(session.c.id).where(session.c.id.in_(ids)).order_by(session.c.key)
        conn.execute(locked.with_for_update(key_share=True)).all()
        conn.execute(session.update().where(session.c.id.in_(ids)).values(verified_at=now, feed=session.c.feed))

    def _escalate(self, conn: Connection, row: Any, now: int) -> None:
        """What a router acknowledged it did not do: have it planned again, a rung higher."""
        rung = next_rung(row.rung, row.api_host is not None)
        tries, not_before = row.tries, now
        if rung == FAILED:
            tries += 1
            not_before = now + min(FIRST_RETRY << min(tries - 1, 8), LONGEST_RETRY)
        self._counters.add("disproven")
        _log.log(
            logging.ERROR if rung == FAILED else logging.WARNING,
            "live user=%s nas=%s session=%s cause=%s acknowledged=%s result=ineffective next=%s",
            row.username,
            row.nas_name,
            row.acct_session_id,
            row.cause,
            KINDS[row.rung],
            KINDS.get(rung, f"all again in {(not_before - now) // SECOND} s"),
        )
        conn.execute(attempt.insert().values(_attempt(conn, row, now)))
        version = select(func.coalesce(func.max(access.c.version), 0)).where(access.c.service_id == row.service_id)
        wish = {
            "session_id": row.session_id,
            "service_id": row.service_id,
            "event_id": row.event_id,
            "wanted_version": conn.execute(version).scalar_one(),
            "cause": row.cause,
            "requested_at": now,
            "not_before": not_before,
            "tries": tries,
            "rank": NEITHER,
            "rung": DISCONNECT if rung == FAILED else rung,
        }
        insert = dialect.upsert(conn, enforcement).values(wish)
        # whoever has it in hand does not know of this: his outcome must not be the end of it
        higher = {name: insert.excluded[name] for name in ("requested_at", "not_before", "tries", "rung")}
        higher["feed"] = enforcement.c.feed
        conn.execute(insert.on_conflict_do_update(index_elements=[enforcement.c.session_id], set_=higher))


def _judge(row: Any, seen: Seen | None, now: int) -> Judged:
    """What to think of a row, by what its router shows of the session (None: nothing) and by accounting."""
    told: Profile = record.profile_from_json(row.attributes) if row.attributes is not None else ()
    standing = Standing(row.recorded_at, row.heard_at, row.up, row.down, row.closed_by is not None)
    if standing.ended:
        return Judged(row, "proven", {})
    if row.rung != COA:
        return Judged(row, of_end(standing, row.told_at, seen), {"look_at": _next_record(row, now)})
    by_coa = list_lever(row.address_list_by, row.api_host) == "coa"
    finding = of_router(told, seen, lists_by_coa=by_coa) if seen is not None else "open"
    return Judged(row, finding, {}) if finding != "open" else _by_use(row, told, standing, now)


def _by_use(row: Any, told: Profile, standing: Standing, now: int) -> Judged:
    """What two interim records tell of a rate limit. Until there are two the row waits."""
    limit = limit_of(told)
    if limit is None:
        return Judged(row, "proven", {})  # nothing could ever tell
    if row.seen_at is not None:
        finding = of_use(limit, First(row.seen_at, row.seen_up, row.seen_down), standing)
        return Judged(row, finding, {"look_at": _next_record(row, now)})
    first = seen_at(standing, max(row.told_at, row.applied_at or 0))
    changes: dict[str, int] = {"look_at": _next_record(row, now)}
    if first is not None:
        changes |= {"seen_at": first.at, "seen_up": first.up, "seen_down": first.down}
    return Judged(row, "open", changes)


def _attempt(conn: Connection, row: Any, now: int) -> dict[str, Any]:
    """That it had no effect; a CoA's attributes are in doubt from now on (aaa.coa.applied)."""
    acknowledged = select(attempt.c.attributes).where(
        attempt.c.session_id == row.session_id, attempt.c.kind == KINDS[row.rung], attempt.c.result == "ack"
    )
    attributes = conn.execute(acknowledged.order_by(attempt.c.id.desc()).limit(1)).scalar()
    return {
        "session_id": row.session_id,
        "event_id": row.event_id,
        "cause": row.cause,
        "at": now,
        "kind": KINDS[row.rung],
        "attributes": attributes or record.profile_json(()),
        "result": "ineffective",
        "sends": 0,
    }


def _due(now: int) -> Select[Any]:
    names = ("source", "identifier", "feed", "key", "id")
    return (
        select(
            *proof.c,
            *(column for column in session.c if column.name not in names),
            nas.c.name.label("nas_name"),
            nas.c.address_list_by,
            nas.c.api_host,
            profile.c.attributes,
        )
        .join(session, session.c.id == proof.c.session_id)
        .join(nas, nas.c.id == session.c.nas_id)
        .outerjoin(profile, profile.c.id == session.c.applied_profile)
        .where(proof.c.look_at <= now)
        .order_by(proof.c.look_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True, of=proof)
    )


def _same(row: Any) -> Any:
    """The row as it was read; a newer acknowledgement overwrites it."""
    return (proof.c.session_id == row.session_id) & (proof.c.told_at == row.told_at)


def _next_record(row: Any, now: int) -> int:
    due: int = row.heard_at + row.interim * SECOND + NEXT_LOOK
    return max(due, now + NEXT_LOOK)
