"""Double entry: every movement of money as postings that sum to zero. Pure.

Debits are above zero, credits below, in minor units of the account's currency (R7.1).
"""

from dataclasses import dataclass
from enum import StrEnum


class Ledger(StrEnum):
    """The ledger accounts of the first schema."""

    RECEIVABLE = "receivable"
    REVENUE = "revenue"
    CASH = "cash"
    OPENING = "opening"


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry."""

    ledger: Ledger
    account_id: int
    currency: str
    amount: int


def transfer(debit: Ledger, credit: Ledger, *, account_id: int, currency: str, amount: int) -> tuple[Posting, Posting]:
    """The two sides of one movement of `amount` (> 0)."""
    if amount <= 0:
        raise ValueError(f"an amount must be above zero, not {amount}")
    return Posting(debit, account_id, currency, amount), Posting(credit, account_id, currency, -amount)


def charge(account_id: int, currency: str, amount: int) -> tuple[Posting, Posting]:
    return transfer(Ledger.RECEIVABLE, Ledger.REVENUE, account_id=account_id, currency=currency, amount=amount)


def payment(account_id: int, currency: str, amount: int) -> tuple[Posting, Posting]:
    return transfer(Ledger.CASH, Ledger.RECEIVABLE, account_id=account_id, currency=currency, amount=amount)


def opening(account_id: int, currency: str, balance: int) -> tuple[Posting, Posting]:
    """An opening balance brought over from elsewhere: below zero is debt."""
    sides = (Ledger.RECEIVABLE, Ledger.OPENING) if balance < 0 else (Ledger.OPENING, Ledger.RECEIVABLE)
    return transfer(*sides, account_id=account_id, currency=currency, amount=abs(balance))


def row(posting: Posting, entry: int) -> dict[str, int | str]:
    """A posting as a row of the table `posting`."""
    return {
        "entry_id": entry,
        "ledger": posting.ledger.value,
        "account_id": posting.account_id,
        "currency": posting.currency,
        "amount": posting.amount,
    }
