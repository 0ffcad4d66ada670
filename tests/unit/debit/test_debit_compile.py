"""The compiler: DebitControl (R2), the end of a service, precedence (R3.4), promises (R7.8), what always holds (R8)."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from aaa.debit import compile as compiler
from aaa.debit.compile import HORIZON, MOST_SEGMENTS, compile
from aaa.debit.policy import Policy
from aaa.debit.rules.case import Window
from aaa.domain.service import Service
from aaa.domain.standing import Due, Standing
from aaa.domain.timeline import Cause, Reason, Segment, Timeline, Verdict
from tests.unit.debit import cases
from tests.unit.debit.cases import DAY, SECOND, SERVICE, Facts, control, owing, policy, rule

HOME = control(max_debt=800_000, max_delay=2_592_000)
GARDEN = rule(
    debit={"restrict": {"pool": "finish", "address_list": "overdue", "rate_limit": "128k/128k"}}, expire="deny"
)


def timeline(found: Policy, standing: Standing, now: int, service: Service = SERVICE) -> Timeline:
    return compile(found, service, standing, now).timeline


def shape(found: Timeline) -> list[tuple[int, Verdict, Cause | None]]:
    return [(one.start, one.verdict, one.reason.cause if one.reason else None) for one in found.segments]


def figures(segment: Segment) -> dict[str, object]:
    assert segment.reason is not None
    return dict(segment.reason.figures)


# --- R2: DebitControl ------------------------------------------------------------------------------------------------


# The table of R2.9. `blocked` is the limit that blocks now, `until` the day an allow ends.
@pytest.mark.parametrize(
    ("debt", "since", "paid", "max_debt", "max_delay", "now", "blocked", "until"),
    [
        (0, 0, None, 0, 0, 400, None, None),
        (799_999, 0, 0, 800_000, 2_592_000, 29, None, 30),
        (800_000, 0, 0, 800_000, 2_592_000, 1, "max_debt", None),
        (10, 0, 0, 800_000, 2_592_000, 30, "max_delay", None),
        (10, 90, 0, 800_000, 2_592_000, 91, None, 120),
        (10, 0, 0, None, None, 9 * 365, None, None),
    ],
)
def test_r2_9_the_table(
    debt: int,
    since: int,
    paid: int | None,
    max_debt: int | None,
    max_delay: int | None,
    now: int,
    blocked: str | None,
    until: int | None,
) -> None:
    standing = owing(debt, since * DAY, None if paid is None else paid * DAY)
    found = timeline(policy(control(max_debt=max_debt, max_delay=max_delay)), standing, now * DAY)
    first = found.segments[0]
    if blocked is not None:
        assert first.verdict is Verdict.DENY
        assert first.reason is not None and first.reason.cause is Cause.DEBIT
        assert figures(first)["limit"] == blocked
        assert len(found.segments) == 1
        return
    assert (first.verdict, first.reason) == (Verdict.ALLOW, None)
    assert found.verdict_end(0) == (None if until is None else until * DAY)


def test_r2_9_the_seed_s_example_with_a_finish_rule_restricts() -> None:
    found = timeline(policy(HOME, GARDEN), owing(800_000), 1 * DAY)
    assert shape(found) == [(1 * DAY, Verdict.RESTRICT, Cause.DEBIT)]
    assert found.segments[0].profile == (
        ("Acct-Interim-Interval", 300),
        ("Framed-Pool", "finish"),
        ("Mikrotik-Address-List", "overdue"),
        ("Mikrotik-Rate-Limit", "128k/128k"),
    )


def test_r2_2_the_ceiling_blocks_when_reached_to_the_minor_unit() -> None:
    found = policy(control(max_debt=800_000))
    assert shape(timeline(found, owing(799_999), 0)) == [(0, Verdict.ALLOW, None)]
    assert shape(timeline(found, owing(800_000), 0)) == [(0, Verdict.DENY, Cause.DEBIT)]
    assert shape(timeline(found, owing(800_001), 0)) == [(0, Verdict.DENY, Cause.DEBIT)]


def test_r2_3_the_delay_blocks_at_its_last_microsecond() -> None:
    standing = owing(10, since=5)
    found = timeline(policy(HOME), standing, DAY)
    deadline = 5 + 30 * DAY
    assert shape(found) == [(DAY, Verdict.ALLOW, None), (deadline, Verdict.DENY, Cause.DEBIT)]
    assert found.at(deadline - 1).verdict is Verdict.ALLOW
    assert found.at(deadline).verdict is Verdict.DENY
    assert shape(timeline(policy(HOME), standing, deadline - 1))[0] == (deadline - 1, Verdict.ALLOW, None)
    assert shape(timeline(policy(HOME), standing, deadline)) == [(deadline, Verdict.DENY, Cause.DEBIT)]


def test_r2_3_no_delay_at_all_blocks_from_the_start_of_the_clock() -> None:
    found = timeline(policy(control(max_delay=0)), owing(10, since=5 * DAY), DAY)
    assert shape(found) == [(DAY, Verdict.ALLOW, None), (5 * DAY, Verdict.DENY, Cause.DEBIT)]


def test_r2_4_prepaid_any_debt_blocks_and_none_does_not() -> None:
    found = policy(control(max_debt=0, max_delay=0))
    assert shape(timeline(found, owing(1), 0)) == [(0, Verdict.DENY, Cause.DEBIT)]
    assert shape(timeline(found, owing(0), 0)) == [(0, Verdict.ALLOW, None)]
    assert shape(timeline(found, Standing(7, "IRR", credit=50, last_payment_at=0), 0)) == [(0, Verdict.ALLOW, None)]


@pytest.mark.parametrize(("since", "paid", "start"), [(3, None, 3), (3, 1, 3), (3, 3, 3), (3, 7, 7), (90, 0, 90)])
def test_r2_5_the_clock_starts_at_the_later_of_payment_and_debt(since: int, paid: int | None, start: int) -> None:
    standing = owing(10, since * DAY, None if paid is None else paid * DAY, due=0)
    found = timeline(policy(HOME), standing, max(since, start) * DAY)
    assert found.verdict_end(0) == (start + 30) * DAY


def test_r2_6_the_clock_starts_at_the_oldest_unpaid_due_date_and_no_payment_moves_it() -> None:
    found = policy(control(max_delay=2_592_000, anchor="oldest_unpaid"))
    dues = (Due(4, 10 * DAY, 3), Due(2, 20 * DAY, 7))
    standing = Standing(7, "IRR", 1, 10, 0, 15 * DAY, 1 * DAY, dues)
    assert timeline(found, standing, 16 * DAY).verdict_end(0) == 40 * DAY
    token = replace(standing, debt=9, dues=(Due(4, 10 * DAY, 2), dues[1]), last_payment_at=39 * DAY)
    assert timeline(found, token, 39 * DAY).verdict_end(0) == 40 * DAY
    covered = replace(standing, debt=7, dues=dues[1:], last_payment_at=39 * DAY)
    assert timeline(found, covered, 39 * DAY).verdict_end(0) == 50 * DAY


def test_r2_6_a_due_date_to_come_has_not_started_the_clock() -> None:
    found = policy(control(max_delay=0, anchor="oldest_unpaid"))
    assert shape(timeline(found, owing(10, since=0, due=5 * DAY), 0)) == [
        (0, Verdict.ALLOW, None),
        (5 * DAY, Verdict.DENY, Cause.DEBIT),
    ]


@pytest.mark.parametrize("anchor", ["last_payment", "oldest_unpaid"])
def test_a_standing_that_does_not_say_when_the_clock_began_is_not_blocked_by_delay(anchor: str) -> None:
    standing = Standing(7, "IRR", debt=10, last_payment_at=0)
    found = timeline(policy(control(max_delay=0, anchor=anchor)), standing, 50 * DAY)
    assert shape(found) == [(50 * DAY, Verdict.ALLOW, None)]


def test_r2_figures_of_max_debt() -> None:
    found = timeline(policy(HOME), owing(812_000), 0)
    assert found.segments[0].reason == Reason(
        Cause.DEBIT,
        (
            ("control", "Home-Users"),
            ("currency", "IRR"),
            ("debt", 812_000),
            ("limit", "max_debt"),
            ("max_debt", 800_000),
        ),
        "server",
    )


def test_r2_figures_of_max_delay() -> None:
    found = timeline(policy(HOME), owing(10, since=DAY, paid=2 * DAY), 40 * DAY)
    assert figures(found.segments[0]) == {
        "control": "Home-Users",
        "currency": "IRR",
        "debt": 10,
        "limit": "max_delay",
        "max_delay": 2_592_000,
        "clock_start_at": 2 * DAY,
        "deadline_at": 32 * DAY,
    }


def test_r2_when_both_limits_hold_the_ceiling_is_named_and_the_deadline_changes_nothing() -> None:
    found = timeline(policy(HOME), owing(900_000), 10 * DAY)
    assert len(found.segments) == 1
    assert figures(found.segments[0])["limit"] == "max_debt"


# --- R7.8: promises --------------------------------------------------------------------------------------------------


def test_r7_8_a_promise_postpones_the_ceiling_and_the_delay() -> None:
    ceiling = timeline(policy(HOME), owing(900_000, promise=5 * DAY), DAY)
    assert shape(ceiling) == [(DAY, Verdict.ALLOW, None), (5 * DAY, Verdict.DENY, Cause.DEBIT)]
    assert figures(ceiling.segments[1])["promise_until_at"] == 5 * DAY
    delay = timeline(policy(HOME), owing(10, promise=33 * DAY), 31 * DAY)
    assert shape(delay) == [(31 * DAY, Verdict.ALLOW, None), (33 * DAY, Verdict.DENY, Cause.DEBIT)]


def test_r7_8_a_promise_that_ends_before_the_deadline_changes_nothing() -> None:
    assert timeline(policy(HOME), owing(10, promise=29 * DAY), 0) == timeline(policy(HOME), owing(10), 0)


def test_r7_8_a_promise_does_not_keep_an_ended_service() -> None:
    ended = replace(SERVICE, active_to=0)
    found = timeline(policy(HOME), owing(900_000, promise=5 * DAY), DAY, ended)
    assert shape(found) == [(DAY, Verdict.DENY, Cause.EXPIRE), (5 * DAY, Verdict.DENY, Cause.DEBIT)]


# --- expire, precedence ----------------------------------------------------------------------------------------------


def test_a_service_ends_at_its_active_to() -> None:
    found = timeline(policy(), owing(0), 0, replace(SERVICE, active_to=3 * DAY))
    assert shape(found) == [(0, Verdict.ALLOW, None), (3 * DAY, Verdict.DENY, Cause.EXPIRE)]
    assert found.segments[1].reason == Reason(Cause.EXPIRE, (("active_to_at", 3 * DAY),), "user:ali")
    assert timeline(policy(), owing(0), 3 * DAY, replace(SERVICE, active_to=3 * DAY)).segments[0].reason is not None


def test_r3_4_debit_is_stronger_than_expire_while_both_hold() -> None:
    service = replace(SERVICE, active_to=10 * DAY)
    found = timeline(policy(HOME, GARDEN), owing(10), 0, service)
    assert shape(found) == [
        (0, Verdict.ALLOW, None),
        (10 * DAY, Verdict.DENY, Cause.EXPIRE),
        (30 * DAY, Verdict.RESTRICT, Cause.DEBIT),
    ]


def test_a_static_address_is_sent_where_the_verdict_keeps_it() -> None:
    service = replace(SERVICE, static_ip="192.0.2.7")
    found = timeline(policy(HOME, GARDEN), owing(10), 0, service)
    assert ("Framed-IP-Address", "192.0.2.7") in found.segments[0].profile
    assert "Framed-IP-Address" not in dict(found.segments[1].profile)


# --- the sweep -------------------------------------------------------------------------------------------------------


def sweep(monkeypatch: pytest.MonkeyPatch, *rules: list[Window], now: int = 0) -> Timeline:
    """A timeline of rules that hold in the given windows, strongest rule first."""
    monkeypatch.setattr(compiler, "RULES", tuple(lambda *_, windows=windows: windows for windows in rules))
    return timeline(policy(), owing(0), now)


def test_windows_that_come_and_go_and_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    debit, ended = Reason(Cause.DEBIT, (), "server"), Reason(Cause.EXPIRE, (), "server")
    found = sweep(
        monkeypatch,
        [Window(2 * DAY, 4 * DAY, debit), Window(4 * DAY, 5 * DAY, debit)],
        [Window(DAY, 3 * DAY, ended), Window(6 * DAY, 6 * DAY, ended), Window(40 * DAY, 50 * DAY, ended)],
    )
    assert [(one.start, one.end, one.reason) for one in found.segments] == [
        (0, DAY, None),
        (DAY, 2 * DAY, ended),
        (2 * DAY, 5 * DAY, debit),
        (5 * DAY, HORIZON, None),
    ]


def test_a_window_that_opens_at_the_horizon_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Reason(Cause.EXPIRE, (), "server")
    found = sweep(monkeypatch, [Window(HORIZON, HORIZON + DAY, ended)])
    assert [(one.start, one.end, one.reason) for one in found.segments] == [(0, HORIZON, None)]


@pytest.mark.parametrize(("count", "horizon"), [(63, HORIZON), (64, 128 * SECOND), (200, 128 * SECOND)])
def test_at_most_128_segments_the_horizon_coming_nearer(
    monkeypatch: pytest.MonkeyPatch, count: int, horizon: int
) -> None:
    reason = Reason(Cause.DEBIT, (), "server")
    windows = [Window((2 * n + 1) * SECOND, (2 * n + 2) * SECOND, reason) for n in range(count)]
    found = sweep(monkeypatch, windows)
    assert len(found.segments) == min(MOST_SEGMENTS, 2 * count + 1)
    assert found.horizon == horizon


# --- what always holds -----------------------------------------------------------------------------------------------


def edges(facts: Facts) -> list[int]:
    """Every instant at which something could change."""
    standing = facts.standing
    starts = [standing.last_payment_at, standing.debt_since, *(due.due_at for due in standing.dues)]
    delays = [limits.max_delay for limits in cases.CONTROLS.values() if limits.max_delay is not None]
    late = [start + delay * SECOND for start in starts if start is not None for delay in delays]
    return [at for at in (*late, standing.promise_until, facts.service.active_to) if at is not None]


@given(cases.facts, cases.instants, st.lists(st.integers(0, HORIZON - 1), max_size=8))
def test_r3_4_every_instant_agrees_with_the_oracle(facts: Facts, now: int, offsets: list[int]) -> None:
    found = timeline(facts.policy, facts.standing, now, facts.service)
    instants = [now + offset for offset in offsets]
    instants += [edge + off for edge in edges(facts) for off in (-1, 0, 1) if now <= edge + off < found.horizon]
    for at in (now, *instants):
        segment = found.at(at)
        assert (segment.verdict, segment.reason.cause if segment.reason else None) == cases.verdict_at(facts, at)


@given(cases.facts, cases.instants)
def test_segments_are_contiguous_distinct_and_reach_the_horizon(facts: Facts, now: int) -> None:
    found = timeline(facts.policy, facts.standing, now, facts.service)
    assert (found.start, found.horizon) == (now, now + HORIZON)
    assert len(found.segments) <= MOST_SEGMENTS
    for before, after in pairwise(found.segments):
        assert before.start < before.end == after.start < after.end
        assert not before.same_step(after)
    for segment in found.segments:
        assert (segment.reason is None) == (segment.verdict is Verdict.ALLOW)
        assert segment.profile == tuple(sorted(segment.profile))
        assert (segment.profile == ()) == (segment.verdict is Verdict.DENY)


@given(cases.facts, cases.instants, st.randoms(use_true_random=False))
def test_r8_1_the_same_facts_give_the_same_timeline(facts: Facts, now: int, chance: Random) -> None:
    shuffled = list(facts.params)
    chance.shuffle(shuffled)
    again = replace(facts, params=tuple(shuffled))
    assert compile(facts.policy, facts.service, facts.standing, now) == compile(
        again.policy, again.service, again.standing, now
    )


@given(cases.facts, cases.instants, st.integers(0, HORIZON - 1))
def test_r8_1_a_later_compile_of_the_same_facts_agrees(facts: Facts, now: int, later: int) -> None:
    stored = timeline(facts.policy, facts.standing, now, facts.service)
    assert timeline(facts.policy, facts.standing, now + later, facts.service).agrees_with(stored, now + later)


@given(cases.facts, cases.instants)
def test_r8_5_who_owes_nothing_is_never_restricted_for_money(facts: Facts, now: int) -> None:
    paid_up = replace(facts.standing, debt=0, dues=(), debt_since=None)
    found = timeline(facts.policy, paid_up, now, facts.service)
    assert all(one.reason is None or one.reason.cause is Cause.EXPIRE for one in found.segments)


def pay(standing: Standing, amount: int, at: int) -> Standing:
    """The standing after a payment, allocated oldest due first (R7.4)."""
    left, dues = amount, []
    for due in standing.dues:
        taken = min(left, due.remaining)
        left -= taken
        if due.remaining > taken:
            dues.append(replace(due, remaining=due.remaining - taken))
    debt = sum(due.remaining for due in dues)
    return replace(
        standing,
        debt=debt,
        credit=standing.credit + left,
        dues=tuple(dues),
        last_payment_at=max(at, standing.last_payment_at or at),
        debt_since=standing.debt_since if debt else None,
    )


@given(cases.facts, cases.instants, st.integers(1, 3000))
@example(Facts((), SERVICE, owing(10)), 0, 10)
def test_paying_never_brings_a_block_nearer(facts: Facts, now: int, amount: int) -> None:
    assume(facts.standing.debt > 0)
    before = timeline(facts.policy, facts.standing, now, facts.service)
    after = timeline(facts.policy, pay(facts.standing, amount, now), now, facts.service)
    for at in {one.start for one in (*before.segments, *after.segments)}:
        if (reason := after.at(at).reason) is not None and reason.cause is Cause.DEBIT:
            blocked = before.at(at).reason
            assert blocked is not None and blocked.cause is Cause.DEBIT


@given(cases.facts, cases.instants, st.integers(1, 3000))
def test_a_new_charge_never_lifts_a_block(facts: Facts, now: int, amount: int) -> None:
    standing = facts.standing
    charged = replace(
        standing,
        debt=standing.debt + amount,
        credit=0,
        dues=(*standing.dues, Due(99, max([now, *(due.due_at for due in standing.dues)]), amount)),
        debt_since=standing.debt_since if standing.debt else now,
    )
    before = timeline(facts.policy, standing, now, facts.service)
    after = timeline(facts.policy, charged, now, facts.service)
    for at in {one.start for one in (*before.segments, *after.segments)}:
        if (reason := before.at(at).reason) is not None and reason.cause is Cause.DEBIT:
            blocked = after.at(at).reason
            assert blocked is not None and blocked.cause is Cause.DEBIT
