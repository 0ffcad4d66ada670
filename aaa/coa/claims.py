"""The statements over enforcement rows that every turn of a dispatcher needs: claim, renew, look (shell).

Rows are found by rank and instant, each in an index of its own order, so that nothing costs for what is due later,
however much that is. Lifts come first; but of what an engine takes at a time a quarter is left to those who get
neither more nor less, and a quarter of that to those who are cut off: so these wait some seconds behind many
lifts, not for their end.
"""

from collections import namedtuple
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, Integer, Select, Text, and_, bindparam, case, exists, func, not_, select
from sqlalchemy.sql.dml import Delete, Update

from aaa.clock import SECOND
from aaa.coa.applied import ANYTHING
from aaa.domain.rank import RANKS
from aaa.store import prepared, record
from aaa.store.feed import SEEN_WITHIN, replicas_have
from aaa.store.prepared import Prepared, Transaction, listed, many
from aaa.store.tables import access, attempt, enforcement, hold, nas, session

LEASE: Final = 10 * SECOND
"""How long a claim holds, unless it is renewed."""
_LOST: Final = record.profile_json(((ANYTHING, 0),))
_KEPT_FREE: Final = 4
"""Of what is taken, one part in so many is left to the next rank."""

_NOW: Final = bindparam("now", type_=BigInteger())
_BESIDE: Final = ("id", "service_id", "feed")

_doubted = exists().where(
    attempt.c.session_id == session.c.id,
    attempt.c.kind == "coa",
    attempt.c.result != "ack",
    attempt.c.result != "nak",
    attempt.c.at > func.coalesce(session.c.applied_at, 0),
)
_COLUMNS: Final = (
    *(column for column in enforcement.c if column.name != "feed"),
    *(column for column in session.c if column.name not in _BESIDE),
    nas.c.name.label("nas_name"),
    nas.c.secret,
    nas.c.previous_secret,
    nas.c.coa_address,
    nas.c.coa_port,
    nas.c.coa_session_timeout,
    nas.c.address_list_by,
    nas.c.api_host,
    nas.c.disconnects_per_second,
    nas.c.keep_packets,
    access.c.version.label("present_version"),
    access.c.record,
    _doubted.label("doubted"),
    select(func.coalesce(func.max(hold.c.since), 0)).scalar_subquery().label("held_since"),
    replicas_have(bindparam("seen_after", type_=BigInteger())).label("replicated"),
)
Found: Any = namedtuple("Found", [column.key for column in _COLUMNS])  # type: ignore[misc]
"""An enforcement row with its session, router and present access row."""


def claim(tx: Transaction, now: int, limit: int, busy: Collection[str]) -> list[Any]:
    """Take up to `limit` rows that are due, as `Found`, leaving out sessions of the routers at the addresses `busy`.
    Rows of sessions that closed, and have nothing to be told of any more, are removed instead.
    """
    due: list[Any] = []
    for rank in RANKS:
        room = limit - len(due)
        if rank != RANKS[-1]:
            room -= room // _KEPT_FREE
        given = {"of_rank": rank, "now": now, "busy": many(tx, busy), "most": room}
        due += tx.run(_DUE, given).fetchall()
    return _take(tx, due, now)


def _take(tx: Transaction, due: Sequence[Any], now: int) -> list[Any]:
    """Claim rows, given with what is left of earlier claims, and read them."""
    ids = [session_id for session_id, _ in due]
    lost = {session_id for session_id, claimed_until in due if claimed_until}
    if not ids:
        return []
    ids.sort()
    tx.run(_EXTEND, {"ids": many(tx, ids), "until": now + LEASE})
    found = tx.run(_FOUND, {"ids": many(tx, ids), "seen_after": now - SEEN_WITHIN}).fetchall()
    # sorted here: PostgreSQL would read the index of that order from end to end, and all that is due later
    rows: list[Any] = sorted(map(Found._make, found), key=_place)
    over = [row.session_id for row in rows if row.closed_at is not None and not _left_listed(row)]
    if over:
        tx.run(_DELETE, {"ids": many(tx, over)})
        gone = set(over)
        rows = [row for row in rows if row.session_id not in gone]
    if lost:
        _note_lost(tx, [row for row in rows if row.session_id in lost], now)
        rows = [row._replace(doubted=True) if row.session_id in lost else row for row in rows]
    return rows


def _place(row: Any) -> tuple[int, int]:
    return row.rank, row.not_before


