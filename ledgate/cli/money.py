"""`ledgate pay`, `charge`: money by hand."""

import re
import secrets
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from aaa import clock
from aaa.domain.money import format_amount
from aaa.domain.standing import Standing
from aaa.store.queries import find_service
from billing import commands as billing
from billing.commands import Posted
from ledgate.cli.terminal import actor, as_json, database, faults_in_one_line, refuse, settings, show
from ledgate.load.fields import parse_instant


class _OfAnAmount(click.Command):
    """A command whose amount, where it is below zero, is no option: it is refused with its reason."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption:
            below = next((one for one in given if re.fullmatch(r"-[0-9][0-9.,]*", one)), None)
            if below is None:
                raise
            raise click.UsageError(f"an amount must be above zero, not {below}") from None


@click.command("pay", cls=_OfAnAmount)
@click.argument("user")
@click.argument("amount", type=int)
@click.option("--id", "external_id", metavar="ID", help="The payment's own id: a known one posts nothing again.")
@as_json
@faults_in_one_line
def pay_command(user: str, amount: int, external_id: str | None, as_json: bool) -> None:
    """Post a payment of AMOUNT minor units for USER."""
    with database(settings()) as db:
        with db.read() as conn:
            ref = find_service(conn, user)
        name = external_id if external_id is not None else secrets.token_hex(16)
        posted = billing.pay(db, ref, amount, external_id=name, actor=actor(), now=clock.now())
    what = "was known already, nothing was posted" if posted.repeated else f"of {_money(amount, posted)} is posted"
    show(
        {"username": ref.username, "id": name, "amount": amount, "repeated": posted.repeated, **_balance(posted)},
        f"payment {name} for {ref.username} {what}: {_owes(posted.after)}{_waits(posted, ref.username)}",
        as_json=as_json,
    )


@click.command("charge", cls=_OfAnAmount)
@click.argument("user")
@click.argument("amount", type=int)
@click.option("--due", metavar="DATE", help="When it is due, as 2026-12-31 in the VISP's days (default: today).")
@click.option("--note", default="", help="What it is for.")
@click.option("--override", is_flag=True, help="Post it even above the debt limit; this is audited.")
@as_json
@faults_in_one_line
def charge_command(user: str, amount: int, due: str | None, note: str, override: bool, as_json: bool) -> None:
    """Post a charge of AMOUNT minor units to USER."""
    now = clock.now()
    with database(settings()) as db:
        with db.read() as conn:
            ref = find_service(conn, user)
        posted = billing.charge(
            db, ref, amount, due_at=_due(due, ref.timezone, now), note=note, override=override, actor=actor(), now=now
        )
    show(
        {"username": ref.username, "amount": amount, **_balance(posted)},
        f"charge of {_money(amount, posted)} to {ref.username} is posted: {_owes(posted.after)}"
        f"{_waits(posted, ref.username)}",
        as_json=as_json,
    )


def _due(text: str | None, zone: str, now: int) -> int:
    """The local midnight at which the due day begins, in UTC microseconds."""
    try:
        day = date.fromisoformat(text) if text is not None else datetime.fromtimestamp(now / 1e6, ZoneInfo(zone)).date()
        return parse_instant(day.isoformat(), zone)
    except ValueError:
        refuse(f"--due: {text!r} is not a date such as 2026-12-31, of 1970 to 2999")


def _money(amount: int, posted: Posted) -> str:
    """An amount in the currency of the account that it was posted to."""
    return format_amount(amount, posted.after.currency)


def _balance(posted: Posted) -> dict[str, Any]:
    """What an account owes or has after a posting, for machines."""
    after = posted.after
    told: dict[str, Any] = {"debt": after.debt, "credit": after.credit, "currency": after.currency}
    return told | ({"held": posted.held} if posted.held else {})


def _waits(posted: Posted, username: str) -> str:
    """What of a posting waits for a confirmation (R8.4)."""
    if not posted.held:
        return ""
    return f"; {posted.held} services are cut off only by: ledgate confirm {username} --yes-cut {posted.held}"


def _owes(standing: Standing) -> str:
    """What an account owes or has, for people."""
    if standing.debt:
        return f"the debt is {format_amount(standing.debt, standing.currency)}"
    if standing.credit:
        return f"the credit is {format_amount(standing.credit, standing.currency)}"
    return "nothing is owed"
