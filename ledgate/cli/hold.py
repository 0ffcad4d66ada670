"""`ledgate hold`: the clock cannot be trusted, so that cuts wait (R8.4)."""

from typing import Any

import click

from aaa import clock
from aaa.commands.hold import StillHeld, Waiting, release, waiting
from aaa.domain.instant import iso
from ledgate.cli.terminal import actor, as_json, database, faults_in_one_line, refuse, settings, show

NOTHING = "cuts are not held"


@click.command("hold")
@click.option("--release", "ends", is_flag=True, help="The clock is right: let the cuts act that wait.")
@click.option("--yes-cut", "confirmed", type=int, metavar="N", help="Cut off N services, as it says.")
@as_json
@faults_in_one_line
def hold_command(ends: bool, confirmed: int | None, as_json: bool) -> None:
    """Whether cuts are held since a clock jumped or fell behind, why, and how many wait."""
    if confirmed is not None and not ends:
        refuse("--yes-cut goes with --release")
    with database(settings()) as db:
        now = clock.now()
        try:
            found = release(db, confirmed, actor=actor(), now=now) if ends else waiting(db, now)
        except StillHeld as held:
            show(_json(held.waiting, now), _text(held.waiting, now), as_json=as_json)
            refuse(str(held))
    if found is None:
        show({"held": False}, NOTHING, as_json=as_json)
    elif ends:
        text = f"cuts are not held any more: {found.cut} services are cut off"
        show({"held": False, "cut": found.cut}, text, as_json=as_json)
    else:
        show(_json(found, now), _text(found, now), as_json=as_json)


def _json(found: Waiting, now: int) -> dict[str, Any]:
    return {
        "held": True,
        "since": iso(found.hold.since),
        "why": found.hold.why,
        "machine": found.hold.machine,
        "noticed": iso(found.hold.made_at),
        "now": iso(now),
        "waiting": found.cut,
        "allowed": found.allowed,
        "limit": found.limit,
    }


def _text(found: Waiting, now: int) -> str:
    confirm = f" --yes-cut {found.cut}" if found.cut > found.limit else ""
    return (
        f"cuts are held since {iso(found.hold.since)}: {found.hold.why} (machine {found.hold.machine})\n"
        f"by this machine's clock it is {iso(now)} now; "
        f"{found.cut} of {found.allowed} services that are allowed wait to be cut off\n"
        f"if that clock is right: ledgate hold --release{confirm}"
    )
