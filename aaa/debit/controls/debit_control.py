"""DebitControl: how much an account may owe, and how long (R2). Pure."""

from dataclasses import dataclass
from typing import Final, Literal, cast

from aaa.debit.controls.fields import BadControl, choice, fields_of, integer
from aaa.debit.reply import under

Anchor = Literal["last_payment", "oldest_unpaid"]

MOST_DEBT: Final = 2**63 - 1
MOST_DELAY: Final = 100 * 366 * 86_400

KEYS: Final = ("max_debt", "max_delay", "anchor", "currency")

_ANCHORS: Final = ("last_payment", "oldest_unpaid")


@dataclass(frozen=True, slots=True)
class DebitControl:
    """`max_debt` is in minor units, `max_delay` in seconds, None no limit.

    `currency`, if given, is the only one the control may be used with (R2.8).
    """

    name: str
    max_debt: int | None = None
    max_delay: int | None = None
    anchor: Anchor = "last_payment"
    currency: str | None = None

    def to_json(self) -> dict[str, object]:
        """The value as stored: all but the name."""
        return {
            "max_debt": self.max_debt,
            "max_delay": self.max_delay,
            "anchor": self.anchor,
            "currency": self.currency,
        }


def debit_control(name: str, value: object, path: str = "") -> DebitControl:
    """A DebitControl from its JSON form (all keys optional, null is no limit). Raises BadControl."""
    fields = fields_of(value, path, KEYS)
    currency = fields.get("currency")
    if currency is not None and not (
        isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isupper()
    ):
        raise BadControl(under(path, "currency"), f"must be a currency code such as IRR, not {currency!r}")
    return DebitControl(
        name,
        integer(fields, "max_debt", path, 0, MOST_DEBT),
        integer(fields, "max_delay", path, 0, MOST_DELAY),
        cast(Anchor, choice(fields, "anchor", path, _ANCHORS)),
        currency,
    )
