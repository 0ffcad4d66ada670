"""How the command line says amounts."""

from typing import Any

from aaa.domain.money import format_amount
from aaa.domain.standing import Standing
from billing.commands import Posted


def money(amount: int, posted: Posted) -> str:
    """An amount in the currency of the account that it was posted to."""
    return format_amount(amount, posted.after.currency)


def balance(standing: Standing) -> dict[str, Any]:
    """What an account owes or has, for machines."""
    return {"debt": standing.debt, "credit": standing.credit, "currency": standing.currency}


def owes(standing: Standing) -> str:
    """What an account owes or has, for people."""
    if standing.debt:
        return f"the debt is {format_amount(standing.debt, standing.currency)}"
    if standing.credit:
        return f"the credit is {format_amount(standing.credit, standing.currency)}"
    return "nothing is owed"
