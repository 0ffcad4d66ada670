"""Letting cuts happen that waited for a confirmation (R8.4) (shell)."""

from aaa.commands import held
from aaa.commands.breaker import CutsHeld, Onlooker, Preview
from aaa.commands.door import change
from aaa.commands.recompile import Policies, compile_services
from aaa.store.database import Database
from aaa.store.leases import Leases
from aaa.store.settings import read_settings


def confirm(db: Database, account_id: int, confirmed: int | None, *, actor: str, now: int) -> int:
    """Cut off the services of an account whose cut waits, as their facts are now; returns how many those are.

    Raises CutsHeld unless exactly so many are `confirmed`. Zero: none waits.
    """
    with change(db, actor=actor, now=now) as door:
        services = door.lock_account(account_id)
        waiting = sorted(held.held_among(door.conn, services))
        if not waiting:
            return 0
        onlooker = Onlooker(now)
        rules = Policies(door.conn), Leases(door.conn)
        onlooker(door.conn, compile_services(door.conn, waiting, *rules, now, confirmed=True))
        cut = onlooker.tally.cut
        if cut != confirmed:
            settings = read_settings(door.conn)
            raise CutsHeld(Preview.of(db, onlooker.tally, len(waiting), 0, settings, now), confirmed)
        held.release(door.conn, waiting)
        event = door.event("confirm-cut", f"account:{account_id}", None, {"services": cut})
        door.touch(waiting, cause="confirm-cut", event=event)
        return cut
