"""Enforcement rows (shell): claim those that are due, learn all about their sessions, and store what came of them.

A row says "plan this session again". It is a wish, overwritten by the next one, never a queue of messages. Who works on
it holds a claim that runs out, so that nothing is lost with a process, and two engines do not work on one session.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import Connection, select

from aaa.clock import SECOND
from aaa.coa import applied, claims, listings, outcomes, quotas
from aaa.coa.messages import Target
from aaa.coa.plan import LiveSession, Wanted, anything, without_lists
from aaa.coa.wish import Outcome, Planned, Router, Wish
from aaa.domain.router import ListLever, list_lever
from aaa.domain.session import device_of
from aaa.domain.timeline import Profile, Verdict
from aaa.radius.clients import parse_address
from aaa.radius.integrity import Secret
from aaa.store import dialect, record
from aaa.store.database import Database
from aaa.store.seal import SealBroken, Sealer
from aaa.store.tables import profile

_log: Final = logging.getLogger(__name__)

_ROUTERS: Final = 10_000
"""How many routers are remembered."""


class _Learnt(NamedTuple):
    """What claimed rows do not say themselves, by session or service id."""

    told: Mapping[int, applied.Applied]
    doubtful: Mapping[int, frozenset[str]]
    crowded: set[int]
    allowed: Mapping[int, quotas.Standing]
    lists: Mapping[int, Planned]
    rests: Mapping[int, int]


class Wishes:
    """The rows of one database; `sealer` opens the routers' secrets. Profiles and routers met are kept."""

    def __init__(self, db: Database, sealer: Sealer) -> None:
        self._db = db
        self._sealer = sealer
        self._profiles: dict[int, Profile] = {}
        self._routers: dict[tuple[Any, ...], Router] = {}

    def next_due(self, now: int, busy: Sequence[str]) -> int | None:
        """When the next unclaimed row is due, leaving out sessions of the routers at the addresses `busy`."""
        with self._db.read_prepared() as tx:
            return claims.next_due(tx, now, busy)

    def claim(self, now: int, limit: int, busy: Sequence[str]) -> list[Wish]:
        """Take up to `limit` rows that are due; rows of sessions that closed meanwhile are removed."""
        return self.plan(self.exchange((), now, limit, busy)[0], now)

    def store(self, done: Sequence[Outcome]) -> None:
        """Store what came of wishes and let their claims go, in one transaction."""
        self.exchange(done, 0, 0, ())

    def exchange(
        self, done: Sequence[Outcome], now: int, limit: int, busy: Sequence[str]
    ) -> tuple[list[Any], int | None]:
        """`store` and `claim` in one transaction: the rows claimed, for `plan`, and when the next is due; with `limit`
        0 none is looked for.
        """
        if not done:
            due = self.next_due(now, busy)
            if due is None or due > now:
                return [], due
        again = self._store_lists(done)
        rows: list[Any] = []
        due = None
        with self._db.write_prepared() as tx:
            if done:
                outcomes.store(tx, done, again)
            if limit > 0:
                rows = claims.claim(tx, now, limit, busy)
                due = claims.next_due(tx, now, busy)
        return rows, due

    def lines(self) -> dict[str, int]:
        """The routers that have a line of sessions to be ended, and how many are in it."""
        with self._db.read_prepared() as tx:
            return claims.lines(tx)

    def pull(self, wanted: Mapping[str, int], now: int) -> list[Any]:
        """The first of each line, so many of each router, as rows for `plan`."""
        with self._db.write_prepared() as tx:
            return claims.pull(tx, wanted, now)

    def plan(self, rows: Sequence[Any], now: int) -> list[Wish]:
        """All that is to be known of claimed rows. What their routers are to be told of lists is written down."""
        wishes = self._wishes(rows, now)
        planned = [wish.lists for wish in wishes if wish.lists is not None]
        if planned:
            with self._db.write() as conn:
                listings.intend(conn, planned)
        return wishes

    def ask_for_ended(self, now: int) -> None:
        """Have those sessions looked at that have ended and may still be on a list of their router's."""
        with self._db.read() as conn:
            if not listings.left_listed(conn, now):
                return
        with self._db.write() as conn:
            listings.ask_for_ended(conn, now)

    def renew(self, session_ids: Iterable[int], now: int) -> None:
        """Keep the claims on these rows."""
        with self._db.write_prepared() as tx:
            claims.extend(tx, session_ids, now)

    def look(self, wishes: Sequence[Wish], held: Sequence[int], now: int) -> dict[int, Literal["wanted", "replicated"]]:
        """Which claimed wishes still stand, by session id; of the sessions `held`, whether every live replica has what
        they want by now.

        Missing are those whose session closed or whose row holds a newer wish.
        """
        with self._db.read_prepared() as tx:
            found = claims.look(tx, [wish.session_id for wish in wishes])
            everywhere = claims.replicated(tx, held, now) if held else set()
        return {
            wish.session_id: "replicated" if wish.session_id in everywhere else "wanted"
            for wish in wishes
            if found.get(wish.session_id) == (wish.requested_at, wish.wanted_version, wish.ended)
        }

    def move(self, source: str, before: int, to: int, now: int) -> None:
        """Have the rows of a router's sessions that come due before `before` come due at `to` instead."""
        with self._db.write_prepared() as tx:
            claims.move(tx, source, now, before, to)

    def _store_lists(self, done: Sequence[Outcome]) -> set[int]:
        """What the API said, before the claims go; returns the sessions that must be planned again."""
        listed = [outcome.lists for outcome in done if outcome.lists is not None]
        if not listed:
            return set()
        with self._db.write() as conn:
            listings.lock(conn, {session_id for one in listed for session_id in (one.session_id, *one.superseded)})
            return listings.store(conn, listed)

    def _wishes(self, rows: Sequence[Any], now: int) -> list[Wish]:
        heads = {row.session_id: record.entry(row.record) for row in rows if row.record is not None}
        steps = {
            row.session_id: _step(row.record, heads[row.session_id], now, row.held_since)
            if row.record is not None
            else None
            for row in rows
        }
        learnt = self._learn(rows, heads, steps, now)
        return [self._wish(row, heads.get(row.session_id), steps[row.session_id], learnt) for row in rows]

    def _learn(
        self, rows: Sequence[Any], heads: Mapping[int, record.Entry], steps: Mapping[int, record.Step | None], now: int
    ) -> _Learnt:
        """All that it takes queries to know; mostly it takes none."""
        told = {row.session_id: applied.known(row) for row in rows}
        unknown = [row for row in rows if told[row.session_id] is None]
        doubted = [row.session_id for row in rows if row.doubted]
        limits = {
            row.service_id: head.simultaneous_use
            for row in rows
            if (head := heads.get(row.session_id)) is not None and head.simultaneous_use
        }
        limited = [row for row in rows if row.limit_octets is not None or row.limit_seconds is not None]
        listed = [row for row in rows if row.api_host is not None]
        started = {row.service_id for row in rows if row.cause in applied.AT_START}
        names = {one.profile for one in told.values() if one is not None}
        names |= {step.profile for step in steps.values() if step is not None}
        if not (unknown or doubted or limits or limited or listed or started or names - self._profiles.keys() - {None}):
            return _Learnt({key: one for key, one in told.items() if one is not None}, {}, set(), {}, {}, {})
        with self._db.read() as conn:
            found = {key: one for key, one in told.items() if one is not None} | applied.applied(conn, unknown)
            names |= {one.profile for one in found.values()}
            self._learn_profiles(conn, names)
            return _Learnt(
                found,
                applied.doubtful(conn, doubted) if doubted else {},
                applied.crowded(conn, limits),
                quotas.standings(conn, limited, steps, now) if limited else {},
                listings.plan_lists(conn, listed, steps, self._profiles, now) if listed else {},
                applied.rests(conn, started, now),
            )

    def _wish(self, row: Any, head: record.Entry | None, step: record.Step | None, learnt: _Learnt) -> Wish:
        reason = None
        allowed = learnt.allowed.get(row.session_id, quotas.UNTOLD)
        if step is None:
            wanted = Wanted(Verdict.DENY, ())
        else:
            end = step.verdict_end or None
            wanted = Wanted(
                Verdict(step.verdict), self._profiles[step.profile], step.framed_ip, end, allowed.limit_seconds
            )
            if step.reason >= 0:
                reason = record.reasons(row.record, record.entry(row.record))[step.reason].cause.value
        told = learnt.told[row.session_id]
        router = self._router(row)
        has = self._profiles[told.profile] if told.profile is not None else None
        if has is not None and row.lists_by_api:
            has = without_lists(has)
        lever: ListLever = router.lever if row.lists_by_api or router.lever != "api" else "disconnect"
        doubtful = learnt.doubtful.get(row.session_id, frozenset())
        if applied.ANYTHING in doubtful:
            doubtful = anything(has, wanted.profile)
        live = LiveSession(
            row.service_id,
            row.started_at,
            row.framed_protocol == "ppp",
            has,
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
            router if lever == router.lever else replace(router, lever=lever),
            reason,
            row.interim * SECOND,
            row.session_id in learnt.crowded,
            head is not None and _locked_out(row.calling_station_id, head.caller_lock or None),
            row.replicated,
            learnt.rests.get(row.service_id, 0) if row.cause in applied.AT_START else 0,
            learnt.lists.get(row.session_id),
            row.closed_at is not None,
            row.rank,
            row.rung,
            row.turn_at,
        )

    def _router(self, row: Any) -> Router:
        key = (
            row.nas_id,
            row.nas_name,
            row.source,
            row.secret,
            row.previous_secret,
            row.coa_address,
            row.coa_port,
            row.coa_session_timeout,
            row.address_list_by,
            row.api_host,
            row.disconnects_per_second,
            row.keep_packets,
        )
        known = self._routers.get(key)
        if known is None:
            if len(self._routers) >= _ROUTERS:
                self._routers.clear()
            known = self._routers[key] = self._new_router(row)
        return known

    def _new_router(self, row: Any) -> Router:
        sealed = {"secret": row.secret, "previous_secret": row.previous_secret}
        try:
            secrets = tuple(
                Secret(self._sealer.unseal("nas", column, row.nas_id, value))
                for column, value in sealed.items()
                if value is not None
            )
        except SealBroken as error:
            _log.error("nas=%s error=%s", row.nas_name, error)
            secrets = ()
        return Router(
            row.nas_id,
            row.nas_name,
            row.source,
            (str(parse_address(row.coa_address or row.source)), row.coa_port),
            secrets,
            row.coa_session_timeout,
            list_lever(row.address_list_by, row.api_host),
            SECOND // row.disconnects_per_second,
            row.api_host is not None,
            row.keep_packets,
        )

    def _learn_profiles(self, conn: Connection, ids: set[int | None]) -> None:
        """Profiles are named by what they say, so what is known stays right."""
        missing = [one for one in ids if one is not None and one not in self._profiles]
        if missing:
            found = select(profile.c.id, profile.c.attributes).where(dialect.among(conn, profile.c.id, missing))
            self._profiles |= {row.id: record.profile_from_json(row.attributes) for row in conn.execute(found)}


def _step(packed: bytes, head: record.Entry, now: int, since: int) -> record.Step:
    """What counts at `now`; cuts are held since `since`, 0: they are not."""
    return record.step_held(packed, head, now, since) if since else record.step_at(packed, head, now)


def _locked_out(calling_station_id: str, lock: str | None) -> bool:
    """Whether a session is of another device than the only one that may log in; one that is not told may be that."""
    return lock is not None and device_of(calling_station_id) not in ("", lock)
