"""How the command line says amounts."""

from typing import Any

from aaa.domain.money import format_amount
from aaa.domain.standing import Standing
from billing.commands import Posted


def money(amount: int, posted: Posted) -> str:
    """An amount in the currency of the account that it was posted to."""
    return format_amount(amount, posted.after.currency)


def balance(posted: Posted) -> dict[str, Any]:
    """What an account owes or has after a posting, for machines."""
    after = posted.after
    told: dict[str, Any] = {"debt": after.debt, "credit": after.credit, "currency": after.currency}
    return told | ({"held": posted.held} if posted.held else {})


def waits(posted: Posted, username: str) -> str:
    """What of a posting waits for a confirmation (R8.4)."""
    if not posted.held:
        return ""
    return f"; {posted.held} services are cut off only by: ledgate confirm {username} --yes-cut {posted.held}"


def owes(standing: Standing) -> str:
    """What an account owes or has, for people."""
    if standing.debt:
        return f"the debt is {format_amount(standing.debt, standing.currency)}"
    if standing.credit:
        return f"the credit is {format_amount(standing.credit, standing.currency)}"
    return "nothing is owed"
