"""Standing from charges and payments (R2.1, R2.5, R7.1, R7.4)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.standing import Due, Standing
from billing.standing import Charge, Payment, charged, derive, paid

EMPTY = Standing(account_id=1, currency="IRR")

amounts = st.integers(1, 10**12)
instants = st.integers(0, 10**15)
histories = st.lists(
    st.one_of(
        st.builds(Payment, amounts, instants),
        st.builds(lambda amount, at, due: Charge(0, amount, at, due), amounts, instants, instants),
    ),
    max_size=30,
).map(
    lambda postings: [replace(one, id=n) if isinstance(one, Charge) else one for n, one in enumerate(postings, start=1)]
)


@given(histories)
def test_r2_1_debt_and_credit_are_what_charges_and_payments_sum_to(history: list[Charge | Payment]) -> None:
    standing = derive(EMPTY, history)
    owed = sum(one.amount if isinstance(one, Charge) else -one.amount for one in history)
    assert standing.debt - standing.credit == owed
    assert standing.debt == max(0, owed)
    assert standing.debt == sum(due.remaining for due in standing.dues)
    assert (standing.debt_since is None) == (standing.debt == 0)
    assert standing.seq == len(history)


@given(histories)
def test_r7_4_dues_stand_oldest_first_and_none_is_covered_or_more_than_its_charge(
    history: list[Charge | Payment],
) -> None:
    standing = derive(EMPTY, history)
    charges = {one.id: one for one in history if isinstance(one, Charge)}
    assert [due.due_at for due in standing.dues] == sorted(due.due_at for due in standing.dues)
    for due in standing.dues:
        assert 0 < due.remaining <= charges[due.id].amount
        assert due.due_at == charges[due.id].due_at


def test_r7_4_a_payment_covers_the_oldest_due_first_whatever_was_posted_first() -> None:
    standing = derive(EMPTY, [Charge(1, 100, at=1, due_at=50), Charge(2, 100, at=2, due_at=10), Payment(150, 3)])
    assert standing.dues == (Due(1, 50, 50),)
    assert standing.debt == 50


def test_r2_5_the_debt_begins_with_the_charge_that_brings_it_and_anew_after_it_was_paid() -> None:
    standing = derive(EMPTY, [Charge(1, 100, at=5, due_at=5), Charge(2, 100, at=6, due_at=6)])
    assert standing.debt_since == 5
    assert paid(standing, Payment(199, 7)).debt_since == 5
    settled = paid(standing, Payment(200, 8))
    assert settled.debt_since is None
    assert charged(settled, Charge(3, 1, at=9, due_at=9)).debt_since == 9


def test_r2_5_a_payment_recorded_late_does_not_move_the_last_payment_back() -> None:
    assert derive(EMPTY, [Payment(1, 20), Payment(1, 10)]).last_payment_at == 20


def test_credit_is_used_by_the_next_charge() -> None:
    standing = derive(EMPTY, [Payment(300, 1), Charge(1, 200, at=2, due_at=2)])
    assert (standing.debt, standing.credit, standing.dues) == (0, 100, ())


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_must_be_above_zero(amount: int) -> None:
    with pytest.raises(ValueError, match="above zero"):
        paid(EMPTY, Payment(amount, 1))
    with pytest.raises(ValueError, match="above zero"):
        charged(EMPTY, Charge(1, amount, 1, 1))
