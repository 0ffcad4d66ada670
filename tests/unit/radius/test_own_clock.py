"""An auth process that notices by itself that its clock was set (R8.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.clock_watch import MOST, SECOND
from aaa.radius.own_clock import OwnClock

HOUR = 3_600 * SECOND
NOW = 1_795_000_000 * SECOND


@given(st.lists(st.tuples(st.integers(0, 1000 * HOUR), st.integers(-MOST, MOST))))
def test_r8_4_an_hour_is_no_jump_and_time_may_elapse(steps: list[tuple[int, int]]) -> None:
    own, elapsed = OwnClock(NOW, 0), 0
    for span, off in steps:
        elapsed += span
        assert own.held_since(NOW + elapsed + off, elapsed, 0) == 0


@pytest.mark.parametrize("jump", [HOUR + 1, -HOUR - 1])
def test_r8_4_a_jump_holds_until_the_clock_is_back(jump: int) -> None:
    own = OwnClock(NOW, 0)
    assert own.held_since(NOW + 5, 5, 0) == 0
    for elapsed in (6, 7, 8):
        assert own.held_since(NOW + elapsed + jump, elapsed, 0) == NOW + 5
    assert own.held_since(NOW + 9, 9, 0) == 0


def test_r8_4_what_the_replica_says_counts_and_its_end_is_the_end() -> None:
    own = OwnClock(NOW, 0)
    jump = 2 * HOUR
    assert own.held_since(NOW + jump, 1, 0) == NOW
    assert own.held_since(NOW + jump, 2, NOW - 7) == NOW - 7
    assert own.held_since(NOW + jump + 1, 3, 0) == 0
    assert own.held_since(NOW, 4, 0) == NOW + jump + 1  # the next jump is one again
