"""Automatic suspension of who does not pay (R4.5 to R4.9), in the timeline."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.debit.compile import HORIZON, compile
from aaa.debit.controls.definitions import Definitions
from aaa.debit.controls.suspend_policy import Match, SuspendPolicy
from aaa.debit.explain import explain, sentence
from aaa.debit.wording import figures_json, why
from aaa.domain.instant import iso
from aaa.domain.service import SERVER, Level, Param, Scope
from aaa.domain.standing import Standing
from aaa.domain.suspension import Suspension
from aaa.domain.timeline import Cause, Reason, Timeline, Verdict
from tests.unit.debit import arrears
from tests.unit.debit.arrears import Facts, owing, policy
from tests.unit.debit.cases import DAY, SERVICE, control, rule
from tests.unit.debit.suspensions import at

STRICT = SuspendPolicy("strict", True, 14)
NOW = at("2026-01-05T12:00:00+01:00")
DUE = at("2026-01-01T00:00:00+01:00")  # a local midnight, as `ledgate charge --due 2026-01-01` has it
HERE = replace(SERVICE, timezone="Europe/Prague", currency="CZK")


def timeline(rules: SuspendPolicy, standing: Standing, *, now: int = NOW, exempt: int | None = None) -> Timeline:
    return compile(policy(rules), replace(HERE, exempt_until=exempt), standing, now).timeline


def cut(found: Timeline) -> tuple[str, Reason] | None:
    """When the service is suspended, and why."""
    for one in found.segments:
        if one.reason is not None:
            assert (one.verdict, one.reason.cause, one.end) == (Verdict.DENY, Cause.SUSPENDED, found.horizon)
            return iso(one.start), one.reason
    return None


# --- R4.7: days of the VISP -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "due", "days", "expected"),
    [
        ("Europe/Prague", "2026-01-01T00:00:00+01:00", 14, "2026-01-15T23:00:00Z"),
        ("Europe/Prague", "2026-01-01T23:59:59+01:00", 14, "2026-01-15T23:00:00Z"),
        ("Europe/Prague", "2026-01-01T12:00:00+01:00", 0, "2026-01-01T23:00:00Z"),
        ("Europe/Prague", "2026-03-20T00:00:00+01:00", 14, "2026-04-03T22:00:00Z"),  # clocks went forward
        ("Europe/Prague", "2026-10-20T00:00:00+02:00", 14, "2026-11-03T23:00:00Z"),  # and back
        ("Asia/Tehran", "2026-01-01T00:00:00+01:00", 14, "2026-01-15T20:30:00Z"),
        ("Africa/Cairo", "2026-04-20T00:00:00+02:00", 3, "2026-04-23T22:00:00Z"),  # 24 April begins at 01:00
        ("America/Havana", "2026-10-30T00:00:00-04:00", 1, "2026-11-01T04:00:00Z"),  # its midnight comes twice
    ],
)
def test_r4_7_cut_at_the_midnight_after_the_last_day_to_pay(zone: str, due: str, days: int, expected: str) -> None:
    now = at(due) - DAY
    service = replace(SERVICE, timezone=zone, currency="CZK")
    found = compile(policy(replace(STRICT, days=days)), service, owing((at(due), 1)), now).timeline
    assert cut(found) is not None and cut(found)[0] == expected  # type: ignore[index]
    midnight = at(expected)
    assert found.at(midnight - 1).verdict is Verdict.ALLOW
    assert found.at(midnight).verdict is Verdict.DENY


def test_r4_6_what_is_not_yet_due_never_counts() -> None:
    assert cut(timeline(replace(STRICT, days=0), owing((NOW + 40 * DAY, 500)))) is None
    any_amount = replace(STRICT, least=100, match="any")
    assert cut(timeline(any_amount, owing((NOW + 40 * DAY, 500)))) is None
    # on its due day a charge is not overdue yet either
    assert cut(timeline(any_amount, owing((at("2026-01-05T08:00:00+01:00"), 500))))[0] == "2026-01-05T23:00:00Z"  # type: ignore[index]


# --- R4.6: days and amount --------------------------------------------------------------------------------------------

FIRST, SECOND = (DUE, 300), (at("2026-01-20T00:00:00+01:00"), 200)
BY_DAYS, BY_AMOUNT = "2026-01-15T23:00:00Z", "2026-01-20T23:00:00Z"


@pytest.mark.parametrize(
    ("match", "least", "expected"),
    [
        ("all", None, (BY_DAYS, "days", 300)),
        ("any", None, (BY_DAYS, "days", 300)),
        ("all", 0, (BY_DAYS, "both", 300)),
        ("all", 299, (BY_DAYS, "both", 300)),
        ("all", 300, (BY_AMOUNT, "both", 500)),  # exceeded, not reached
        ("all", 499, (BY_AMOUNT, "both", 500)),
        ("all", 500, None),
        ("any", 299, ("2026-01-01T23:00:00Z", "amount", 300)),
        ("any", 300, (BY_DAYS, "days", 300)),
        ("any", 500, (BY_DAYS, "days", 300)),
    ],
)
def test_r4_6_all_needs_both_and_any_the_first(
    match: Match, least: int | None, expected: tuple[str, str, int] | None
) -> None:
    rules = replace(STRICT, match=match, least=least)
    found = cut(timeline(rules, owing(FIRST, SECOND), now=DUE - DAY))
    if expected is None:
        assert found is None
        return
    assert found is not None
    figures = dict(found[1].figures)
    assert (found[0], figures["limit"], figures["overdue"]) == expected


def test_r4_6_any_counts_days_where_the_amount_never_comes_or_comes_later() -> None:
    rules = replace(STRICT, match="any", least=400)
    found = cut(timeline(rules, owing(FIRST, SECOND), now=DUE))
    assert found is not None and (found[0], dict(found[1].figures)["limit"]) == (BY_DAYS, "days")


def test_r4_6_the_figures_leave_out_what_is_due_on_the_very_day() -> None:
    found = cut(timeline(STRICT, owing(FIRST, (at(BY_DAYS) - 1, 20), (at(BY_DAYS), 200))))
    assert found is not None and (found[0], dict(found[1].figures)["overdue"]) == (BY_DAYS, 320)


# --- R4.5, R4.8, R4.9, R7.8, R8.5: switches and delays ----------------------------------------------------------------


def test_r4_8_switched_off_it_is_gone_and_switched_on_it_is_back() -> None:
    owed = owing(FIRST)
    on = timeline(STRICT, owed, now=DUE + 20 * DAY)
    assert on.segments[0].verdict is Verdict.DENY
    assert timeline(replace(STRICT, on=False), owed, now=DUE + 20 * DAY).segments[0].verdict is Verdict.ALLOW
    assert timeline(STRICT, owed, now=DUE + 21 * DAY).agrees_with(on, DUE + 21 * DAY)


def test_r8_5_who_owes_nothing_is_not_suspended() -> None:
    rules = replace(STRICT, days=0, least=0, match="any")
    assert cut(timeline(rules, owing())) is None
    assert cut(timeline(rules, replace(owing(), credit=500))) is None


@pytest.mark.parametrize(
    ("promise", "exempt", "expected", "delays"),
    [
        (None, "2026-01-20", "2026-01-20", {"exempt_until_at"}),
        ("2026-01-20", None, "2026-01-20", {"promise_until_at"}),
        ("2026-01-20", "2026-01-25", "2026-01-25", {"promise_until_at", "exempt_until_at"}),
        ("2026-01-25", "2026-01-20", "2026-01-25", {"promise_until_at"}),
        ("2026-01-03", "2026-01-04", "2026-01-16", set()),  # over before it began
    ],
)
def test_r4_9_r7_8_an_exemption_and_a_promise_put_it_off(
    promise: str | None, exempt: str | None, expected: str, delays: set[str]
) -> None:
    def midnight(text: str | None) -> int | None:
        return None if text is None else at(f"{text}T00:00:00+01:00")

    found = cut(timeline(STRICT, owing(FIRST, promise=midnight(promise)), exempt=midnight(exempt)))
    assert found is not None
    assert found[0] == iso(at(f"{expected}T00:00:00+01:00"))
    assert set(dict(found[1].figures)) & {"promise_until_at", "exempt_until_at"} == delays


def test_r4_9_the_figures_are_those_of_the_end_of_the_exemption() -> None:
    found = cut(timeline(STRICT, owing(FIRST, SECOND), exempt=at("2026-01-25T00:00:00+01:00")))
    assert found is not None and dict(found[1].figures)["overdue"] == 500


def test_r4_9_an_exemption_does_not_hold_against_debit_or_a_hand() -> None:
    known = Definitions(controls={"home": control("home", max_debt=100)})
    rules = policy(STRICT, None, Param(SERVER, "DebitControl", "home"), known=known)
    exempted = replace(HERE, exempt_until=NOW + 20 * DAY)
    found = compile(rules, exempted, owing(FIRST), NOW).timeline
    assert [one.reason.cause for one in found.segments if one.reason] == [Cause.DEBIT, Cause.SUSPENDED]
    by_hand = replace(exempted, suspensions=(Suspension("not_set", NOW, NOW + DAY),))
    found = compile(policy(STRICT), by_hand, owing(FIRST), NOW).timeline
    assert found.segments[0].reason is not None and dict(found.segments[0].reason.figures)["reason"] == "not_set"


# --- R3.1, R3.4, R4.4, R4.8: its place among the causes --------------------------------------------------------------


def test_r4_8_it_gets_what_the_rule_has_for_non_payer() -> None:
    actions = {"non_payer": {"restrict": {"address_list": "pay"}}, "*": "deny"}
    known = Definitions(finish_rules={"garden": rule(suspended=actions)})
    found = policy(STRICT, None, Param(SERVER, "FinishRule", "garden"), known=known)
    segment = compile(found, HERE, owing(FIRST), DUE + 20 * DAY).timeline.segments[0]
    assert segment.verdict is Verdict.RESTRICT
    assert dict(segment.profile)["Mikrotik-Address-List"] == "pay"


def test_r3_4_it_is_stronger_than_debit_and_a_hand_comes_before_it() -> None:
    known = Definitions(controls={"home": control("home", max_debt=0)})
    rules = policy(STRICT, None, Param(SERVER, "DebitControl", "home"), known=known)
    begins = at(BY_DAYS)
    by_hand = replace(HERE, suspensions=(Suspension("profile1", begins + DAY, begins + 2 * DAY),))
    found = compile(rules, by_hand, owing(FIRST), NOW).timeline
    told = [(one.start, why(one.reason).split(",")[0].split(":")[0]) for one in found.segments if one.reason]
    assert told == [
        (NOW, "debt 3.00 CZK has reached the limit of 0.00 CZK (home"),
        (begins, "non-payer"),
        (begins + DAY, "an operator suspended it"),
        (begins + 2 * DAY, "non-payer"),
    ]


def test_r1_3_the_scope_it_came_from_is_told() -> None:
    known = Definitions(suspend_policies={"strict": STRICT, "mild": replace(STRICT, name="mild", days=20)})
    visp = Scope(Level.VISP, "brno")
    found = compile(
        policy(None, None, Param(SERVER, "SuspendPolicy", "strict"), Param(visp, "SuspendPolicy", "mild"), known=known),
        HERE,
        owing(FIRST),
        NOW,
    ).timeline
    told = cut(found)
    assert told is not None and (told[0], told[1].scope) == ("2026-01-21T23:00:00Z", "visp:brno")


# --- R8.3: what is told -----------------------------------------------------------------------------------------------


def test_r8_3_the_figures() -> None:
    found = cut(timeline(replace(STRICT, least=100), owing(FIRST)))
    assert found is not None
    assert figures_json(found[1]) == {
        "reason": "non_payer",
        "policy": "strict",
        "currency": "CZK",
        "overdue": 300,
        "oldest_due_at": "2025-12-31T23:00:00Z",
        "limit": "both",
        "days": 14,
        "least": 100,
    }


@pytest.mark.parametrize(
    ("changes", "promise", "expected"),
    [
        ({}, None, "overdue 300.00 CZK is unpaid more than 14 days after 2025-12-31T23:00:00Z"),
        ({"days": 1}, None, "overdue 300.00 CZK is unpaid more than 1 day after 2025-12-31T23:00:00Z"),
        (
            {"least": 29_900},
            None,
            "overdue 300.00 CZK is above 299.00 CZK, unpaid more than 14 days after 2025-12-31T23:00:00Z",
        ),
        ({"least": 29_900, "match": "any"}, None, "overdue 300.00 CZK is above 299.00 CZK"),
        (
            {},
            DUE + 20 * DAY,
            "overdue 300.00 CZK is unpaid more than 14 days after 2025-12-31T23:00:00Z, "
            "promised until 2026-01-20T23:00:00Z",
        ),
    ],
)
def test_r8_3_the_words(changes: dict[str, int | Match], promise: int | None, expected: str) -> None:
    rules = replace(STRICT, **changes)  # type: ignore[arg-type]
    found = timeline(rules, owing((DUE, 30_000), promise=promise))
    told = cut(found)
    assert told is not None
    assert why(told[1]) == f"non-payer: {expected} (strict, server)"
    assert sentence(explain("ali", found, at("2026-01-25T00:00:00+00:00"))).startswith(
        "ali at 2026-01-25T00:00:00Z: deny because non-payer: "
    )


# --- what always holds -----------------------------------------------------------------------------------------------


def suspended(found: Timeline, instant: int) -> bool:
    reason = found.at(instant).reason
    return reason is not None and reason.cause is Cause.SUSPENDED


@given(arrears.facts, arrears.instants(), st.lists(st.integers(0, HORIZON - 1), max_size=6))
def test_r4_6_every_instant_agrees_with_the_naive_evaluator(facts: Facts, now: int, offsets: list[int]) -> None:
    found = facts.timeline(now)
    edges = [one.start + off for one in found.segments for off in (-1, 0, 1) if one.start > now]
    for instant in (now, *(now + offset for offset in offsets), *edges):
        assert suspended(found, instant) is arrears.non_payer(facts, instant), iso(instant)


@given(arrears.facts, arrears.instants(), st.integers(0, HORIZON - 1))
def test_r8_1_a_later_compile_of_the_same_facts_agrees(facts: Facts, now: int, passed: int) -> None:
    stored = facts.timeline(now)
    assert facts.timeline(now + passed).agrees_with(stored, now + passed)
    for before, after in pairwise(stored.segments):
        assert before.end == after.start and not before.same_step(after)


@given(arrears.facts, arrears.instants(), st.integers(0, HORIZON - 1), st.data())
def test_r8_5_paying_never_suspends_and_paying_all_always_lifts(
    facts: Facts, now: int, offset: int, data: st.DataObject
) -> None:
    left = data.draw(st.integers(0, facts.standing.debt))
    dues, taken = [], facts.standing.debt - left
    for due in facts.standing.dues:
        covered = min(taken, due.remaining)
        taken -= covered
        if due.remaining > covered:
            dues.append((due.due_at, due.remaining - covered))
    paid = replace(facts, standing=owing(*dues, promise=facts.standing.promise_until))
    after = suspended(paid.timeline(now), now + offset)
    assert not after or suspended(facts.timeline(now), now + offset)
    assert left or not after
