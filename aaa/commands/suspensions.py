"""Manual suspensions: made, lifted, replaced (R4.1, R4.4, R4.10) (shell).

A suspension is never deleted: who lifted it and when is kept in its row, and every change is an event.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aaa.commands.door import Change, change
from aaa.domain.suspension import Repeat, Suspension
from aaa.store import dialect, facts
from aaa.store.database import Database
from aaa.store.holds import trusted
from aaa.store.tables import suspension


def suspend(db: Database, service_id: int, account_id: int, wanted: Suspension, *, actor: str, now: int) -> None:
    """Suspend a service of this account; other suspensions of it stay.

    One from `now` on acts at once even while cuts are held: it begins at the last instant that can be trusted.
    """
    with change(db, actor=actor, now=now) as door:
        door.lock_account(account_id)
        start = trusted(door.conn, now)
        if wanted.start == now and wanted.repeat is Repeat.NONE and (wanted.end is None or start < wanted.end):
            wanted = dataclasses.replace(wanted, start=start)
        _make(door, {service_id: [wanted]})
        event = door.event("suspend", f"service:{service_id}", None, [spelled(wanted)])
        door.touch([service_id], cause="suspend", event=event)


def unsuspend(db: Database, service_id: int, account_id: int, *, actor: str, now: int) -> list[Suspension]:
    """Lift every suspension of a service that holds or is to come; returns them. Those that have ended stay as they
    are.
    """
    with change(db, actor=actor, now=now) as door:
        door.lock_account(account_id)
        held = facts.read_suspensions(door.conn, [service_id]).get(service_id, {})
        lifted = {row: one for row, one in held.items() if not _ended(one, now)}
        if lifted:
            _lift(door, lifted)
            before = [spelled(one) for one in lifted.values()]
            event = door.event("unsuspend", f"service:{service_id}", before, None)
            door.touch([service_id], cause="unsuspend", event=event)
    return list(lifted.values())


def replace(door: Change, wanted: Mapping[int, Sequence[Suspension]]) -> None:
    """Give each of these services, whose locks the change holds, exactly these suspensions, lifting its others.

    One that is there already stays; one that has ended and is not wanted stays in the history as it is.
    """
    if not wanted:
        return
    held = facts.read_suspensions(door.conn, wanted.keys())
    made: dict[int, list[Suspension]] = {}
    lifted: list[int] = []
    for service_id, those in wanted.items():
        before, after = held.get(service_id, {}), list(those)
        gone: dict[int, Suspension] = {}
        for row, one in before.items():
            if one in after:
                after.remove(one)
            elif not _ended(one, door.now):
                gone[row] = one
        if not gone and not after:
            continue
        made[service_id] = after
        lifted.extend(gone)
        event = door.event(
            "suspend" if after else "unsuspend",
            f"service:{service_id}",
            [spelled(one) for one in gone.values()] or None,
            [spelled(one) for one in after] or None,
        )
        door.touch([service_id], cause="suspend" if after else "unsuspend", event=event)
    _lift(door, lifted)
    _make(door, made)


def spelled(one: Suspension) -> dict[str, Any]:
    """A suspension for the audit log; instants are UTC microseconds."""
    return {
        "reason": one.reason,
        "from": one.start,
        "to": one.end,
        "repeat": one.repeat.value,
        "suspend_invoicing": one.suspend_invoicing,
    }


def _ended(one: Suspension, now: int) -> bool:
    return one.repeat is Repeat.NONE and one.end is not None and one.end <= now


def _make(door: Change, wanted: Mapping[int, Sequence[Suspension]]) -> None:
    rows = [
        {
            "service_id": service_id,
            "reason": one.reason,
            "from_at": one.start,
            "to_at": one.end,
            "repeat": one.repeat.value,
            "suspend_invoicing": one.suspend_invoicing,
            "made_at": door.now,
            "made_by": door.actor,
        }
        for service_id, those in wanted.items()
        for one in those
    ]
    if rows:
        ids = dialect.new_ids(door.conn, suspension, len(rows))
        dialect.insert_many(
            door.conn, suspension, [{"id": row_id, **row} for row_id, row in zip(ids, rows, strict=True)]
        )


def _lift(door: Change, ids: Collection[int]) -> None:
    if ids:
        rows = suspension.update().where(dialect.among(door.conn, suspension.c.id, ids))
        door.conn.execute(rows.values(lifted_at=door.now, lifted_by=door.actor))
