"""What a live session must be told whose quota is another one now than at its login (R6.3)."""

from dataclasses import replace

from aaa.coa.plan import HOUR, SECOND, CoA, Disconnect, Later, Nothing, after, plan
from aaa.domain.timeline import Verdict
from tests.unit.coa.test_plan import GRACE, HOME, NOW, changed, live, timeout, wanted

STARTED = NOW - 2 * HOUR  # as test_plan has it


def test_r6_3_who_would_be_cut_early_is_logged_in_anew() -> None:
    assert plan(live(cut_early=True), wanted(), "from_start", NOW) == Disconnect("its limit of volume is raised")
    faster = changed(HOME, Mikrotik_Rate_Limit="50M/50M")
    assert isinstance(plan(live(cut_early=True), wanted(faster), "from_start", NOW), Disconnect)
    assert plan(live(cut_early=True), wanted((), Verdict.DENY), "from_start", NOW) == Disconnect("denied")


def test_r6_3_a_time_quota_that_is_as_it_was_needs_nothing() -> None:
    session = live(limit_seconds=10_000)
    assert plan(session, replace(wanted(), limit_seconds=10_000), "from_start", NOW) == Nothing()
    # the verdict's end moves, but the quota is used up before either
    early = STARTED + 10_000 * SECOND
    session = replace(session, given_end=early + HOUR)
    assert plan(session, replace(wanted(end=early + 2 * HOUR), limit_seconds=10_000), "from_start", NOW) == Nothing()


def test_r6_3_more_time_is_told_by_coa_an_hour_before_it_is_needed() -> None:
    session = live(limit_seconds=20_000)
    wish = replace(wanted(), limit_seconds=30_000)
    due = STARTED + 20_000 * SECOND - GRACE * SECOND - HOUR
    assert plan(session, wish, "from_start", NOW) == Later(due)
    planned = plan(session, wish, "from_start", due)
    assert timeout(planned) == 30_000
    assert isinstance(planned, CoA)
    has = after(session, wish, planned)
    assert has.limit_seconds == 30_000
    assert plan(has, wish, "from_start", due) == Nothing()


def test_r6_3_without_a_quota_the_verdicts_end_counts_again() -> None:
    end = NOW + 100 * HOUR
    session = live(limit_seconds=7_300, given_end=end)
    planned = plan(session, wanted(end=end), "from_start", NOW)
    assert timeout(planned) == 102 * 3_600 + GRACE


def test_r6_3_a_coa_that_tells_no_timeout_leaves_the_quota_as_it_is() -> None:
    session = live(limit_seconds=20_000)
    faster = replace(wanted(changed(HOME, Mikrotik_Rate_Limit="50M/50M")), limit_seconds=20_000)
    planned = plan(session, faster, "from_start", NOW)
    assert isinstance(planned, CoA)
    assert planned.attributes == (("Mikrotik-Rate-Limit", "50M/50M"),)
    assert after(session, faster, planned).limit_seconds == 20_000
