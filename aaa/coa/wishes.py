"""Enforcement rows (shell): claim those that are due, learn all about their sessions, and store what came of them.

A row says "plan this session again". It is a wish, overwritten by the next one, never a queue of messages. Who works on
it holds a claim that runs out, so that nothing is lost with a process, and two engines do not work on one session.
Sessions are locked in key order, then rows in session order, as accounting does it: the two cannot deadlock.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, Select, func, select

from aaa.clock import SECOND
from aaa.coa import applied, listings, quotas
from aaa.coa.messages import Target
from aaa.coa.plan import LiveSession, Wanted
from aaa.coa.wish import Outcome, Planned, Router, Wish
from aaa.domain.router import list_lever
from aaa.domain.session import device_of
from aaa.domain.timeline import Profile, Verdict
from aaa.radius.clients import parse_address
from aaa.radius.integrity import Secret
from aaa.store import record
from aaa.store.database import Database
from aaa.store.feed import all_replicas_have
from aaa.store.holds import held_since
from aaa.store.seal import SealBroken, Sealer
from aaa.store.tables import access, attempt, enforcement, nas, profile, session

_log: Final = logging.getLogger(__name__)

LEASE: Final = 10_000_000
"""How long a claim holds, microseconds, unless it is renewed."""


class Wishes:
    """The rows of one database; `sealer` opens the routers' secrets. Profiles and secrets met are kept."""

    def __init__(self, db: Database, sealer: Sealer) -> None:
        self._db = db
        self._sealer = sealer
        self._profiles: dict[int, Profile] = {}
        self._secrets: dict[tuple[str, int], tuple[bytes, Secret]] = {}

    def next_due(self, now: int, busy: Sequence[str]) -> int | None:
        """When the next unclaimed row is due, leaving out sessions of the routers at the addresses `busy`."""
        first = select(func.min(enforcement.c.not_before)).where(enforcement.c.claimed_until <= now)
        if busy:
            first = first.where(enforcement.c.session_id == session.c.id, session.c.source.not_in(busy))
        with self._db.read() as conn:
            due: int | None = conn.execute(first).scalar()
            return due

    def claim(self, now: int, limit: int, busy: Sequence[str]) -> list[Wish]:
        """Take up to `limit` rows that are due; rows of sessions that closed meanwhile are removed."""
        due = (
            select(enforcement.c.session_id)
            .join(session, session.c.id == enforcement.c.session_id)
            .where(enforcement.c.not_before <= now, enforcement.c.claimed_until <= now, session.c.source.not_in(busy))
            .order_by(enforcement.c.not_before)
            .limit(limit)
            .with_for_update(skip_locked=True, of=enforcement)
        )
        with self._db.write() as conn:
            ids = sorted(conn.execute(due).scalars())
            if not ids:
                return []
            rows = conn.execute(_found(now).where(enforcement.c.session_id.in_(ids))).all()
            over = {row.session_id for row in rows if row.closed_at is not None and not _left_listed(row)}
            if over:
                conn.execute(enforcement.delete().where(enforcement.c.session_id.in_(over)))
            live = [row for row in rows if row.session_id not in over]
            _extend(conn, [row.session_id for row in live], now)
            wishes = self._wishes(conn, live, now)
        planned = [wish.lists for wish in wishes if wish.lists is not None]
        if planned:
            with self._db.write() as conn:
                listings.intend(conn, planned)
        return wishes

    def ask_for_ended(self, now: int) -> None:
        """Have those sessions looked at that have ended and may still be on a list of their router's."""
        with self._db.write() as conn:
            listings.ask_for_ended(conn, now)

    def renew(self, session_ids: Iterable[int], now: int) -> None:
        """Keep the claims on these rows."""
        with self._db.write() as conn:
            _extend(conn, sorted(session_ids), now)

    def look(self, wishes: Sequence[Wish], now: int) -> dict[int, Literal["wanted", "replicated"]]:
        """Which claimed wishes still stand, by session id, and whether every live replica has what they want by now.

        Missing are those whose session closed or whose row holds a newer wish.
        """
        standing: dict[int, Literal["wanted", "replicated"]] = {}
        by_session = {wish.session_id: wish for wish in wishes}
        rows = (
            select(enforcement, session.c.closed_at, all_replicas_have(now).label("replicated"))
            .join(session, session.c.id == enforcement.c.session_id)
            .where(enforcement.c.session_id.in_(list(by_session)))
        )
        with self._db.read() as conn:
            for row in conn.execute(rows).all():
                wish = by_session[row.session_id]
                if wish.ended == (row.closed_at is not None) and _same_wish(row, wish):
                    standing[row.session_id] = "replicated" if row.replicated else "wanted"
        return standing

    def store(self, outcomes: Sequence[Outcome]) -> None:
        """Store what came of wishes and let their claims go, in one transaction."""
        by_session = {outcome.wish.session_id: outcome for outcome in outcomes}
        with self._db.write() as conn:
            _store_sessions(conn, outcomes)
            listed = [outcome.lists for outcome in outcomes if outcome.lists is not None]
            again = listings.store(conn, listed)
            _store_attempts(conn, outcomes)
            rows = (
                select(enforcement.c.session_id, enforcement.c.requested_at, enforcement.c.wanted_version)
                .where(enforcement.c.session_id.in_(list(by_session)))
                .order_by(enforcement.c.session_id)
                .with_for_update()
            )
            fulfilled: list[int] = []
            for row in conn.execute(rows).all():
                outcome = by_session[row.session_id]
                changes: dict[str, Any] = {"claimed_until": 0, "feed": enforcement.c.feed}
                if row.session_id in again:
                    changes |= {"not_before": row.requested_at}
                elif _same_wish(row, outcome.wish):
                    if outcome.again_at is None:
                        fulfilled.append(row.session_id)
                        continue
                    changes |= {"not_before": outcome.again_at, "tries": outcome.tries}
                conn.execute(enforcement.update().where(enforcement.c.session_id == row.session_id).values(changes))
            if fulfilled:
                conn.execute(enforcement.delete().where(enforcement.c.session_id.in_(fulfilled)))

    def _wishes(self, conn: Connection, rows: Sequence[Row[Any]], now: int) -> list[Wish]:
        told = applied.applied(conn, rows)
        since = held_since(conn)
        steps: dict[int, record.Step | None] = {}
        limits: dict[int, int] = {}
        locks: dict[int, str] = {}
        for row in rows:
            head = record.entry(row.record) if row.record is not None else None
            steps[row.session_id] = _step(row.record, head, now, since) if head is not None else None
            if head is not None and head.caller_lock:
                locks[row.service_id] = head.caller_lock
            if head is not None and head.simultaneous_use:
                limits[row.service_id] = head.simultaneous_use
        named = {one.profile for one in told.values()} | {step.profile for step in steps.values() if step is not None}
        self._learn_profiles(conn, named)
        doubtful = applied.doubtful(conn, [row.session_id for row in rows])
        crowded = applied.crowded(conn, limits)
        allowed = quotas.standings(conn, rows, steps, now)
        lists = listings.plan_lists(conn, rows, steps, self._profiles, now)
        rests = applied.rests(conn, {row.service_id for row in rows if row.cause in applied.AT_START}, now)
        return [
            self._wish(
                row,
                told[row.session_id],
                steps[row.session_id],
                doubtful.get(row.session_id, frozenset()),
                allowed.get(row.session_id, quotas.UNTOLD),
                row.session_id in crowded,
                _locked_out(row.calling_station_id, locks.get(row.service_id)),
                rests.get(row.service_id, 0) if row.cause in applied.AT_START else 0,
                lists.get(row.session_id),
            )
            for row in rows
        ]

    def _wish(
        self,
        row: Row[Any],
        told: applied.Applied,
        step: record.Step | None,
        doubtful: frozenset[str],
        allowed: quotas.Standing,
        crowded: bool,
        locked_out: bool,
        rests_until: int,
        lists: Planned | None,
    ) -> Wish:
        reason = None
        if step is None:
            wanted = Wanted(Verdict.DENY, ())
        else:
            end = step.verdict_end or None
            wanted = Wanted(
                Verdict(step.verdict), self._profiles[step.profile], step.framed_ip, end, allowed.limit_seconds
            )
            if step.reason >= 0:
                reason = record.reasons(row.record, record.entry(row.record))[step.reason].cause.value
        live = LiveSession(
            row.service_id,
            row.started_at,
            row.framed_protocol == "ppp",
            self._profiles[told.profile] if told.profile is not None else None,
            told.address,
            told.given_end,
            doubtful,
            row.limit_seconds or 0,
            allowed.cut_early,
        )
        target = Target(
            row.source,
            row.identifier,
            row.username,
            row.acct_session_id,
            row.framed_ip,
            row.calling_station_id,
        )
        return Wish(
            row.session_id,
            row.event_id,
            row.wanted_version,
            row.cause,
            row.requested_at,
            row.requested_at if row.tries else max(row.requested_at, row.not_before),
            row.tries,
            live,
            wanted,
            target,
            self._router(row),
            reason,
            row.interim * SECOND,
            crowded,
            locked_out,
            row.replicated,
            rests_until,
            lists,
            row.closed_at is not None,
        )

    def _router(self, row: Row[Any]) -> Router:
        sealed = {"secret": row.secret, "previous_secret": row.previous_secret}
        try:
            secrets = [self._secret(column, row.nas_id, value) for column, value in sealed.items() if value is not None]
        except SealBroken as error:
            _log.error("nas=%s error=%s", row.nas_name, error)
            secrets = []
        host = str(parse_address(row.coa_address or row.source))
        lever = list_lever(row.address_list_by, row.api_host)
        address = host, row.coa_port
        return Router(row.nas_id, row.nas_name, row.source, address, tuple(secrets), row.coa_session_timeout, lever)

    def _secret(self, column: str, nas_id: int, sealed: bytes) -> Secret:
        known = self._secrets.get((column, nas_id))
        if known is None or known[0] != sealed:
            known = (sealed, Secret(self._sealer.unseal("nas", column, nas_id, sealed)))
            self._secrets[column, nas_id] = known
        return known[1]

    def _learn_profiles(self, conn: Connection, ids: set[int | None]) -> None:
        """Profiles are named by what they say, so what is known stays right."""
        missing = [one for one in ids if one is not None and one not in self._profiles]
        if missing:
            found = select(profile.c.id, profile.c.attributes).where(profile.c.id.in_(missing))
            self._profiles |= {row.id: record.profile_from_json(row.attributes) for row in conn.execute(found)}


