"""Explanations (R8.3): for now, the past and the future, as JSON and as a sentence."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.debit.compile import compile
from aaa.debit.explain import Change, NothingKnown, explain, sentence
from aaa.debit.wording import why
from aaa.domain.service import Service
from aaa.domain.standing import Standing
from aaa.domain.timeline import Cause, Reason, Segment, Timeline, Verdict
from tests.unit.debit.cases import DAY, SERVICE, control, owing, policy, rule

HOME = policy(
    control(max_debt=800_000, max_delay=2_592_000),
    rule(debit={"restrict": {"pool": "finish", "reply": {"Framed-Route": ["10.0.0.0/8", "10.0.0.0/9"]}}}),
)


def timeline(standing: Standing, now: int, service: Service = SERVICE) -> Timeline:
    return compile(HOME, service, standing, now).timeline


def test_r8_3_an_allow_that_will_end() -> None:
    found = explain("ali", timeline(owing(10), DAY), 2 * DAY)
    assert found.to_json() == {
        "username": "ali",
        "at": "1970-01-03T00:00:00Z",
        "verdict": "allow",
        "cause": None,
        "figures": {},
        "scope": None,
        "since": "1970-01-02T00:00:00Z",
        "until": "1970-01-31T00:00:00Z",
        "profile": {"Acct-Interim-Interval": 300},
        "next": [{"from": "1970-01-31T00:00:00Z", "verdict": "restrict", "cause": "debit"}],
    }
    assert sentence(found) == (
        "ali at 1970-01-03T00:00:00Z: allow, since 1970-01-02T00:00:00Z, until 1970-01-31T00:00:00Z, "
        "then restrict (debit)"
    )


def test_r8_3_a_block_with_its_figures_and_scope() -> None:
    found = explain("ali", timeline(owing(812_000), DAY), DAY)
    assert found.to_json() == {
        "username": "ali",
        "at": "1970-01-02T00:00:00Z",
        "verdict": "restrict",
        "cause": "debit",
        "figures": {
            "control": "Home-Users",
            "currency": "IRR",
            "debt": 812_000,
            "limit": "max_debt",
            "max_debt": 800_000,
        },
        "scope": "server",
        "since": "1970-01-02T00:00:00Z",
        "until": None,
        "profile": {
            "Acct-Interim-Interval": 300,
            "Framed-Pool": "finish",
            "Framed-Route": ["10.0.0.0/8", "10.0.0.0/9"],
        },
        "next": [],
    }
    assert sentence(found) == (
        "ali at 1970-01-02T00:00:00Z: restrict because debt 812,000 IRR has reached the limit of 800,000 IRR "
        "(Home-Users, server), since 1970-01-02T00:00:00Z, no end in sight"
    )


def test_r8_3_a_future_instant_from_today_s_facts_and_past_the_horizon_the_last_verdict() -> None:
    present = timeline(owing(10), DAY)
    for at in (30 * DAY, 500 * DAY):
        found = explain("ali", present, at)
        assert (found.verdict, found.since, found.until) == (Verdict.RESTRICT, 30 * DAY, None)
    figures = found.to_json()["figures"]
    assert isinstance(figures, dict)
    assert figures["clock_start_at"] == "1970-01-01T00:00:00Z"
    assert figures["deadline_at"] == "1970-01-31T00:00:00Z"
    assert figures["max_delay"] == 2_592_000


def test_until_is_the_verdict_s_end_and_next_names_a_change_of_cause_too() -> None:
    found = explain("ali", timeline(owing(10), 0, replace(SERVICE, active_to=5 * DAY)), 6 * DAY)
    assert (found.verdict, found.reason and found.reason.cause) == (Verdict.DENY, Cause.EXPIRE)
    assert (found.since, found.until) == (5 * DAY, 30 * DAY)
    first = explain("ali", timeline(owing(10), 0, replace(SERVICE, active_to=5 * DAY)), 0)
    assert first.changes == (
        Change(5 * DAY, Verdict.DENY, Cause.EXPIRE),
        Change(30 * DAY, Verdict.RESTRICT, Cause.DEBIT),
    )
    denied = compile(policy(control(max_delay=2_592_000)), replace(SERVICE, active_to=5 * DAY), owing(10), 6 * DAY)
    same_verdict = explain("ali", denied.timeline, 6 * DAY)
    assert same_verdict.until is None
    assert same_verdict.changes == (Change(30 * DAY, Verdict.DENY, Cause.DEBIT),)
    assert sentence(same_verdict).endswith("no end in sight, then deny (debit) from 1970-01-31T00:00:00Z")


# --- history ---------------------------------------------------------------------------------------------------------


def test_r8_3_the_past_is_what_happened_not_what_was_foreseen() -> None:
    owed, paid = timeline(owing(900_000), DAY), timeline(owing(0), 4 * DAY)
    history = [(owed, 4 * DAY)]
    past = explain("ali", paid, 2 * DAY, history)
    assert (past.verdict, past.since, past.until) == (Verdict.RESTRICT, DAY, 4 * DAY)
    assert past.changes == (Change(4 * DAY, Verdict.ALLOW, None),)
    assert explain("ali", paid, 4 * DAY - 1, history).verdict is Verdict.RESTRICT
    present = explain("ali", paid, 4 * DAY, history)
    assert (present.verdict, present.since, present.until) == (Verdict.ALLOW, 4 * DAY, None)


def test_since_goes_back_through_replaced_timelines_while_verdict_and_cause_stay() -> None:
    first, second, third = (timeline(owing(debt), day * DAY) for debt, day in ((0, 1), (900_000, 5), (950_000, 9)))
    found = explain("ali", third, 10 * DAY, [(second, 9 * DAY), (first, 5 * DAY)])
    assert found.since == 5 * DAY
    assert dict(found.reason.figures if found.reason else ())["debt"] == 950_000


def test_since_is_a_boundary_inside_a_replaced_timeline() -> None:
    first, second = timeline(owing(10), DAY), timeline(owing(11), 33 * DAY)
    assert explain("ali", second, 34 * DAY, [(first, 33 * DAY)]).since == 30 * DAY


def test_a_replaced_timeline_that_ran_out_held_its_last_verdict() -> None:
    first, second = timeline(owing(10), 0), timeline(owing(0), 90 * DAY)
    found = explain("ali", second, 80 * DAY, [(first, 90 * DAY)])
    assert (found.verdict, found.since, found.until) == (Verdict.RESTRICT, 30 * DAY, 90 * DAY)


def test_a_timeline_counts_from_when_it_took_over_early_or_late() -> None:
    first = timeline(owing(0), 0)
    late = timeline(owing(10), 29 * DAY)
    assert explain("ali", late, 32 * DAY, [(first, 31 * DAY)]).since == 31 * DAY
    early = timeline(owing(900_000), 5 * DAY)
    assert explain("ali", early, 6 * DAY, [(first, 4 * DAY)]).since == 4 * DAY


def test_two_changes_in_one_microsecond_the_later_counts() -> None:
    first, second, third = timeline(owing(0), 0), timeline(owing(900_000), DAY), timeline(owing(0), DAY)
    found = explain("ali", third, DAY, [(second, DAY), (first, DAY)])
    assert (found.verdict, found.since, found.until) == (Verdict.ALLOW, 0, None)


def test_history_is_read_no_further_than_needed() -> None:
    def history() -> Iterator[tuple[Timeline, int]]:
        yield timeline(owing(900_000), 5 * DAY), 9 * DAY
        yield timeline(owing(0), 3 * DAY), 5 * DAY
        yield timeline(owing(0), DAY), 3 * DAY  # says when the one before began
        raise AssertionError("read too far")

    assert explain("ali", timeline(owing(900_000), 9 * DAY), 9 * DAY, history()).since == 5 * DAY


def test_before_the_first_timeline_nothing_is_known() -> None:
    history = [(timeline(owing(0), DAY), 4 * DAY)]
    explain("ali", timeline(owing(5), 4 * DAY), DAY, history)
    with pytest.raises(NothingKnown, match=r"nothing is recorded of ali before 1970-01-02T00:00:00Z"):
        explain("ali", timeline(owing(5), 4 * DAY), DAY - 1, history)


LONG = 10_000
kinds = st.sampled_from(
    (
        (Verdict.ALLOW, None),
        (Verdict.RESTRICT, Reason(Cause.DEBIT, (), "server")),
        (Verdict.DENY, Reason(Cause.DEBIT, (), "server")),
        (Verdict.DENY, Reason(Cause.EXPIRE, (), "user:ali")),
    )
)


@st.composite
def chains(draw: st.DrawFn) -> list[Timeline]:
    """Timelines, oldest first, each compiled where it replaced the one before."""
    starts = sorted(draw(st.sets(st.integers(0, 30), min_size=1, max_size=4)))
    found = []
    for start in starts:
        edges = sorted({start, *draw(st.sets(st.integers(start, 40), max_size=4))})
        steps = [
            Segment(one, end, verdict, (), reason)
            for one, end, (verdict, reason) in zip(
                edges, (*edges[1:], 60), draw(st.lists(kinds, min_size=len(edges), max_size=len(edges))), strict=True
            )
        ]
        found.append(Timeline(tuple(steps)))
    return found


@given(chains(), st.integers(0, 70))
def test_r8_3_agrees_with_a_walk_over_every_instant(chain: list[Timeline], at: int) -> None:
    def kind(instant: int) -> tuple[Verdict, Cause | None]:
        current = next(one for one in reversed(chain) if one.start <= instant)
        segment = current.at(instant)
        return segment.verdict, segment.reason.cause if segment.reason else None

    begin = chain[0].start
    history = [(older, newer.start) for older, newer in pairwise(chain)][::-1]
    if at < begin:
        with pytest.raises(NothingKnown):
            explain("ali", chain[-1], at, history)
        return
    found = explain("ali", chain[-1], at, history)
    assert (found.verdict, found.reason.cause if found.reason else None) == kind(at)
    since = at
    while since > begin and kind(since - 1) == kind(at):
        since -= 1
    assert found.since == since
    assert found.until == next((t for t in range(at, 80) if kind(t)[0] is not kind(at)[0]), None)
    changes = [Change(t, *kind(t)) for t in range(at + 1, 80) if kind(t) != kind(t - 1)]
    assert list(found.changes) == changes


# --- words -----------------------------------------------------------------------------------------------------------


def reason_of(standing: Standing, **limits: int) -> Reason:
    found = compile(policy(control(**limits)), SERVICE, standing, 900 * DAY).timeline.segments[0].reason
    assert found is not None
    return found


def test_why_the_delay_blocks() -> None:
    assert why(reason_of(owing(10, since=DAY), max_delay=2_592_000)) == (
        "debt 10 IRR has stood past its deadline 1970-02-01T00:00:00Z, 30 days after 1970-01-02T00:00:00Z "
        "(Home-Users, server)"
    )
    assert "00:01:30Z, 90 s after" in why(reason_of(owing(10), max_delay=90))


def test_why_says_that_a_promise_is_over() -> None:
    broken = owing(900_000, promise=3 * DAY)
    assert ", promised until 1970-01-04T00:00:00Z (" in why(reason_of(broken, max_debt=0))
    assert ", promised until 1970-01-04T00:00:00Z (" in why(reason_of(broken, max_delay=0))


def test_r2_8_amounts_are_spelled_in_their_currency() -> None:
    crowns = replace(owing(123_456), currency="CZK")
    assert why(reason_of(crowns, max_debt=100_000)).startswith(
        "debt 1,234.56 CZK has reached the limit of 1,000.00 CZK"
    )


def test_why_a_service_ended() -> None:
    ended = compile(policy(), replace(SERVICE, active_to=DAY), owing(0), DAY).timeline.segments[0].reason
    assert ended is not None
    assert why(ended) == "the service ran until 1970-01-02T00:00:00Z (user:ali)"
