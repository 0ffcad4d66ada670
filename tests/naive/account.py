"""One account's money, counted by hand: a list of charges, and what has been paid (R2.1, R2.5, R7.4)."""

from dataclasses import dataclass, field

from aaa.domain.standing import Due, Standing


@dataclass
class Account:
    """`open` are the charges not wholly covered: [due, posted as the how-manieth, remaining]."""

    currency: str
    credit: int = 0
    posted: int = 0
    last_payment_at: int | None = None
    debt_since: int | None = None
    open: list[list[int]] = field(default_factory=list)

    @property
    def debt(self) -> int:
        return sum(remaining for _, _, remaining in self.open)

    def charge(self, amount: int, at: int, due_at: int) -> None:
        """Credit goes first; the rest is owed."""
        if self.credit >= amount:
            self.credit -= amount
            return
        if self.debt == 0:
            self.debt_since = at
        self.posted += 1
        self.open.append([due_at, self.posted, amount - self.credit])
        self.credit = 0

    def pay(self, amount: int, at: int) -> None:
        """What was due first is paid first, one unit after the other; what is left is credit."""
        self.last_payment_at = at
        while amount and self.open:
            oldest = min(self.open)
            covered = min(amount, oldest[2])
            amount -= covered
            oldest[2] -= covered
            if oldest[2] == 0:
                self.open.remove(oldest)
        self.credit += amount
        if not self.open:
            self.debt_since = None

    def standing(self) -> Standing:
        return Standing(
            0,
            self.currency,
            debt=self.debt,
            credit=self.credit,
            last_payment_at=self.last_payment_at,
            debt_since=self.debt_since,
            dues=tuple(Due(place, due_at, remaining) for due_at, place, remaining in sorted(self.open)),
        )
