"""Every rule says what came of it (R8.3)."""

from dataclasses import replace

import pytest
from hypothesis import given

from aaa.debit.ahead import explain_ahead
from aaa.debit.compile import HORIZON, compile
from aaa.debit.considered import State, considered
from aaa.debit.controls.fup_policy import fup_policy
from aaa.debit.explain import explain, sentence
from aaa.debit.policy import Policy
from aaa.debit.rules.case import Case
from aaa.domain.service import Service
from aaa.domain.standing import Standing
from aaa.domain.suspension import Suspension
from aaa.domain.usage import DayUsage
from tests.unit.debit.cases import DAY, SERVICE, Facts, check_attribute, control, facts, instants, owing, policy

NAMES = ["suspension", "SuspendPolicy", "DebitControl", "active_to", "FupPolicy", "login-time", "OverduePolicy"]


CLEAR = owing(0)


def case(found: Policy, service: Service = SERVICE, standing: Standing = CLEAR, at: int = 0) -> Case:
    return Case(found, service, standing, (), at, at + HORIZON)


def states(one: Case) -> dict[str, State]:
    return {rule.rule: rule.state for rule in considered(one)}


def test_r8_3_all_rules_are_silent_where_none_is_set() -> None:
    told = considered(case(policy()))
    assert [rule.rule for rule in told] == NAMES
    assert {rule.state for rule in told} == {State.SILENT}
    assert [rule.why for rule in told][:4] == [
        "no operator suspended it",
        "no SuspendPolicy is set",
        "no DebitControl is set",
        "the service has no end",
    ]


def test_r8_3_the_strongest_decides_and_the_others_say_what_is_stronger() -> None:
    both = case(policy(control(max_debt=5)), replace(SERVICE, active_to=-DAY), owing(9))
    assert (states(both)["DebitControl"], states(both)["active_to"]) == (State.DECIDES, State.WEAKER)
    suspended = case(policy(control(max_debt=5)), replace(SERVICE, suspensions=(Suspension("profile1"),)), owing(9))
    assert (states(suspended)["suspension"], states(suspended)["DebitControl"]) == (State.DECIDES, State.WEAKER)


def test_r8_3_a_rule_that_will_hold_says_from_when() -> None:
    told = considered(case(policy(control(max_delay=86_400)), standing=owing(9)))
    [debit] = [rule for rule in told if rule.state is State.LATER]
    assert (debit.rule, debit.scope) == ("DebitControl", "server")
    assert debit.why.startswith("from 1970-01-02T00:00:00Z: ")


@pytest.mark.parametrize(
    ("limits", "debt", "why"),
    [
        ({"max_debt": 800}, 799, "the debt of 799 IRR has not reached 800 IRR (Home-Users)"),
        ({"max_debt": 800}, 0, "nothing is owed"),
        ({}, 5, "Home-Users sets no limit that applies"),
    ],
)
def test_r2_a_debit_control_that_does_not_block_says_why(limits: dict[str, int], debt: int, why: str) -> None:
    told = {rule.rule: rule for rule in considered(case(policy(control(**limits)), standing=owing(debt)))}
    assert (told["DebitControl"].why, told["DebitControl"].scope) == (why, "server")


@given(facts, instants)
def test_r8_3_the_rule_that_decides_is_the_cause_of_the_verdict(found: Facts, at: int) -> None:
    one = case(found.policy, found.service, found.standing, at)
    reason = compile(found.policy, found.service, found.standing, at).timeline.at(at).reason
    deciding = [rule for rule in considered(one) if rule.state is State.DECIDES]
    assert [(rule.scope) for rule in deciding] == ([reason.scope] if reason else [])


@given(facts, instants, instants)
def test_r8_3_beyond_the_horizon_is_what_a_compile_then_would_say(found: Facts, now: int, later: int) -> None:
    timeline = compile(found.policy, found.service, found.standing, now).timeline
    at = timeline.horizon + abs(later)
    told = explain_ahead(case(found.policy, found.service, found.standing, at), timeline, at)
    then = compile(found.policy, found.service, found.standing, at).timeline.at(at)
    assert (told.verdict, told.reason, told.profile) == (then.verdict, then.reason, then.profile)
    assert told.since <= at


def test_r8_4_what_waits_for_a_confirmation_does_not_decide() -> None:
    owes = case(policy(control(max_debt=5)), replace(SERVICE, active_to=-DAY), owing(9))
    told = {rule.rule: rule for rule in considered(owes, held=True)}
    assert (told["DebitControl"].state, told["active_to"].state) == (State.HELD, State.DECIDES)
    assert told["DebitControl"].why.endswith("but this waits for a confirmation")


def test_r8_3_beyond_the_horizon_since_reaches_back_into_the_history() -> None:
    blocked = policy(control(max_debt=5))
    older = compile(blocked, SERVICE, owing(10), 0).timeline
    present = compile(blocked, SERVICE, owing(9), DAY).timeline
    told = explain_ahead(case(blocked, SERVICE, owing(9)), present, 300 * DAY, [(older, DAY)])
    assert told.since == 0


def test_r8_3_what_comes_before_the_end_of_a_verdict_does_not_hide_it() -> None:
    fair = fup_policy("fair", {"levels": [{"gb": 1, "reduce": "1M/1M"}]}, check_attribute)
    found = replace(policy(), fup=fair, fup_scope="server")
    ends = replace(SERVICE, active_to=34 * DAY, timezone="UTC")
    told = explain("ali", compile(found, ends, owing(0), 0, (DayUsage(0, 0, 2 * 10**9, 0),)).timeline, 0)
    assert sentence(told).endswith(
        "until 1970-02-04T00:00:00Z, then deny (expire), meanwhile allow from 1970-02-01T00:00:00Z"
    )
