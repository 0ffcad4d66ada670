"""When a wall clock is not to be trusted (R8.4)."""

from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.clock_watch import MOST, SECOND, Doubt, Sample, Watch, behind

HOUR = 3_600 * SECOND
NOW = 1_795_000_000 * SECOND

instants = st.integers(0, 4_000_000_000 * SECOND)
spans = st.integers(0, 400 * 24 * HOUR)
small = st.integers(-MOST, MOST)
large = st.integers(MOST + 1, 10_000 * HOUR).flatmap(lambda size: st.sampled_from((size, -size)))


@given(instants, instants, st.lists(st.tuples(spans, small)))
def test_r8_4_time_that_elapses_is_no_jump_however_long(wall: int, elapsed: int, steps: list[tuple[int, int]]) -> None:
    """The clock may be an hour off at any moment, as long as that is all."""
    watch = Watch.begin(Sample(wall, elapsed))
    for span, off in steps:
        elapsed += span
        at = Sample(wall + elapsed - watch.origin.elapsed + off, elapsed)
        assert watch.off(at) == off
        assert watch.jumped(at) is None
        watch = watch.went_on(at)


@given(instants, instants, st.lists(spans, min_size=1), spans, large)
def test_r8_4_a_jump_in_either_direction_leaves_the_last_sample_as_what_is_trusted(
    wall: int, elapsed: int, steps: list[int], span: int, size: int
) -> None:
    watch = Watch.begin(Sample(wall, elapsed))
    for step in steps:
        watch = watch.went_on(Sample(watch.last.wall + step, watch.last.elapsed + step))
    found = watch.jumped(Sample(watch.last.wall + span + size, watch.last.elapsed + span))
    assert found is not None and found.since == watch.last.wall
    assert ("forward" if size > 0 else "back") in found.why


def test_r8_4_several_small_steps_are_one_jump() -> None:
    watch = Watch.begin(Sample(NOW, 0))
    watch = watch.went_on(Sample(NOW + HOUR // 2 + SECOND, SECOND))
    at = Sample(NOW + HOUR + 3 * SECOND, 2 * SECOND)
    assert watch.jumped(at) == Doubt(NOW + HOUR // 2 + SECOND, "the clock jumped forward by 3601 seconds")


@given(instants, spans)
def test_r8_4_downtime_is_no_jump(heartbeat: int, gap: int) -> None:
    assert behind(heartbeat, "here", heartbeat + gap, None) is None
    assert behind(None, "", gap, None) is None


@given(st.integers(MOST + 1, 4_000_000_000 * SECOND).flatmap(lambda h: st.tuples(st.just(h), st.integers(0, h))))
def test_r8_4_a_start_behind_the_last_heartbeat_by_more_than_an_hour(pair: tuple[int, int]) -> None:
    heartbeat, wall = pair
    found = behind(heartbeat, "other", wall, None)
    if heartbeat - wall > MOST:
        assert found is not None and found.since == heartbeat and "other" in found.why
    else:
        assert found is None


def test_r8_4_of_two_machines_that_disagree_the_earlier_is_trusted() -> None:
    """Ours went on as time elapsed; the other's is two hours ahead: nothing of these two hours is sure."""
    found = behind(NOW + 2 * HOUR, "other", NOW, NOW - SECOND)
    assert found == Doubt(NOW - SECOND, "the clock is 7200 seconds behind what other wrote last")
