"""`ledgate exempt` and `acknowledge`: what spares a subscriber for a while (R4.9, R5.4)."""

import click

from aaa import clock
from aaa.commands import leniency
from aaa.domain.instant import iso
from aaa.store.queries import find_service
from ledgate.cli.terminal import actor, as_json, database, faults_in_one_line, refuse, settings, show
from ledgate.load.fields import parse_instant


@click.command("exempt")
@click.argument("user")
@click.option(
    "--until", "until_text", metavar="TIME", help="As 2026-12-24 in the VISP's time, or none (default: none)."
)
@as_json
@faults_in_one_line
def exempt_command(user: str, until_text: str | None, as_json: bool) -> None:
    """Do not suspend USER by itself before TIME, whatever he owes; without a time this ends."""
    now = clock.now()
    with database(settings()) as db:
        with db.read() as conn:
            ref = find_service(conn, user)
        until = None
        if until_text is not None and until_text != "none":
            try:
                until = parse_instant(until_text, ref.timezone)
            except ValueError:
                refuse(f"--until: {until_text!r} is not an instant such as 2026-12-03T14:00:00Z, of 1970 to 2999")
            if until <= now:
                refuse(f"--until: {iso(until)} is over already")
        before = leniency.exempt(db, ref.service_id, ref.account_id, until, actor=actor(), now=now)
    if until is not None:
        told = f"{ref.username} is not suspended by itself before {iso(until)}"
    elif before is not None:
        told = f"{ref.username} is exempt no more; it was until {iso(before)}"
    else:
        told = f"{ref.username} had no exemption"
    data = {
        "username": ref.username,
        "exempt_until": None if until is None else iso(until),
        "before": None if before is None else iso(before),
    }
    show(data, told, as_json=as_json)


@click.command("acknowledge")
@click.argument("user")
@as_json
@faults_in_one_line
def acknowledge_command(user: str, as_json: bool) -> None:
    """Record the OK to the reminder that USER, or whoever shares his account, is shown now."""
    now = clock.now()
    with database(settings()) as db:
        with db.read() as conn:
            ref = find_service(conn, user)
        done = leniency.acknowledge(db, ref.account_id, actor=actor(), now=now)
    told = "the reminder is acknowledged" if done else "no reminder is due, nothing was recorded"
    data = {"username": ref.username, "acknowledged": done, "at": iso(now) if done else None}
    show(data, f"{ref.username}: {told}", as_json=as_json)