def _found(now: int) -> Select[Any]:
    """Enforcement rows with their sessions, routers and present access rows."""
    return (
        select(
            enforcement,
            *(column for column in session.c if column.name not in ("id", "service_id", "feed")),
            nas.c.name.label("nas_name"),
            nas.c.secret,
            nas.c.previous_secret,
            nas.c.coa_address,
            nas.c.coa_port,
            nas.c.coa_session_timeout,
            nas.c.address_list_by,
            nas.c.api_host,
            access.c.version.label("present_version"),
            access.c.record,
            all_replicas_have(now).label("replicated"),
        )
        .join(session, session.c.id == enforcement.c.session_id)
        .join(nas, nas.c.id == session.c.nas_id)
        .outerjoin(access, access.c.service_id == enforcement.c.service_id)
    )


def _step(packed: bytes, head: record.Entry, now: int, since: int) -> record.Step:
    """What counts at `now`; cuts are held since `since`, 0: they are not."""
    return record.step_held(packed, head, now, since) if since else record.step_at(packed, head, now)


def _locked_out(calling_station_id: str, lock: str | None) -> bool:
    """Whether a session is of another device than the only one that may log in; one that is not told may be that."""
    return lock is not None and device_of(calling_station_id) not in ("", lock)


def _left_listed(row: Row[Any]) -> bool:
    """Whether a session that has ended may still be on a list that its router can be told of."""
    return row.lists is not None and row.api_host is not None


