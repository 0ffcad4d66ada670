"""What a record says while cuts are held (R8.4), against a second reading of the rule on whole timelines."""

from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.timeline import Segment, Timeline, Verdict, build
from aaa.store import record
from aaa.store.record import HOLD_LEASE

HOUR = 3_600_000_000
SEALED = bytes(44)

verdicts = st.sampled_from(Verdict)
hours = st.integers(0, 60)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    """Segments of whole hours, each with a profile of its own."""
    starts = sorted(draw(st.sets(st.integers(0, 48), min_size=1, max_size=8)))
    return build(
        Segment(start * HOUR, end * HOUR, draw(verdicts), (("Tabs", start),))
        for start, end in zip(starts, [*starts[1:], 50], strict=True)
    )


def held(timeline: Timeline, now: int, since: int) -> record.Step:
    packed, _profiles = record.pack(7, 1, timeline, sealed=SEALED)
    return record.step_held(packed, record.entry(packed), now, since)


@given(timelines(), hours, hours)
def test_r8_4_the_better_of_what_held_then_and_what_holds_now(timeline: Timeline, at: int, trusted: int) -> None:
    now, since = at * HOUR, trusted * HOUR
    step = held(timeline, now, since)
    there, here = timeline.at(since), timeline.at(now)
    assert step.verdict == min(here.verdict, there.verdict)
    wanted = there if there.verdict < here.verdict else here
    assert timeline.segments[step.position] is wanted


@given(timelines(), hours, st.data())
def test_r8_4_what_lifts_is_never_held_back_nor_its_end_put_off(
    timeline: Timeline, at: int, data: st.DataObject
) -> None:
    now = at * HOUR
    step = held(timeline, now, data.draw(hours) * HOUR)
    end = timeline.verdict_end(step.position)
    if step.verdict_end and end != step.verdict_end:
        assert end is not None and timeline.at(end).verdict > step.verdict
    if end is not None and timeline.at(end).verdict < step.verdict:
        assert step.verdict_end == end


@given(timelines(), hours, hours)
def test_r8_4_no_end_that_is_held_comes_sooner_than_the_lease(timeline: Timeline, at: int, trusted: int) -> None:
    now, since = at * HOUR, trusted * HOUR
    step = held(timeline, now, since)
    end = timeline.verdict_end(step.position)
    if end is None:
        assert step.verdict_end == 0
    elif end > since and timeline.at(end).verdict > step.verdict:
        assert step.verdict_end == max(end, now + HOLD_LEASE)
    else:
        assert step.verdict_end == end


@given(timelines(), hours)
def test_r8_4_a_hold_since_now_changes_no_verdict(timeline: Timeline, at: int) -> None:
    packed, _profiles = record.pack(7, 1, timeline, sealed=SEALED)
    head = record.entry(packed)
    assert held(timeline, at * HOUR, at * HOUR).position == record.step_at(packed, head, at * HOUR).position
