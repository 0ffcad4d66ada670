"""What waits for a router: order, room, and Disconnects by turns."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aaa.clock import SECOND
from aaa.coa.line import AT_HAND, BEHIND, MISSED, Line
from aaa.coa.turns import AHEAD, Wanted, turns
from aaa.domain.rank import CUT, LIFT, NEITHER
from tests.unit.coa.jobs import NOW, job

INTERVAL = SECOND // 20


def gone(line: Line, room: int = 100, now: int = NOW) -> list[int]:
    return [one.wish.session_id for one in line.go(room, now)]


def test_lifts_go_before_the_others_and_cuts_last() -> None:
    line = Line()
    for number, rank in enumerate((CUT, NEITHER, LIFT, CUT, LIFT)):
        line.add(job(number, rank=rank))
    assert gone(line) == [2, 4, 1, 0, 3]


def test_a_cut_waits_some_seconds_behind_lifts_and_not_for_ever() -> None:
    line = Line()
    line.add(job(1, rank=CUT))
    line.add(job(2, rank=LIFT, requested_at=NOW + 2 * BEHIND - 1))
    line.add(job(3, rank=LIFT, requested_at=NOW + 2 * BEHIND + 1))
    assert gone(line) == [2, 1, 3]


def test_no_more_go_than_there_is_room_for() -> None:
    line = Line()
    for number in range(5):
        line.add(job(number))
    assert gone(line, room=2) == [0, 1]
    assert gone(line, room=0) == []
    assert gone(line) == [2, 3, 4]


def test_a_disconnect_waits_for_its_turn_and_keeps_no_coa_waiting() -> None:
    line = Line()
    line.add(job(1, cuts=True, rank=LIFT))
    line.add(job(2, rank=CUT))
    assert gone(line) == [2]
    assert line.wants(NOW) == Wanted(INTERVAL, 1)
    line.give([NOW + INTERVAL], NOW)
    assert gone(line, now=NOW + INTERVAL - 1) == []
    assert line.next_at() == NOW + INTERVAL
    assert gone(line, now=NOW + INTERVAL) == [1]
    assert line.next_at() is None


def test_turns_that_were_missed_are_lost() -> None:
    line = Line()
    for number in range(10):
        line.add(job(number, cuts=True))
    line.give([NOW + number * INTERVAL for number in range(10)], NOW)
    late = NOW + 9 * INTERVAL
    went = gone(line, now=late)
    assert len(went) == MISSED // INTERVAL + 1, "no storm makes up for what was missed"


def test_what_was_settled_meanwhile_costs_no_turn() -> None:
    line = Line()
    jobs = [job(number, cuts=True) for number in range(3)]
    for one in jobs:
        line.add(one)
    jobs[0].settled = jobs[1].settled = True
    assert line.wants(NOW) == Wanted(INTERVAL, 1)
    line.give([NOW], NOW)
    assert gone(line) == [2]


def test_turns_are_not_asked_for_all_the_time() -> None:
    line = Line()
    line.add(job(1, cuts=True))
    line.give([], NOW)
    assert line.wants(NOW + 1) is None
    assert line.wants(NOW + AHEAD) is not None


def test_few_disconnects_wait_at_hand_but_a_lift_always_may() -> None:
    line = Line()
    waiting = 0
    while line.can_wait(job(waiting, cuts=True, rank=CUT)):
        line.add(job(waiting, cuts=True, rank=CUT))
        waiting += 1
    assert waiting == AT_HAND // INTERVAL
    assert line.can_wait(job(100, cuts=True, rank=LIFT))


@given(
    st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 50)), min_size=1, max_size=60),
    st.integers(1, 200),
)
def test_whoever_takes_turns_whenever_there_are_never_more_than_the_rate(
    asks: list[tuple[int, int]], per_second: int
) -> None:
    interval = SECOND // per_second
    next_at, now = 0, NOW
    taken: list[int] = []
    for waited, most in asks:
        now += waited
        its = turns(next_at, now, Wanted(interval, most))
        assert all(now <= one <= now + AHEAD for one in its)
        assert len(its) <= most
        if its:
            next_at = its[-1] + interval
        taken += its
    assert all(later - one >= interval for one, later in pairwise(taken))


def test_a_line_sends_as_many_as_can_go_soon_whoever_pushes_in() -> None:
    line = Line()
    line.interval = INTERVAL
    assert line.more() == 20
    for number in range(30):
        line.add(job(number, cuts=True, rank=LIFT))
    assert line.more() == 20
    for number in range(20):
        waited = job(number, cuts=True)
        waited.its_turn = True
        line.add(waited)
    assert line.more() == 0
    slow = Line()
    slow.interval = 2 * SECOND
    assert slow.more() == 1