def _note_lost(tx: Transaction, rows: Sequence[Any], now: int) -> None:
    """Who had these in hand was killed, or stood still too long. It may have told their routers anything."""
    if rows:
        same: dict[str, Any] = {"at": now, "kind": "coa", "attributes": _LOST, "result": "lost", "sends": 0}
        columns: dict[str, list[Any]] = {name: [value for _ in rows] for name, value in same.items()}
        columns |= {name: [getattr(row, name) for row in rows] for name in ("session_id", "event_id", "cause")}
        columns |= {name: [None for _ in rows] for name in ("error_cause", "latency", "octets")}
        prepared.insert(tx, attempt, columns)


def next_due(tx: Transaction, now: int, busy: Collection[str]) -> int | None:
    """When the next unclaimed row is due, leaving out sessions of routers that are busy."""
    asked = [tx.run(_NEXT, {"of_rank": rank, "now": now, "busy": many(tx, busy)}) for rank in RANKS]
    found = [row[0] for answer in asked for row in answer.fetchall()]
    return min(found, default=None)


def extend(tx: Transaction, session_ids: Iterable[int], now: int) -> None:
    """Hold rows for another lease. The feed mark stays: it says when the wish was written."""
    tx.run(_EXTEND, {"ids": many(tx, sorted(session_ids)), "until": now + LEASE})


def look(tx: Transaction, session_ids: Sequence[int]) -> dict[int, tuple[int, int, bool]]:
    """By session id what is asked for now: `requested_at`, `wanted_version`, and whether the session has ended."""
    return {
        row[0]: (row[1], row[2], row[3] is not None) for row in tx.run(_LOOK, {"ids": many(tx, session_ids)}).fetchall()
    }


def replicated(tx: Transaction, session_ids: Sequence[int], now: int) -> set[int]:
    """Those of which every live replica has what was written."""
    given = {"ids": many(tx, session_ids), "seen_after": now - SEEN_WITHIN}
    return {row[0] for row in tx.run(_REPLICATED, given).fetchall()}


def locked(tx: Transaction, session_ids: Iterable[int]) -> dict[int, tuple[int, int]]:
    """Lock rows in session order; their `requested_at` and `wanted_version`, by session id."""
    found = tx.run(_LOCK, {"ids": many(tx, sorted(session_ids))}).fetchall()
    return {row[0]: (row[1], row[2]) for row in found}


def remove(tx: Transaction, session_ids: Sequence[int]) -> None:
    """Remove rows, which are locked."""
    if session_ids:
        tx.run(_DELETE, {"ids": many(tx, session_ids)})


class Later(NamedTuple):
    """A row that is to be claimed again at `not_before`; with `line`, before that from the line of that router."""

    session_id: int
    not_before: int
    tries: int
    line: str | None
    turn_at: int


def release(tx: Transaction, rows: Sequence[Later]) -> None:
    """Let rows go, which are locked."""
    if rows:
        columns = dict(zip(Later._fields, zip(*rows, strict=True), strict=True))
        columns["claimed_until"] = tuple(0 for _ in rows)
        prepared.update(tx, enforcement, columns, mark=False, key="session_id")


def lines(tx: Transaction) -> dict[str, int]:
    """The routers that have a line, and how many are in it."""
    return {row[0]: row[1] for row in tx.run(_LINES, {}).fetchall()}


def pull(tx: Transaction, wanted: Mapping[str, int], now: int) -> list[Any]:
    """Take the first of each line, as `claim` does: so many of each router."""
    given = [{"of_line": line, "now": now, "most": most} for line, most in wanted.items()]
    found = [tx.run(_PULL, one) for one in given]
    return _take(tx, [row for answer in found for row in answer.fetchall()], now)


def let_go(tx: Transaction, session_ids: Sequence[int]) -> None:
    """End the claims on rows, and change nothing else of them. They are locked."""
    if session_ids:
        tx.run(_EXTEND, {"ids": many(tx, session_ids), "until": 0})


def move(tx: Transaction, source: str, now: int, before: int, to: int) -> None:
    """Have the rows of a router's sessions that come due before `before`, and are claimed by nobody, come due at `to`.
    That is no time of their own: what they wait counts.
    """
    tx.run(_MOVE, {"of_source": source, "now": now, "before": before, "to": to})


def _left_listed(row: Any) -> bool:
    """Whether a session that has ended may still be on a list that its router can be told of."""
    return row.lists is not None and row.api_host is not None


def _at(postgresql: bool) -> Any:
    return and_(
        enforcement.c.rank == bindparam("of_rank", type_=Integer()),
        enforcement.c.claimed_until <= _NOW,
        not_(listed(session.c.source, "busy", postgresql)),
    )


