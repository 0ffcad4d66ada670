"""OverduePolicy: when a page reminds of what is overdue (R5). Pure."""

from dataclasses import dataclass
from typing import Final, Literal, cast

from aaa.debit.controls.fields import choice, fields_of, integer, switch

Https = Literal["allow", "reject", "redirect"]

MOST_DAYS: Final = 3_660
MOST_AMOUNT: Final = 2**63 - 1
KEYS: Final = ("remind_pay", "remind_after_pay_day", "remind_time", "remind_unaccepted_pay", "overdue_https")

_HTTPS: Final = ("allow", "reject", "redirect")


@dataclass(frozen=True, slots=True)
class OverduePolicy:
    """Reminds, if `on`, from `after` days past due on, of an overdue total of at least `least` minor units, again
    `every` days after each OK. `https` is what happens to TCP/443 meanwhile (R5.3).
    """

    name: str
    on: bool = False
    after: int = 0
    every: int = 1
    least: int = 0
    https: Https = "allow"

    def to_json(self) -> dict[str, object]:
        """The value as stored: all but the name."""
        return {
            "remind_pay": int(self.on),
            "remind_after_pay_day": self.after,
            "remind_time": self.every,
            "remind_unaccepted_pay": self.least,
            "overdue_https": self.https,
        }


def overdue_policy(name: str, value: object, path: str = "") -> OverduePolicy:
    """An OverduePolicy from its JSON form; all keys are optional. Raises BadControl."""
    fields = fields_of(value, path, KEYS)
    return OverduePolicy(
        name,
        switch(fields, "remind_pay", path),
        integer(fields, "remind_after_pay_day", path, 0, MOST_DAYS) or 0,
        integer(fields, "remind_time", path, 1, MOST_DAYS) or 1,
        integer(fields, "remind_unaccepted_pay", path, 0, MOST_AMOUNT) or 0,
        cast(Https, choice(fields, "overdue_https", path, _HTTPS)),
    )