def _same_wish(row: Any, wish: Wish) -> bool:
    return (row.requested_at, row.wanted_version) == (wish.requested_at, wish.wanted_version)


def _extend(conn: Connection, session_ids: Sequence[int], now: int) -> None:
    """Hold the rows for another lease. The feed mark stays: it says when the wish was written."""
    rows = enforcement.update().where(enforcement.c.session_id.in_(session_ids))
    conn.execute(rows.values(claimed_until=now + LEASE, feed=enforcement.c.feed))


def _store_sessions(conn: Connection, outcomes: Sequence[Outcome]) -> None:
    """Lock the sessions that outcomes change something of, and store what their routers have now."""
    changed = [outcome for outcome in outcomes if outcome.session is not None]
    ids = {outcome.wish.session_id for outcome in outcomes if outcome.session is not None or outcome.lists is not None}
    ids.update(*(outcome.lists.superseded for outcome in outcomes if outcome.lists is not None))
    if not ids:
        return
    listings.lock(conn, ids)
    for outcome in changed:
        assert outcome.session is not None and outcome.session.profile is not None
        changes = {
            "applied_profile": record.profile_id(outcome.session.profile),
            "applied_ip": outcome.session.address,
            "applied_verdict": outcome.wish.wanted.verdict,
            "given_end": outcome.session.given_end,
            "limit_seconds": outcome.session.limit_seconds or None,
            "applied_at": outcome.told[-1].at,
        }
        conn.execute(session.update().where(session.c.id == outcome.wish.session_id).values(changes))


def _store_attempts(conn: Connection, outcomes: Sequence[Outcome]) -> None:
    rows = [
        {
            "session_id": outcome.wish.session_id,
            "event_id": outcome.wish.event_id,
            "cause": outcome.wish.cause,
            "at": told.at,
            "kind": told.kind,
            "attributes": record.profile_json(told.attributes),
            "result": told.result,
            "error_cause": told.error_cause,
            "sends": told.sends,
            "latency": told.latency,
        }
        for outcome in outcomes
        for told in outcome.told
    ]
    if rows:
        conn.execute(attempt.insert(), rows)
