"""The breaker's judgement: what a change does to one service, and how many are too many (R8.4)."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.debit.impact import (
    FORESEEN,
    HOUR,
    Affected,
    Effect,
    Impact,
    Tally,
    classify,
    is_slower,
    limit,
)
from aaa.domain.settings import DEFAULTS, Settings
from aaa.domain.timeline import Cause, Profile, Reason, Segment, Timeline, Verdict, build

NOW = 1_000 * HOUR
END = NOW + 24 * 35 * HOUR
MINUTE = HOUR // 60
FAST: Profile = (("Mikrotik-Rate-Limit", "20M/20M"),)
SLOW: Profile = (("Mikrotik-Rate-Limit", "5M/20M"),)
REASONS = {
    Verdict.ALLOW: None,
    Verdict.RESTRICT: Reason(Cause.DEBIT, (), "server"),
    Verdict.DENY: Reason(Cause.SUSPENDED, (), "user:ali"),
}
ALLOW, RESTRICT, DENY = Verdict


def line(*steps: tuple[int, Verdict], profile: Profile = FAST, start: int = NOW) -> Timeline:
    """A timeline from (beginning, verdict) pairs; the first begins at `start`."""
    begins = [start, *(begin for begin, _ in steps[1:]), END]
    return build(
        Segment(begin, end, verdict, profile if verdict is ALLOW else (), REASONS[verdict])
        for (begin, end), (_, verdict) in zip(pairwise(begins), steps, strict=True)
    )


ALLOWED = line((0, ALLOW))


@pytest.mark.parametrize("verdict, cause", [(RESTRICT, "debit"), (DENY, "suspended")])
def test_r8_4_from_allow_to_anything_else_is_a_cut(verdict: Verdict, cause: str) -> None:
    assert classify(ALLOWED, line((0, verdict)), NOW) == Impact(Effect.CUT, cause, NOW)


def test_r8_4_within_an_hour_counts_and_at_an_hour_no_more() -> None:
    last = NOW + HOUR - 1
    assert classify(ALLOWED, line((0, ALLOW), (last, DENY)), NOW) == Impact(Effect.CUT, "suspended", last)
    assert classify(ALLOWED, line((0, ALLOW), (last + 1, DENY)), NOW) is None


def test_r8_4_new_services_do_not_count() -> None:
    assert classify(None, line((0, DENY)), NOW) is None


def test_r8_4_a_cut_that_was_coming_anyway_does_not_count() -> None:
    coming = line((0, ALLOW), (NOW + MINUTE, DENY), start=NOW - MINUTE)
    assert classify(coming, line((0, ALLOW), (NOW + MINUTE, DENY)), NOW) is None
    # a minute earlier: it counts, for it was known for a minute only
    assert classify(coming, line((0, DENY)), NOW) == Impact(Effect.CUT, "suspended", NOW)


@pytest.mark.parametrize("known, counts", [(FORESEEN, False), (FORESEEN - 1, True)])
def test_r8_4_a_boundary_foreseen_for_24_hours_does_not_count_even_if_it_comes_early(known: int, counts: bool) -> None:
    coming = line((0, ALLOW), (NOW + 30 * MINUTE, DENY), start=NOW - known)
    assert (classify(coming, line((0, DENY)), NOW) is not None) is counts


def test_r8_4_a_boundary_beyond_the_hour_is_no_excuse() -> None:
    coming = line((0, ALLOW), (NOW + HOUR, DENY), start=NOW - 9 * FORESEEN)
    assert classify(coming, line((0, DENY)), NOW) == Impact(Effect.CUT, "suspended", NOW)


def test_r8_4_who_is_blocked_cannot_be_cut_and_from_restrict_to_deny_counts_for_nothing() -> None:
    assert classify(line((0, RESTRICT)), line((0, DENY)), NOW) is None
    blocked = line((0, DENY), (NOW + MINUTE, ALLOW))
    assert classify(blocked, line((0, DENY)), NOW) is None


def test_r8_4_a_restoration_tells_what_it_ends() -> None:
    assert classify(line((0, RESTRICT)), ALLOWED, NOW) == Impact(Effect.RESTORED, "debit", NOW)
    soon = NOW + 59 * MINUTE
    assert classify(line((0, DENY)), line((0, DENY), (soon, ALLOW)), NOW) == Impact(Effect.RESTORED, "suspended", soon)


def test_r8_4_a_lower_rate_is_slower_with_its_cause() -> None:
    slower = line((0, ALLOW), profile=SLOW)
    assert classify(ALLOWED, slower, NOW) == Impact(Effect.SLOWED, "rate", NOW)
    assert classify(slower, ALLOWED, NOW) is None
    [segment] = slower.segments
    fup = Timeline((replace(segment, reason=Reason(Cause.TRAFFIC, (), "plan:home")),))
    assert classify(ALLOWED, fup, NOW) == Impact(Effect.SLOWED, "traffic", NOW)


@pytest.mark.parametrize(
    "new, old, slower",
    [
        ("10M/20M", "20M/20M", True),
        ("20M/10M", "20M/20M", True),
        ("30M/10M", "20M/20M", True),
        ("20000k", "20M/20M", False),
        ("30M", "20M", False),
        ("20M", None, True),
        (None, "20M", False),
        ("0/10M", "20M/10M", False),
        ("20M/10M", "0/10M", True),
        ("odd", "20M", False),
        ("1M", "odd", False),
    ],
)
def test_slower_is_slower_in_any_direction(new: str | None, old: str | None, slower: bool) -> None:
    def of(text: str | None) -> Profile:
        return () if text is None else (("Framed-Pool", "p"), ("Mikrotik-Rate-Limit", text))

    assert is_slower(of(new), of(old)) is slower


# --- properties ------------------------------------------------------------------------------------------------------

offsets = st.integers(-90, 90).map(lambda minutes: NOW + minutes * MINUTE)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    start = NOW - draw(st.sampled_from((0, 1, 2 * HOUR, FORESEEN, 30 * FORESEEN)))
    begins = sorted(begin for begin in draw(st.sets(offsets, max_size=5)) if begin > start)
    edges = [start, *begins, END]
    steps = []
    for begin, end in pairwise(edges):
        verdict = draw(st.sampled_from(Verdict))
        profile = draw(st.sampled_from((FAST, SLOW, ()))) if verdict is ALLOW else ()
        steps.append(Segment(begin, end, verdict, profile, REASONS[verdict]))
    return build(steps)


def naive(stored: Timeline, fresh: Timeline) -> Effect | None:
    """Minute by minute through the hour; all edges lie on minutes."""
    minutes = [NOW + minute * MINUTE for minute in range(60)]
    was = [stored.at(at).verdict is ALLOW for at in minutes]
    becomes = [fresh.at(at).verdict is ALLOW for at in minutes]
    if not was[0]:
        return Effect.RESTORED if any(new and not old for old, new in zip(was, becomes, strict=True)) else None
    known = stored.start + 24 * HOUR <= NOW and False in was
    if not known and any(old and not new for old, new in zip(was, becomes, strict=True)):
        return Effect.CUT
    order = {SLOW: 0, FAST: 1, (): 2}
    both = [at for at, old, new in zip(minutes, was, becomes, strict=True) if old and new]
    slower = any(order[fresh.at(at).profile] < order[stored.at(at).profile] for at in both)
    return Effect.SLOWED if slower else None


@given(timelines(), timelines())
def test_r8_4_every_judgement_is_that_of_a_walk_through_the_hour(stored: Timeline, fresh: Timeline) -> None:
    found = classify(stored, fresh, NOW)
    assert (found.effect if found else None) is naive(stored, fresh)


@given(timelines(), timelines())
def test_r8_4_an_effect_shows_at_its_instant(stored: Timeline, fresh: Timeline) -> None:
    found = classify(stored, fresh, NOW)
    if found is None:
        return
    old, new = stored.at(found.at), fresh.at(found.at)
    assert NOW <= found.at < NOW + HOUR
    assert (old.verdict is ALLOW) is (found.effect is not Effect.RESTORED)
    assert (new.verdict is ALLOW) is (found.effect is not Effect.CUT)
    told = old.reason if found.effect is Effect.RESTORED else new.reason
    assert found.cause == (told.cause.value if told else "rate")


@given(timelines())
def test_r8_4_a_change_that_changes_nothing_has_no_effect(stored: Timeline) -> None:
    assert classify(stored, stored, NOW) is None


@given(timelines())
def test_r8_4_lifting_is_never_a_cut(stored: Timeline) -> None:
    found = classify(stored, line((0, ALLOW), profile=()), NOW)
    assert found is None or found.effect is Effect.RESTORED


@given(st.integers(0, 10**7), st.integers(0, 100), st.integers(0, 10**6))
def test_r8_4_the_limit_is_the_share_but_at_least_the_least(allowed: int, percent: int, least: int) -> None:
    found = limit(allowed, Settings(cut_off_limit_percent=percent, cut_off_limit_least=least))
    for cut in {0, found, found + 1, least, least + 1}:
        over_both = cut > least and cut * 100 > percent * allowed
        assert (cut > found) is over_both


def test_r8_4_the_defaults_are_five_percent_and_twenty() -> None:
    assert [limit(allowed, DEFAULTS) for allowed in (0, 400, 419, 420, 1_000, 100_000)] == [20, 20, 20, 21, 50, 5_000]


def test_r8_4_effects_are_counted_by_visp_and_cause() -> None:
    tally = Tally()
    for visp, effect, cause in [
        ("zlin", Effect.CUT, "debit"),
        ("brno", Effect.RESTORED, "debit"),
        ("brno", Effect.CUT, "debit"),
        ("brno", Effect.CUT, "expire"),
        ("brno", Effect.CUT, "expire"),
    ]:
        tally.add(1, "ali", visp, Impact(effect, cause, NOW))
    tally.add(2, "bob", "brno", None)
    assert tally.cut == 4 and tally.count(Effect.SLOWED) == 0
    assert tally.groups() == [
        ("brno", Effect.CUT, "expire", 2),
        ("brno", Effect.CUT, "debit", 1),
        ("brno", Effect.RESTORED, "debit", 1),
        ("zlin", Effect.CUT, "debit", 1),
    ]
    assert tally.affected[0] == Affected(1, "ali", "zlin", Impact(Effect.CUT, "debit", NOW))
