"""Address-lists of live sessions on routers that keep them by their API: what each wants, and what is stored (shell).

What a session's addresses may be on is written before a router is told, and what they are on after that. So a list
that a router has is never unknown here, whoever is killed between the two, and can be taken off when the session ends.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, exists, literal, not_, null, or_, select

from aaa.coa.wish import Planned, Stored
from aaa.domain.rank import LIFT
from aaa.domain.router import PAYING, list_lever
from aaa.domain.timeline import Cause, Profile, Verdict
from aaa.routeros.lists import (
    UNSURE,
    Listing,
    clearing,
    needs,
    read_stored,
    spelled,
    stored,
    wanted_lists,
)
from aaa.store import dialect, record
from aaa.store.tables import enforcement, nas, session

STOP: Final = "stop"
"""The cause of wishes for sessions that have ended and may still be on a list."""
_START: Final = "start"


def plan_lists(
    conn: Connection,
    rows: Sequence[Row[Any]],
    steps: Mapping[int, record.Step | None],
    profiles: Mapping[int, Profile],
    now: int,
) -> dict[int, Planned]:
    """What routers are to be told of lists, by session id; `rows` are of `session` with `address_list_by`, `api_host`,
    and `record`. `intend` must be stored before they are told.
    """
    ours = [row for row in rows if row.api_host is not None and (_by_api(row) or row.lists is not None)]
    wanted = {row.session_id: _wanted(row, steps[row.session_id], profiles, now) for row in ours}
    named = {row.session_id: row for row in ours if row.closed_at is None and row.framed_ip is not None}
    live = [row for row in ours if row.closed_at is None]
    older = _older(conn, [row for row in live if row.cause == _START or wanted[row.session_id]])
    lost = _lost(conn, [row for row in named.values() if wanted[row.session_id] or row.lists is not None])
    planned: dict[int, Planned] = {}
    for row in ours:
        before = read_stored(row.lists)
        lists = () if row.session_id in lost else wanted[row.session_id]
        names = [name for name, _ in lists]
        superseded = () if row.session_id in lost else older.get(row.session_id, ())
        addresses = _addresses(row)
        # one of a payment ends by itself, and may have done so
        if not addresses or not (needs(before, names) or superseded or PAYING in names):
            continue
        ended = row.closed_at is not None or row.session_id in lost
        clear = "none" if ended else clearing(before, names)
        may_have = stored({*before, *names}, unsure=True)
        planned[row.session_id] = Planned(Listing(row.session_id, addresses, lists, clear, ended), superseded, may_have)
    return planned


def intend(conn: Connection, planned: Collection[Planned]) -> None:
    """Write down what sessions may be on from now on."""
    lock(conn, [one.listing.session_id for one in planned])
    _write(conn, {one.listing.session_id: one.may_have for one in planned})


def lock(conn: Connection, session_ids: Collection[int]) -> None:
    """Lock sessions in the order that accounting does."""
    rows = select(session.c.id).where(session.c.id.in_(session_ids)).order_by(session.c.key)
    conn.execute(rows.with_for_update(key_share=True)).all()


def doubt(conn: Connection, session_ids: Collection[int]) -> None:
    """Have sessions looked at anew: what is stored may not be what their routers have."""
    lock(conn, session_ids)
    rows = select(session.c.id, session.c.lists).where(session.c.id.in_(session_ids))
    found = conn.execute(rows).all()
    _write(conn, {row.id: stored({*read_stored(row.lists), UNSURE}, unsure=True) for row in found})


def wanted(
    rows: Sequence[Row[Any]], steps: Mapping[int, record.Step | None], profiles: Mapping[int, Profile], now: int
) -> list[Listing]:
    """What the routers of live sessions are to hold, in the order of `rows` (as for `plan_lists`)."""
    found = []
    for row in rows:
        addresses = _addresses(row)
        if addresses and row.api_host is not None:
            found.append(Listing(row.session_id, addresses, _wanted(row, steps[row.session_id], profiles, now), "none"))
    return found


def store(conn: Connection, results: Sequence[Stored]) -> set[int]:
    """Write down what sessions are on now; returns those that lost their addresses, or ended, in the meantime: they
    must be planned again. The sessions are locked.
    """
    if not results:
        return set()
    ids = [one.session_id for one in results if one.lists]
    rows = conn.execute(select(session.c.id.label("session_id"), session).where(session.c.id.in_(ids))).all()
    gone = _lost(conn, [row for row in rows if row.closed_at is None and row.framed_ip is not None])
    gone |= {row.session_id for row in rows if row.closed_at is not None}
    lists: dict[int, str | None] = {}
    for one in results:
        lists[one.session_id] = stored(one.lists, unsure=one.session_id in gone)
        lists |= dict.fromkeys(one.superseded)
    _write(conn, lists)
    return gone


def left_listed(conn: Connection, now: int) -> bool:
    """Whether any session has ended that may still be on a list, and has no wish."""
    return conn.execute(_ended(now).limit(1)).first() is not None


def ask_for_ended(conn: Connection, now: int) -> int:
    """A wish for every session that has ended and may still be on a list; returns how many those are."""
    names = ["event_id", "wanted_version", "cause", "requested_at", "not_before", "tries", "rank"]
    insert = dialect.upsert(conn, enforcement).from_select(["session_id", "service_id", *names], _ended(now))
    asked = conn.execute(instead_of_put_off(insert, now).returning(enforcement.c.session_id))
    return len(asked.all())


def _ended(now: int) -> Select[Any]:
    return (
        select(
            session.c.id,
            session.c.service_id,
            null().label("event_id"),
            literal(0).label("wanted_version"),
            literal(STOP).label("cause"),
            literal(now).label("requested_at"),
            literal(now).label("not_before"),
            literal(0).label("tries"),
            literal(LIFT).label("rank"),  # the next holder of its address must not inherit a debt
        )
        .join(nas, nas.c.id == session.c.nas_id)
        .where(
            nas.c.api_host.is_not(None),
            session.c.lists.is_not(None),
            session.c.closed_by.is_not(None),
            session.c.service_id.is_not(None),
            not_(exists().where(enforcement.c.session_id == session.c.id, not_(put_off(now)))),
        )
        .order_by(session.c.id)
    )


def put_off(now: int) -> ColumnElement[bool]:
    """Of an enforcement row: it waits for a time of its own, as a later end does, and may be asked for at once. What
    had no success waits, too, but as long as it is to.
    """
    return and_(enforcement.c.not_before > now, enforcement.c.tries == 0)


def instead_of_put_off(insert: Any, now: int) -> Any:
    """This INSERT of enforcement rows, taking the place of those that are `put_off`, and of no others."""
    names = ("event_id", "wanted_version", "cause", "requested_at", "not_before", "rank")
    newer = {name: insert.excluded[name] for name in names} | {"feed": dialect.feed_mark()}
    return insert.on_conflict_do_update(index_elements=[enforcement.c.session_id], set_=newer, where=put_off(now))


def reminder_of(packed: bytes, step: record.Step) -> str | None:
    """What happens to HTTPS while the reminder of this segment is due; None if none is (R5.3)."""
    if step.reason < 0:
        return None
    reason = record.reasons(packed, record.entry(packed))[step.reason]
    if reason.cause is not Cause.OVERDUE:
        return None
    return str(dict(reason.figures).get("https", "allow"))


def _wanted(
    row: Row[Any], step: record.Step | None, profiles: Mapping[int, Profile], now: int
) -> tuple[tuple[str, int], ...]:
    if row.closed_at is not None or step is None or step.verdict == Verdict.DENY:
        return ()
    if not _by_api(row):
        return ()  # it was one that kept lists by its API, and what it has of that must go
    return wanted_lists(profiles[step.profile], reminder_of(row.record, step), row.paying_until, now)


def _by_api(row: Row[Any]) -> bool:
    return list_lever(row.address_list_by, row.api_host) == "api"


def _addresses(row: Row[Any]) -> tuple[str, ...]:
    found = [spelled(one) for one in (row.framed_ip, row.framed_ipv6, row.delegated_ipv6) if one is not None]
    return tuple(dict.fromkeys(found))


def _older(conn: Connection, rows: Sequence[Row[Any]]) -> dict[int, tuple[int, ...]]:
    """By session id, the other sessions that may be on a list with its address."""
    if not rows:
        return {}
    mine, other = session.alias("mine"), session.alias("other")
    address = or_(*(other.c[name] == mine.c[name] for name in ("framed_ip", "framed_ipv6", "delegated_ipv6")))
    same = and_(other.c.nas_id == mine.c.nas_id, address, other.c.id != mine.c.id)
    listed = (
        select(mine.c.id, other.c.id.label("older"))
        .join(other, same)
        .where(mine.c.id.in_([row.session_id for row in rows]), other.c.lists.is_not(None))
    )
    found: dict[int, tuple[int, ...]] = {}
    for one in conn.execute(listed):
        found[one.id] = (*found.get(one.id, ()), one.older)
    return found


def _lost(conn: Connection, rows: Sequence[Row[Any]]) -> set[int]:
    """Which open sessions have lost their address to a later one: their Stop was lost."""
    if not rows:
        return set()
    mine, later = session.alias("mine"), session.alias("later")
    after = or_(
        later.c.started_at > mine.c.started_at,
        and_(later.c.started_at == mine.c.started_at, later.c.id > mine.c.id),
    )
    found = (
        select(mine.c.id)
        .join(later, and_(*(later.c[name] == mine.c[name] for name in ("source", "framed_ip", "identifier")), after))
        .where(mine.c.id.in_([row.session_id for row in rows]), later.c.closed_by.is_(None))
    )
    return set(conn.execute(found).scalars())


def _write(conn: Connection, lists: Mapping[int, str | None]) -> None:
    """By session id. The feed mark stays: the replica knows nothing of lists."""
    if lists:
        conn.execute(_WRITE, [{"of": session_id, "to": text} for session_id, text in lists.items()])


_WRITE: Final = (
    session.update().where(session.c.id == bindparam("of")).values(lists=bindparam("to"), feed=session.c.feed)
)
