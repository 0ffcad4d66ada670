"""Standing from charges and payments. Pure.

Payments cover charges oldest due first (R7.4); what is left over is credit, which the next charge uses. `derive`
computes the standing from the whole history; `charged` and `paid` move a kept standing by one posting, and must agree
with it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from aaa.domain.standing import Due, Standing


@dataclass(frozen=True, slots=True)
class Charge:
    """What a subscriber was charged: minor units above zero, posted at `at`, due at `due_at` (UTC microseconds)."""

    id: int
    amount: int
    at: int
    due_at: int


@dataclass(frozen=True, slots=True)
class Payment:
    """What a subscriber paid: minor units above zero, at `at` (UTC microseconds)."""

    amount: int
    at: int


def charged(standing: Standing, charge: Charge) -> Standing:
    """The standing after a charge: credit covers it first, the rest is debt."""
    _positive(charge.amount)
    covered = min(standing.credit, charge.amount)
    remaining = charge.amount - covered
    dues = standing.dues
    if remaining:
        # by due date, then by id, so that the order does not depend on when each was posted
        dues = tuple(sorted((*dues, Due(charge.id, charge.due_at, remaining)), key=lambda due: (due.due_at, due.id)))
    debt = standing.debt + remaining
    since = charge.at if debt and not standing.debt else standing.debt_since
    return replace(
        standing, seq=standing.seq + 1, credit=standing.credit - covered, debt=debt, debt_since=since, dues=dues
    )


def paid(standing: Standing, payment: Payment) -> Standing:
    """The standing after a payment: oldest due first, the rest is credit."""
    _positive(payment.amount)
    left, dues = payment.amount, []
    for due in standing.dues:
        covered = min(left, due.remaining)
        left -= covered
        if due.remaining > covered:
            dues.append(replace(due, remaining=due.remaining - covered))
    debt = sum(due.remaining for due in dues)
    return replace(
        standing,
        seq=standing.seq + 1,
        debt=debt,
        credit=standing.credit + left,
        debt_since=standing.debt_since if debt else None,
        dues=tuple(dues),
        last_payment_at=max(payment.at, standing.last_payment_at or payment.at),
    )


def derive(standing: Standing, history: Iterable[Charge | Payment]) -> Standing:
    """`standing` moved by every posting of `history`, in the order in which they were posted."""
    for posting in history:
        standing = charged(standing, posting) if isinstance(posting, Charge) else paid(standing, posting)
    return standing


def _positive(amount: int) -> None:
    if amount <= 0:
        raise ValueError(f"an amount must be above zero, not {amount}")
