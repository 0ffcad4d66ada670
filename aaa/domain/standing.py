"""Standing: what billing tells access about an account, free of the clock."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Due:
    """A charge not wholly covered: its id, due instant (UTC microseconds) and what remains (minor units, > 0)."""

    id: int
    due_at: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Standing:
    """An account's money as access sees it; at most one of `debt` and `credit` is above zero.

    `dues` lists uncovered charges, oldest due first, and sums to `debt`. `debt_since` is when the present debt began,
    `last_payment_at` the last payment that counts (R2.5), `promise_until` the end of a promise-to-pay (R7.8).
    `seq` grows by one with every change.
    """

    account_id: int
    currency: str
    seq: int = 0
    debt: int = 0
    credit: int = 0
    last_payment_at: int | None = None
    debt_since: int | None = None
    dues: tuple[Due, ...] = ()
    promise_until: int | None = None
