"""Double entry (R7.1)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import ledger
from billing.ledger import Ledger


@given(st.integers(-(10**15), 10**15).filter(bool))
def test_r7_1_an_entry_sums_to_zero_and_debt_stands_on_the_receivable_side(balance: int) -> None:
    for sides in (
        ledger.charge(1, "IRR", abs(balance)),
        ledger.payment(1, "IRR", abs(balance)),
        ledger.opening(1, "IRR", balance),
    ):
        assert sum(side.amount for side in sides) == 0
    [receivable] = [side for side in ledger.opening(1, "IRR", balance) if side.ledger is Ledger.RECEIVABLE]
    assert receivable.amount == -balance


def test_a_movement_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        ledger.charge(1, "IRR", 0)
