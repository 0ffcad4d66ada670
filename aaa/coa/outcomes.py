"""What came of wishes, stored in a few statements (shell).

Sessions are locked in key order, then enforcement rows in session order, as accounting does it: the two cannot
deadlock.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Select, Table, select

from aaa.coa import claims
from aaa.coa.wish import Outcome
from aaa.store import prepared, record
from aaa.store.prepared import Prepared, Transaction, listed, many
from aaa.store.tables import attempt, proof, session


def store(tx: Transaction, outcomes: Sequence[Outcome], again: Collection[int]) -> None:
    """Store outcomes and let their claims go. The sessions `again` must be planned again at once."""
    _store_sessions(tx, [outcome for outcome in outcomes if outcome.session is not None])
    _store_attempts(tx, outcomes)
    by_session = {outcome.wish.session_id: outcome for outcome in outcomes}
    fulfilled: list[int] = []
    overtaken: list[int] = []
    later: list[claims.Later] = []
    for session_id, asked in claims.locked(tx, by_session).items():
        outcome = by_session[session_id]
        if session_id in again:
            later.append(claims.Later(session_id, asked[0], 0, None, 0))
        elif asked != (outcome.wish.requested_at, outcome.wish.wanted_version):
            overtaken.append(session_id)
        elif outcome.again_at is None:
            fulfilled.append(session_id)
        else:
            line = outcome.wish.router.source if outcome.turn_at else None
            later.append(claims.Later(session_id, outcome.again_at, outcome.tries, line, outcome.turn_at))
    claims.remove(tx, fulfilled)
    claims.release(tx, later)
    claims.let_go(tx, overtaken)
    _store_proofs(tx, outcomes)


def _store_sessions(tx: Transaction, changed: Sequence[Outcome]) -> None:
    """What routers have now of these sessions. The replica knows nothing of that: the feed is not told."""
    if not changed:
        return
    tx.run(_LOCK, {"ids": many(tx, [outcome.wish.session_id for outcome in changed])})
    for prolonged in (False, True):
        rows = [_applied(outcome) for outcome in changed if outcome.prolonged == prolonged]
        if rows:
            names = _PROLONGED if prolonged else _APPLIED
            columns = {name: [row[name] for row in rows] for name in names}
            prepared.update(tx, session, columns, mark=False)


_PROLONGED: Final = ("id", "given_end", "applied_at")
_APPLIED: Final = (*_PROLONGED, "applied_profile", "applied_ip", "applied_verdict", "limit_seconds", "verified_at")


def _applied(outcome: Outcome) -> dict[str, Any]:
    has = outcome.session
    assert has is not None and has.profile is not None
    return {
        "id": outcome.wish.session_id,
        "given_end": has.given_end,
        "applied_at": outcome.told[-1].at,
        "applied_profile": record.profile_id(has.profile),
        "applied_ip": has.address,
        "applied_verdict": int(outcome.wish.wanted.verdict),
        "limit_seconds": has.limit_seconds or None,
        "verified_at": None,
    }


def _store_attempts(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    told = [(outcome.wish, one) for outcome in outcomes for one in outcome.told]
    if not told:
        return
    columns: dict[str, list[Any]] = {
        "session_id": [wish.session_id for wish, _ in told],
        "event_id": [wish.event_id for wish, _ in told],
        "cause": [wish.cause for wish, _ in told],
        "at": [one.at for _, one in told],
        "kind": [one.kind for _, one in told],
        "attributes": [record.profile_json(one.attributes) for _, one in told],
        "result": [one.result for _, one in told],
        "error_cause": [one.error_cause for _, one in told],
        "sends": [one.sends for _, one in told],
        "latency": [one.latency for _, one in told],
        "octets": [one.octets for _, one in told],
    }
    prepared.insert(tx, attempt, columns)


def _store_proofs(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    """What routers have yet to show."""
    awaited = sorted(
        ((outcome.wish, outcome.proof) for outcome in outcomes if outcome.proof is not None),
        key=lambda one: one[0].session_id,
    )
    if not awaited:
        return
    columns: dict[str, list[Any]] = {
        "session_id": [wish.session_id for wish, _ in awaited],
        "event_id": [wish.event_id for wish, _ in awaited],
        "cause": [wish.cause for wish, _ in awaited],
        "rung": [one.rung for _, one in awaited],
        "told_at": [one.told_at for _, one in awaited],
        "look_at": [one.look_at for _, one in awaited],
        "tries": [wish.tries for wish, _ in awaited],
        "seen_at": [None for _ in awaited],
        "seen_up": [None for _ in awaited],
        "seen_down": [None for _ in awaited],
    }
    prepared.upsert(tx, proof, columns, _newest)


def _newest(table: Table, names: tuple[str, ...], new: Any) -> dict[str, Any]:
    return {name: new[name] for name in names if name != "session_id"}


def _lock(postgresql: bool) -> Select[Any]:
    rows = select(session.c.id).where(listed(session.c.id, "ids", postgresql)).order_by(session.c.key)
    return rows.with_for_update(key_share=True)


_LOCK: Final = Prepared(_lock)
