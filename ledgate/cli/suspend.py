"""`ledgate suspend`, `unsuspend`, `suspensions`: manual suspension (R4.1, R4.4, R4.10)."""

from typing import Any

import click

from aaa import clock
from aaa.commands import suspensions
from aaa.debit.wording import named
from aaa.domain.instant import iso
from aaa.domain.suspension import REASONS, BadSuspension, Repeat, Suspension
from aaa.store.queries import find_service, suspension_rows
from aaa.store.settings import read_settings
from ledgate.cli.terminal import actor, as_json, database, faults_in_one_line, refuse, settings, show, table
from ledgate.load.fields import parse_instant

_INTERVALS = [one.value for one in Repeat if one is not Repeat.NONE]


@click.command("suspend")
@click.argument("user")
@click.option("--reason", type=click.Choice(REASONS), required=True)
@click.option("--from", "from_text", metavar="TIME", help="As 2026-12-24T08:00 in the VISP's time (default: now).")
@click.option("--to", "to_text", metavar="TIME", help="When it ends (default: when it is lifted).")
@click.option("--repeat", type=click.Choice(_INTERVALS), help="It comes again at the same local times.")
@click.option("--with-invoicing", is_flag=True, help="Suspend invoicing too.")
@as_json
@faults_in_one_line
def suspend_command(
    user: str,
    reason: str,
    from_text: str | None,
    to_text: str | None,
    repeat: str | None,
    with_invoicing: bool,
    as_json: bool,
) -> None:
    """Suspend USER, whatever he owes or pays, until it is lifted."""
    now = clock.now()
    with database(settings()) as db:
        with db.read() as conn:
            ref = find_service(conn, user)
        start = now if from_text is None else _instant("--from", from_text, ref.timezone)
        end = None if to_text is None else _instant("--to", to_text, ref.timezone)
        try:
            wanted = Suspension(reason, start, end, Repeat(repeat or "none"), with_invoicing)
        except BadSuspension as error:
            refuse(f"--{error.key}: {error.message}")
        suspensions.suspend(db, ref.service_id, ref.account_id, wanted, actor=actor(), now=now)
    show({"username": ref.username, **_json(wanted)}, f"{ref.username} is suspended: {_words(wanted)}", as_json=as_json)


@click.command("unsuspend")
@click.argument("user")
@as_json
@faults_in_one_line
def unsuspend_command(user: str, as_json: bool) -> None:
    """Lift every suspension of USER that holds or is to come."""
    with database(settings()) as db:
        with db.read() as conn:
            ref = find_service(conn, user)
        lifted = suspensions.unsuspend(db, ref.service_id, ref.account_id, actor=actor(), now=clock.now())
    told = "; ".join(_words(one) for one in lifted)
    show(
        {"username": ref.username, "lifted": [_json(one) for one in lifted]},
        f"{ref.username}: lifted {told}" if lifted else f"{ref.username} has no suspension to lift",
        as_json=as_json,
    )


@click.command("suspensions")
@click.argument("user")
@as_json
@faults_in_one_line
def suspensions_command(user: str, as_json: bool) -> None:
    """Every suspension that USER has or had, and who made and lifted it."""
    with database(settings()) as db, db.read() as conn:
        ref = find_service(conn, user)
        rows = suspension_rows(conn, ref.service_id)
        names = read_settings(conn).profile_names
    listed = [
        {
            "reason": row.reason,
            "from": _iso(row.from_at),
            "to": _iso(row.to_at),
            "repeat": row.repeat,
            "suspend_invoicing": row.suspend_invoicing,
            "made": iso(row.made_at),
            "made_by": row.made_by,
            "lifted": _iso(row.lifted_at),
            "lifted_by": row.lifted_by,
        }
        for row in rows
    ]
    columns = ("reason", "from", "to", "repeat", "invoicing", "made", "made_by", "lifted", "lifted_by")
    shown = [row | {"reason": named(row["reason"], names), "invoicing": _invoicing(row)} for row in listed]
    show(listed, table(columns, shown) if shown else f"{ref.username} was never suspended", as_json=as_json)


def _instant(option: str, text: str, zone: str) -> int:
    try:
        return parse_instant(text, zone)
    except ValueError:
        refuse(f"{option}: {text!r} is not an instant such as 2026-12-03T14:00:00Z, of 1970 to 2999")


def _iso(instant: int | None) -> str | None:
    return None if instant is None else iso(instant)


def _json(one: Suspension) -> dict[str, Any]:
    return {**suspensions.spelled(one), "from": _iso(one.start), "to": _iso(one.end)}


def _invoicing(row: dict[str, Any]) -> str:
    return "suspended" if row["suspend_invoicing"] else "goes on"


def _words(one: Suspension) -> str:
    told = one.reason
    if one.start is not None:
        told += f" from {iso(one.start)}"
    if one.end is not None:
        told += f" to {iso(one.end)}"
    if one.repeat is not Repeat.NONE:
        told += f", {one.repeat.value}"
    return f"{told}, with invoicing" if one.suspend_invoicing else told
