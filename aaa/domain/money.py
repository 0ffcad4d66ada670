"""Amounts of money: integer minor units of a currency, never a float (R7.1). Pure."""

from functools import cache

from babel.core import get_global
from babel.numbers import get_currency_precision


class UnknownCurrency(ValueError):
    """A code that is no ISO 4217 currency."""


@cache
def digits(currency: str) -> int:
    """How many digits of an amount are minor units: IRR 0, CZK 2, KWD 3 (R2.8). Raises UnknownCurrency."""
    if currency not in get_global("all_currencies"):
        raise UnknownCurrency(f"{currency!r} is no known currency")
    return int(get_currency_precision(currency))


def format_amount(amount: int, currency: str) -> str:
    """An amount for people: 812000 IRR is `812,000 IRR`, -1234 CZK is `-12.34 CZK`. Raises UnknownCurrency."""
    places = digits(currency)
    whole, rest = divmod(abs(amount), 10**places)
    fraction = f".{rest:0{places}}" if places else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{fraction} {currency}"