def _due(postgresql: bool) -> Select[Any]:
    return (
        select(enforcement.c.session_id, enforcement.c.claimed_until)
        .join(session, session.c.id == enforcement.c.session_id)
        .where(enforcement.c.not_before <= _NOW, _at(postgresql))
        .order_by(enforcement.c.rank, enforcement.c.not_before)
        .limit(bindparam("most", type_=Integer()))
        .with_for_update(skip_locked=True, of=enforcement)
    )


def _next(postgresql: bool) -> Select[Any]:
    return (
        select(enforcement.c.not_before)
        .join(session, session.c.id == enforcement.c.session_id)
        .where(_at(postgresql))
        .order_by(enforcement.c.rank, enforcement.c.not_before)
        .limit(1)
    )


def _lines(_postgresql: bool) -> Select[Any]:
    waiting = select(enforcement.c.line, func.count()).where(enforcement.c.line.is_not(None))
    return waiting.group_by(enforcement.c.line)


def _pull(_postgresql: bool) -> Select[Any]:
    return (
        select(enforcement.c.session_id, enforcement.c.claimed_until)
        .where(
            enforcement.c.line == bindparam("of_line", type_=Text()),
            enforcement.c.line.is_not(None),
            enforcement.c.claimed_until <= _NOW,
        )
        .order_by(enforcement.c.line, enforcement.c.turn_at)
        .limit(bindparam("most", type_=Integer()))
        .with_for_update(skip_locked=True)
    )


def _extend(postgresql: bool) -> Update:
    held = enforcement.update().where(listed(enforcement.c.session_id, "ids", postgresql))
    return held.values(claimed_until=bindparam("until", type_=BigInteger()), feed=enforcement.c.feed)


def _found(postgresql: bool) -> Select[Any]:
    return (
        select(*_COLUMNS)
        .select_from(enforcement)
        .join(session, session.c.id == enforcement.c.session_id)
        .join(nas, nas.c.id == session.c.nas_id)
        .outerjoin(access, access.c.service_id == enforcement.c.service_id)
        .where(listed(enforcement.c.session_id, "ids", postgresql))
    )


def _move(_postgresql: bool) -> Update:
    its = (
        select(enforcement.c.session_id)
        .join(session, session.c.id == enforcement.c.session_id)
        .where(
            session.c.source == bindparam("of_source", type_=Text()),
            session.c.closed_by.is_(None),
            enforcement.c.claimed_until <= _NOW,
            enforcement.c.not_before < bindparam("before", type_=BigInteger()),
        )
        .order_by(enforcement.c.session_id)
        .with_for_update(skip_locked=True, of=enforcement)
    )
    tries = case((enforcement.c.tries == 0, 1), else_=enforcement.c.tries)
    rows = enforcement.update().where(enforcement.c.session_id.in_(its))
    return rows.values(not_before=bindparam("to", type_=BigInteger()), tries=tries, feed=enforcement.c.feed)


def _delete(postgresql: bool) -> Delete:
    return enforcement.delete().where(listed(enforcement.c.session_id, "ids", postgresql))


def _look(postgresql: bool) -> Select[Any]:
    return (
        select(enforcement.c.session_id, enforcement.c.requested_at, enforcement.c.wanted_version, session.c.closed_at)
        .join(session, session.c.id == enforcement.c.session_id)
        .where(listed(enforcement.c.session_id, "ids", postgresql))
    )


def _lock(postgresql: bool) -> Select[Any]:
    return (
        select(enforcement.c.session_id, enforcement.c.requested_at, enforcement.c.wanted_version)
        .where(listed(enforcement.c.session_id, "ids", postgresql))
        .order_by(enforcement.c.session_id)
        .with_for_update()
    )


def _replicated(postgresql: bool) -> Select[Any]:
    everywhere = replicas_have(bindparam("seen_after", type_=BigInteger()))
    rows = select(enforcement.c.session_id)
    return rows.where(listed(enforcement.c.session_id, "ids", postgresql), everywhere)


_DUE: Final = Prepared(_due)
_NEXT: Final = Prepared(_next)
_LINES: Final = Prepared(_lines)
_PULL: Final = Prepared(_pull)
_EXTEND: Final = Prepared(_extend)
_FOUND: Final = Prepared(_found)
_DELETE: Final = Prepared(_delete)
_LOOK: Final = Prepared(_look)
_MOVE: Final = Prepared(_move)
_LOCK: Final = Prepared(_lock)
_REPLICATED: Final = Prepared(_replicated)
