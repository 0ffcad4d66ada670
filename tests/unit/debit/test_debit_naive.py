"""The compiled timeline against the naive evaluator, which was written from the rules alone; and laws that all of the
rules together must keep.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.debit.compile import HORIZON, MOST_SEGMENTS, compile
from aaa.debit.controls.definitions import Definitions
from aaa.debit.controls.finish_rule import FINISH_CAUSES, FinishRule, Restrict
from aaa.domain.service import SERVER, Param, Status
from aaa.domain.standing import Standing
from aaa.domain.timeline import Cause, Segment, Timeline
from billing import standing
from tests.naive.drawn import Drawn, drawn, edges
from tests.naive.evaluator import RATE, Decision, Facts, decide

offsets = st.lists(st.integers(0, HORIZON - 1), min_size=1, max_size=6)


def timeline(case: Drawn, now: int | None = None) -> Timeline:
    at, facts = case.now if now is None else now, case.facts
    return compile(case.policy, facts.service, facts.standing, at, facts.usage).timeline


def decision(segment: Segment) -> Decision:
    """What a segment says, as the naive evaluator would say it."""
    reason = segment.reason
    figures: dict[str, Any] = dict(reason.figures) if reason else {}
    kind = figures["reason"] if reason and reason.cause is Cause.SUSPENDED else ""
    return Decision(segment.verdict, reason.cause if reason else None, dict(segment.profile).get(RATE), kind)


def asked(found: Timeline, facts: Facts, offsets: list[int]) -> list[int]:
    """Instants within a timeline: some drawn, and the neighbours of whatever could be an edge."""
    about = [segment.start for segment in found.segments] + edges(facts)
    near = [edge + off for edge in about for off in (-1, 0, 1)]
    return [at for at in (*near, *(found.start + offset for offset in offsets)) if found.start <= at < found.horizon]


@settings(max_examples=400)
@given(drawn(), offsets)
def test_r3_4_r8_1_every_instant_agrees_with_the_naive_evaluator(case: Drawn, offsets: list[int]) -> None:
    found = timeline(case)
    for at in asked(found, case.facts, offsets):
        assert decision(found.at(at)) == decide(case.facts, at), at


@settings(max_examples=60)
@given(drawn(), st.integers(0, HORIZON - 1))
def test_r8_1_compile_is_deterministic_and_a_later_one_agrees(case: Drawn, later: int) -> None:
    found = timeline(case)
    assert timeline(case) == found
    if case.now + later < found.horizon:
        assert timeline(case, case.now + later).agrees_with(found, case.now + later)


@settings(max_examples=60)
@given(drawn())
def test_r8_3_segments_cover_the_time_from_now_to_the_horizon(case: Drawn) -> None:
    found = timeline(case)
    assert found.start == case.now
    assert len(found.segments) <= MOST_SEGMENTS
    assert found.horizon == case.now + HORIZON or len(found.segments) == MOST_SEGMENTS
    for before, after in pairwise(found.segments):
        assert before.start < before.end == after.start < after.end
        assert not before.same_step(after)


@settings(max_examples=100)
@given(drawn())
def test_r8_5_who_owes_nothing_is_never_restricted_for_money(case: Drawn) -> None:
    owes_nothing = replace(case.facts.standing, debt=0, dues=(), debt_since=None)
    found = timeline(Drawn(replace(case.facts, standing=owes_nothing), case.now))
    for segment in found.segments:
        if segment.reason is not None:
            assert segment.reason.cause not in (Cause.DEBIT, Cause.OVERDUE)
            assert segment.reason.cause is not Cause.SUSPENDED or "policy" not in dict(segment.reason.figures)


def rank(segment: Segment) -> int:
    """The strength of a segment's cause, 0 the strongest (R3.4)."""
    return list(Cause).index(segment.reason.cause) if segment.reason else len(Cause)


def never_worse(before: Timeline, after: Timeline, alike: bool) -> None:
    """`after` is nowhere worse than `before`. Unless all causes are treated `alike`, a cause that was hidden behind a
    stronger one, for which the service got more, may show (R3.4).
    """
    for at in sorted({segment.start for found in (before, after) for segment in found.segments}):
        if at < min(before.horizon, after.horizon):
            old, new = before.at(at), after.at(at)
            assert new.verdict <= old.verdict or (not alike and rank(new) > rank(old)), at


def treated_alike(case: Drawn) -> Drawn:
    """Every cause gets the same: a FinishRule with one garden for all, and no login-time, which always denies."""
    garden = Restrict(address_list="finish")
    rule = FinishRule("same", dict.fromkeys(FINISH_CAUSES, garden), {})
    kept = [one for one in case.facts.params if one.name not in ("FinishRule", "login-time")]
    params = (*kept, Param(SERVER, "FinishRule", "same", Status.PASSTHROUGH_NO))
    rules = {"same": rule, **case.facts.definitions.finish_rules}
    return replace(
        case,
        facts=replace(case.facts, params=params, definitions=replace(case.facts.definitions, finish_rules=rules)),
    )


def with_standing(case: Drawn, new: Standing) -> Drawn:
    return replace(case, facts=replace(case.facts, standing=new))


@settings(max_examples=150)
@given(drawn(), st.integers(1, 2000), st.booleans())
def test_r8_5_paying_never_worsens_a_verdict(case: Drawn, amount: int, alike: bool) -> None:
    case = treated_alike(case) if alike else case
    paid = standing.paid(case.facts.standing, standing.Payment(amount, case.now))
    never_worse(timeline(case), timeline(with_standing(case, paid)), alike)


def raised(found: Definitions, more: int) -> Definitions:
    """Every limit of every control, a little or much higher."""
    days = more % 40

    def above(limit: int | None, by: int) -> int | None:
        return None if limit is None else limit + by

    return Definitions(
        {
            name: replace(one, max_debt=above(one.max_debt, more), max_delay=above(one.max_delay, more * 60))
            for name, one in found.controls.items()
        },
        found.finish_rules,
        {
            name: replace(one, days=one.days + days, least=above(one.least, more))
            for name, one in found.suspend_policies.items()
        },
        {
            name: replace(one, after=one.after + days, least=one.least + more)
            for name, one in found.overdue_policies.items()
        },
        {
            name: replace(
                one,
                levels=tuple(
                    replace(level, thousandths=above(level.thousandths, more), hours=above(level.hours, more % 3))
                    for level in one.levels
                ),
            )
            for name, one in found.fup_policies.items()
        },
    )


@settings(max_examples=150)
@given(drawn(), st.integers(1, 2000), st.booleans())
def test_r2_2_r4_6_r6_1_raising_limits_never_worsens_a_verdict(case: Drawn, more: int, alike: bool) -> None:
    case = treated_alike(case) if alike else case
    higher = replace(case.facts, definitions=raised(case.facts.definitions, more))
    never_worse(timeline(case), timeline(replace(case, facts=higher)), alike)
