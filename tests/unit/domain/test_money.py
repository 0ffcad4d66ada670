"""Amounts and instants as text (R2.8, R7.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.instant import iso
from aaa.domain.money import UnknownCurrency, digits, format_amount


@pytest.mark.parametrize(("currency", "places"), [("IRR", 0), ("CZK", 2), ("EUR", 2), ("KWD", 3), ("JPY", 0)])
def test_r2_8_digits_of_currencies(currency: str, places: int) -> None:
    assert digits(currency) == places


@pytest.mark.parametrize("currency", ["ZZZ", "irr", "", "IRRR"])
def test_r2_8_an_unknown_currency_is_refused(currency: str) -> None:
    with pytest.raises(UnknownCurrency, match="no known currency"):
        digits(currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (812_000, "IRR", "812,000 IRR"),
        (0, "IRR", "0 IRR"),
        (-1_234, "CZK", "-12.34 CZK"),
        (5, "EUR", "0.05 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (1_234_567, "KWD", "1,234.567 KWD"),
    ],
)
def test_amounts_for_people(amount: int, currency: str, text: str) -> None:
    assert format_amount(amount, currency) == text


@given(st.integers(), st.sampled_from(("IRR", "CZK", "KWD")))
def test_r7_1_no_minor_unit_is_lost(amount: int, currency: str) -> None:
    number, code = format_amount(amount, currency).split()
    assert code == currency
    assert int(number.replace(",", "").replace(".", "")) == amount


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_793_491_200_000_000, "2026-11-01T00:00:00Z"),
        (1_793_491_200_123_456, "2026-11-01T00:00:00.123456Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_instants_as_iso_8601(instant: int, text: str) -> None:
    assert iso(instant) == text
