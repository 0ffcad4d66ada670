"""All of a router's list entries against what its live sessions want (shell): what crept in while nobody looked.

Somebody may have emptied a list, the router may have booted, an entry may near its end. What is too much is removed;
what lacks is asked for as any change is, by a wish.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, literal, null, select

from aaa import clock
from aaa.coa import listings
from aaa.debit.controls.definitions import FINISH_RULE
from aaa.debit.controls.finish_rule import restricted_lists
from aaa.domain.rank import NEITHER
from aaa.domain.router import OVERDUE_LISTS, PAYING
from aaa.domain.timeline import Profile
from aaa.routeros.client import RouterAway
from aaa.routeros.executor import Away, Peer, Refused
from aaa.routeros.lists import TIMEOUT, UNSURE, V4, V6, Drift, Entry, Listing, Menu, drift, entries, read_stored
from aaa.routeros.peer import ListsLease, connect
from aaa.store import dialect, record
from aaa.store.database import Database
from aaa.store.holds import held_since
from aaa.store.seal import Sealer
from aaa.store.tables import access, control, enforcement, nas, profile, session

CAUSE: Final = "drift"
_MENUS: Final[tuple[Menu, ...]] = (V4, V6)
_SHOWN: Final = (".id", "list", "address", "comment", "timeout")


def look(db: Database, keys: Sealer, holder: str, nas_id: int, mend: bool) -> str:
    """`sweep`, unless another process keeps the router's lists just now; what it found, for people. Raises RouterAway.

    That of a router whose lists are not kept by its API is nothing.
    """
    held = ListsLease(db, holder)
    if not held.take(nas_id):
        return ""
    try:
        peer = connect(db, keys, nas_id)
        try:
            found = sweep(db, nas_id, peer, clock.now(), mend=mend)
        finally:
            peer.close()
    except (Away, Refused) as error:
        raise RouterAway(f"lists: {error}") from None
    finally:
        held.let_go(nas_id)
    counts = {"too many": len(found.surplus), "running out": len(found.ending), "lacking": len(found.lacking)}
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"list entries: {told}" if told else ""


def sweep(db: Database, nas_id: int, peer: Peer, now: int, *, mend: bool) -> Drift:
    """Compare; with `mend` also have it put right. The router's lists must be ours to keep. Raises Away, Refused."""
    with db.read() as conn:
        names = _names(conn)
    present = [entry for menu in _MENUS for entry in entries(menu, peer.find(menu, _SHOWN, "list", names))]
    with db.read() as conn:  # after the router: what has come onto it since is known here
        found = drift(_wanted(conn, nas_id, now), present)
    if mend:
        for menu in _MENUS:
            _mend(peer, menu, [one for one in found.surplus if one.menu == menu], found.ending)
        _ask(db, found.lacking, now)
    return found


def _mend(peer: Peer, menu: Menu, surplus: Sequence[Entry], ending: Sequence[Entry]) -> None:
    if surplus:
        peer.remove(menu, [one.id for one in surplus])
    renewed = [one.id for one in ending if one.menu == menu]
    if renewed:
        peer.change(menu, renewed, {"timeout": f"{TIMEOUT}s"})


def _names(conn: Connection) -> list[str]:
    """Every list that an entry of ours may be on."""
    rules = conn.execute(select(control.c.value).where(control.c.kind == FINISH_RULE)).scalars()
    rooms = {name for value in rules for name in restricted_lists(value)}
    stored = conn.execute(select(session.c.lists).where(session.c.lists.is_not(None)).distinct()).scalars()
    known = {name for text in stored for name in read_stored(text)}
    return sorted((rooms | known | {*OVERDUE_LISTS, PAYING}) - {UNSURE})


def _wanted(conn: Connection, nas_id: int, now: int) -> list[Listing]:
    """What every live session of the router wants, earliest first."""
    live: Select[Any] = (
        select(
            session.c.id.label("session_id"),
            *(column for column in session.c if column.name not in ("id", "feed")),
            nas.c.address_list_by,
            nas.c.api_host,
            access.c.record,
            literal(CAUSE).label("cause"),
        )
        .join(nas, nas.c.id == session.c.nas_id)
        .join(access, access.c.service_id == session.c.service_id)
        .where(session.c.nas_id == nas_id, session.c.closed_by.is_(None))
        .order_by(session.c.started_at, session.c.id)
    )
    rows = conn.execute(live).all()
    since = held_since(conn)
    steps = {row.session_id: _step(row, now, since) for row in rows}
    return listings.wanted(rows, steps, _profiles(conn, steps), now)


def _step(row: Row[Any], now: int, since: int) -> record.Step | None:
    if row.record is None:
        return None
    head = record.entry(row.record)
    return record.step_held(row.record, head, now, since) if since else record.step_at(row.record, head, now)


def _profiles(conn: Connection, steps: Mapping[int, record.Step | None]) -> dict[int, Profile]:
    named = {step.profile for step in steps.values() if step is not None}
    found = select(profile.c.id, profile.c.attributes).where(dialect.among(conn, profile.c.id, named))
    return {row.id: record.profile_from_json(row.attributes) for row in conn.execute(found)}


def _ask(db: Database, session_ids: Sequence[int], now: int) -> None:
    """A wish for each of these, in doubt about what they are on."""
    if not session_ids:
        return
    with db.write() as conn:
        listings.doubt(conn, session_ids)
        lacking = (
            select(
                session.c.id,
                session.c.service_id,
                null().label("event_id"),
                access.c.version,
                literal(CAUSE).label("cause"),
                literal(now).label("requested_at"),
                literal(now).label("not_before"),
                literal(0).label("tries"),
                literal(NEITHER).label("rank"),
            )
            .join(access, access.c.service_id == session.c.service_id)
            .where(dialect.among(conn, session.c.id, session_ids), session.c.closed_by.is_(None))
            .order_by(session.c.id)
        )
        names = ["event_id", "wanted_version", "cause", "requested_at", "not_before", "tries", "rank"]
        insert = dialect.upsert(conn, enforcement).from_select(["session_id", "service_id", *names], lacking)
        conn.execute(listings.instead_of_put_off(insert, now))
        dialect.notify(conn, "ledgate_engine")
