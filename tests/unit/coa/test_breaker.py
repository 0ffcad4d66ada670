"""How much is asked of a router: few requests at first, one probe at a time once it is silent."""

from aaa.clock import SECOND
from aaa.coa.breaker import (
    FIRST_REST,
    FIRST_WINDOW,
    LARGEST_WINDOW,
    LEAST_WINDOW,
    LONGEST_REST,
    SILENT,
    Breaker,
)

NOW = 1_000 * SECOND
R = "10.0.0.1"


def opened(now: int = NOW) -> tuple[Breaker, int]:
    breaker = Breaker()
    until = None
    for _ in range(SILENT):
        assert not breaker.is_open(R)
        until = breaker.silent(R, now, 0.0)
    assert until is not None
    return breaker, until


def test_a_router_that_answers_is_asked_more_and_more_at_a_time() -> None:
    breaker = Breaker()
    assert breaker.room(R, NOW) == FIRST_WINDOW
    for _ in range(10):
        assert not breaker.answered(R)
    assert breaker.room(R, NOW) == FIRST_WINDOW + 10
    for _ in range(LARGEST_WINDOW):
        breaker.answered(R)
    assert breaker.room(R, NOW) == LARGEST_WINDOW


def test_silence_between_answers_narrows_the_window_and_never_opens_it() -> None:
    breaker = Breaker()
    for _ in range(20):
        assert breaker.silent(R, NOW, 0.0) is None
        breaker.answered(R)
    assert LEAST_WINDOW <= breaker.room(R, NOW) < FIRST_WINDOW
    assert not breaker.is_open(R)


def test_a_silent_router_is_left_alone_and_then_probed_once_at_a_time() -> None:
    breaker, until = opened()
    assert until == NOW + FIRST_REST
    assert breaker.is_open(R)
    assert (breaker.room(R, until - 1), breaker.room(R, until)) == (0, 1)
    assert (breaker.shut(until - 1), breaker.shut(until)) == ([R], [])
    assert (breaker.next_probe(NOW), breaker.next_probe(until)) == (until, None)


def test_each_probe_in_vain_doubles_the_rest_up_to_five_minutes() -> None:
    breaker, until = opened()
    rests = []
    for _ in range(10):
        at = until
        again = breaker.silent(R, at, 0.0)
        assert again is not None
        until = again
        rests.append(until - at)
    assert rests[:3] == [2 * FIRST_REST, 4 * FIRST_REST, 8 * FIRST_REST]
    assert rests[-1] == LONGEST_REST == max(rests)


def test_jitter_moves_a_probe_and_never_beyond_five_minutes() -> None:
    breaker, until = opened()
    expected = until + 2 * FIRST_REST + FIRST_REST // 5
    assert breaker.silent(R, until, 0.1) == expected
    until = expected
    for _ in range(10):
        at = until
        again = breaker.silent(R, at, 0.1)
        assert again is not None and again - at <= LONGEST_REST
        until = again


def test_the_first_answer_closes_it_and_others_are_none_of_its_business() -> None:
    breaker, _ = opened()
    assert breaker.room("10.0.0.2", NOW) == FIRST_WINDOW
    breaker.answered("10.0.0.2")
    assert breaker.is_open(R)
    assert breaker.answered(R)
    assert not breaker.is_open(R)
    assert breaker.room(R, NOW) == FIRST_WINDOW
    assert not breaker.answered(R), "it was closed already"
    assert breaker.silent(R, NOW, 0.0) is None, "one silence is not enough to open it again"
