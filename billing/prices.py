"""Prices of plans, by period (shell)."""

from sqlalchemy import select

from aaa.commands.door import Change
from billing.tables import price


def put_price(change: Change, plan_id: int, months: int, amount: int | None) -> None:
    """Set the price of a plan for a period, in minor units; None removes it."""
    here = (price.c.plan_id == plan_id) & (price.c.months == months)
    before = change.conn.execute(select(price.c.amount).where(here)).scalar()
    if before == amount:
        return
    if amount is None:
        change.conn.execute(price.delete().where(here))
    elif before is None:
        change.conn.execute(price.insert(), {"plan_id": plan_id, "months": months, "amount": amount})
    else:
        change.conn.execute(price.update().where(here).values(amount=amount))
    change.event("price", f"plan:{plan_id}", {"months": months, "amount": before}, {"months": months, "amount": amount})
