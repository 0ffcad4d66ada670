"""The overdue reminder (R5.1, R5.2, R5.4, R5.5) in the timeline, and that a live session is told nothing of it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.coa.plan import LiveSession, Nothing, Wanted, plan
from aaa.debit.compile import HORIZON, compile
from aaa.debit.controls.definitions import Definitions
from aaa.debit.controls.fup_policy import fup_policy
from aaa.debit.controls.overdue_policy import OverduePolicy
from aaa.debit.controls.suspend_policy import SuspendPolicy
from aaa.debit.explain import explain, sentence
from aaa.debit.policy import Policy
from aaa.debit.wording import figures_json
from aaa.domain.instant import iso
from aaa.domain.service import SERVER, Param, Service
from aaa.domain.settings import DEFAULTS, Settings
from aaa.domain.standing import Standing
from aaa.domain.timeline import Cause, Timeline, Verdict
from aaa.domain.usage import DayUsage
from tests.unit.debit import arrears
from tests.unit.debit.arrears import PORTAL, Facts, owing, policy
from tests.unit.debit.cases import DAY, SERVICE, check_attribute, control
from tests.unit.debit.suspensions import at

POLITE = OverduePolicy("polite", True, after=3, every=2, least=100)
DUE = at("2026-01-01T00:00:00+01:00")
BEGINS = at("2026-01-05T00:00:00+01:00")  # after the first day and three more
HERE = replace(SERVICE, timezone="Europe/Prague", currency="CZK")
OWED = owing((DUE, 300))


def timeline(
    standing: Standing = OWED, *, rules: Policy | None = None, service: Service = HERE, now: int = DUE
) -> Timeline:
    return compile(rules or policy(None, POLITE), service, standing, now).timeline


def due(found: Timeline) -> list[tuple[str, str]]:
    """From when to when a reminder is due."""
    reminding = [one for one in found.segments if one.reason is not None and one.reason.cause is Cause.OVERDUE]
    assert all(one.verdict is Verdict.ALLOW for one in reminding)
    return [(iso(one.start), iso(one.end)) for one in reminding]


def begins(found: Timeline) -> int | None:
    return next((one.start for one in found.segments if one.reason is not None), None)


# --- R5.1, R5.2: when it is due ---------------------------------------------------------------------------------------


def test_r5_2_it_begins_when_the_days_are_over_and_the_internet_stays_on() -> None:
    found = timeline()
    before, reminding = found.segments
    assert (before.verdict, before.reason) == (Verdict.ALLOW, None)
    assert (reminding.start, reminding.verdict, reminding.end) == (BEGINS, Verdict.ALLOW, found.horizon)
    assert reminding.profile == before.profile  # R5.5: nothing of it is in the Accept
    assert found.verdict_end(0) is None


@pytest.mark.parametrize(
    ("zone", "due_at", "expected"),
    [
        ("Europe/Prague", "2026-03-27T10:00:00+01:00", "2026-03-30T22:00:00Z"),  # over the night to summer time
        ("Africa/Cairo", "2026-04-20T10:00:00+02:00", "2026-04-23T22:00:00Z"),  # 24 April begins at 01:00
        ("America/Havana", "2026-10-28T00:00:00-04:00", "2026-11-01T04:00:00Z"),  # the first of two midnights
    ],
)
def test_r5_1_days_are_those_of_the_visp(zone: str, due_at: str, expected: str) -> None:
    found = timeline(owing((at(due_at), 300)), service=replace(HERE, timezone=zone), now=at(due_at))
    assert due(found)[0][0] == expected


@pytest.mark.parametrize(
    ("dues", "expected"),
    [
        ([(DUE, 99)], None),
        ([(DUE, 100)], BEGINS),  # reached
        ([(DUE, 99), (BEGINS, 1)], BEGINS + DAY),  # what is not overdue yet does not count
        ([(DUE + 60 * DAY, 500)], None),
        ([], None),
    ],
)
def test_r5_1_the_least_amount_is_reached(dues: list[tuple[int, int]], expected: int | None) -> None:
    assert begins(timeline(owing(*dues))) == expected


def test_r8_5_without_a_least_amount_who_owes_nothing_is_still_not_reminded() -> None:
    rules = policy(None, replace(POLITE, least=0, after=0))
    assert begins(timeline(owing(), rules=rules)) is None
    assert begins(timeline(owing((DUE, 1)), rules=rules)) == DUE + DAY


@pytest.mark.parametrize(
    ("rules", "service"),
    [
        (policy(None, replace(POLITE, on=False)), HERE),
        (policy(None, POLITE, settings=DEFAULTS), HERE),
        (policy(None, POLITE, settings=replace(PORTAL, mikrotik_nat_disable_users=False)), HERE),
        (policy(None, POLITE), replace(HERE, dont_show_overdue=True)),
    ],
)
def test_r5_1_r5_2_switched_off_nothing_is_due(rules: Policy, service: Service) -> None:
    assert begins(timeline(rules=rules, service=service)) is None


def test_r5_1_reminders_need_an_address_and_the_redirect() -> None:
    assert PORTAL.reminders and not DEFAULTS.reminders
    assert not Settings("203.0.113.5", mikrotik_nat_disable_users=False).reminders


def test_r5_1_automatic_suspension_need_not_be_on() -> None:
    rules = policy(SuspendPolicy("strict", on=False), POLITE)
    assert begins(timeline(rules=rules)) == BEGINS


def test_r7_8_a_promise_puts_it_off() -> None:
    promised = timeline(owing((DUE, 300), promise=BEGINS + 5 * DAY))
    assert begins(promised) == BEGINS + 5 * DAY
    assert begins(timeline(owing((DUE, 300), promise=BEGINS - 1))) == BEGINS
    later = owing((DUE, 300), (BEGINS, 50), promise=BEGINS + 5 * DAY)
    told = timeline(later).segments[-1].reason
    assert told is not None and dict(told.figures)["overdue"] == 350


# --- R5.4: the OK -----------------------------------------------------------------------------------------------------


def test_r5_4_an_ok_lifts_it_for_exactly_so_many_times_24_hours() -> None:
    confirmed = at("2026-03-28T15:00:00+01:00")  # the clocks change next night: 24 hours are no local day
    found = timeline(service=replace(HERE, acknowledged_at=confirmed), now=confirmed)
    assert due(found)[0][0] == iso(confirmed + 2 * DAY)
    assert found.at(confirmed + 2 * DAY - 1).reason is None


def test_r5_4_an_ok_to_an_older_debt_does_not_bring_the_first_day_forward() -> None:
    old = replace(HERE, acknowledged_at=BEGINS - 30 * DAY)
    assert begins(timeline(service=old)) == BEGINS
    recent = replace(HERE, acknowledged_at=BEGINS - DAY)
    assert begins(timeline(service=recent)) == BEGINS + DAY


def test_r5_4_before_the_ok_it_is_due() -> None:
    found = timeline(service=replace(HERE, acknowledged_at=BEGINS + DAY), now=BEGINS - DAY)
    assert due(found) == [
        (iso(BEGINS), iso(BEGINS + DAY)),
        (iso(BEGINS + 3 * DAY), iso(found.horizon)),
    ]


def test_r5_4_settled_it_is_over() -> None:
    confirmed = replace(HERE, acknowledged_at=BEGINS)
    assert begins(timeline(owing(), service=confirmed, now=BEGINS)) is None


# --- R3.4: the weakest of all -----------------------------------------------------------------------------------------


def test_r5_2_every_stronger_cause_hides_it() -> None:
    known = Definitions(controls={"home": control("home", max_delay=10 * 86_400)})
    rules = policy(SuspendPolicy("strict", True, 14), POLITE, Param(SERVER, "DebitControl", "home"), known=known)
    found = timeline(rules=rules)
    assert [(one.start, one.reason.cause if one.reason else None) for one in found.segments] == [
        (DUE, None),
        (BEGINS, Cause.OVERDUE),
        (DUE + 10 * DAY, Cause.DEBIT),
        (DUE + 15 * DAY, Cause.SUSPENDED),
    ]
    ended = replace(HERE, active_to=BEGINS + DAY)
    causes = [one.reason.cause for one in timeline(service=ended).segments if one.reason]
    assert causes == [Cause.OVERDUE, Cause.EXPIRE]


def test_r5_5_a_lower_rate_stays_while_it_reminds() -> None:
    fair = fup_policy("fair", {"levels": [{"gb": 1, "reduce": "5M/5M"}]}, check_attribute)
    rules = policy(None, POLITE, Param(SERVER, "FupPolicy", "fair"), known=Definitions(fup_policies={"fair": fair}))
    used = (DayUsage(DUE // DAY + 1, 0, 2 * 10**9, 60),)
    found = compile(rules, HERE, OWED, DUE + DAY, used).timeline
    causes = [(one.start, one.reason.cause if one.reason else None) for one in found.segments[:2]]
    assert causes == [(DUE + DAY, Cause.TRAFFIC), (BEGINS, Cause.OVERDUE)]
    assert found.segments[0].profile == found.segments[1].profile
    assert dict(found.segments[1].profile)["Mikrotik-Rate-Limit"] == "5M/5M"


# --- R8.3: what is told -----------------------------------------------------------------------------------------------


def test_r8_3_the_figures_and_the_words() -> None:
    found = timeline(owing((DUE, 30_000)), rules=policy(None, replace(POLITE, least=1_000)))
    told = explain("ali", found, BEGINS + DAY)
    assert told.reason is not None
    assert figures_json(told.reason) == {
        "policy": "polite",
        "currency": "CZK",
        "overdue": 30_000,
        "oldest_due_at": "2025-12-31T23:00:00Z",
        "after_days": 3,
        "least": 1_000,
        "every_days": 2,
    }
    assert (told.verdict, told.reason.cause, told.reason.scope) == (Verdict.ALLOW, Cause.OVERDUE, "server")
    assert sentence(told) == (
        "ali at 2026-01-05T23:00:00Z: allow, a reminder is due because overdue 300.00 CZK has reached 10.00 CZK, "
        "unpaid more than 3 days after 2025-12-31T23:00:00Z (polite, server), since 2026-01-04T23:00:00Z, "
        "no end in sight"
    )
    calm = explain("ali", found, DUE)
    assert sentence(calm).endswith("allow, since 2025-12-31T23:00:00Z, no end in sight, then allow (overdue) from "
                                   "2026-01-04T23:00:00Z")  # fmt: skip


def test_r8_3_the_words_without_a_least_amount_and_with_a_promise() -> None:
    found = timeline(owing((DUE, 30_000), promise=BEGINS + DAY), rules=policy(None, replace(POLITE, least=0, after=1)))
    assert (
        "because overdue 300.00 CZK is unpaid more than 1 day after 2025-12-31T23:00:00Z, "
        "promised until 2026-01-05T23:00:00Z (polite, server)"
    ) in sentence(explain("ali", found, BEGINS + 2 * DAY))


# --- R5.5: a live session is told nothing ----------------------------------------------------------------------------


def wanted(found: Timeline, instant: int) -> Wanted:
    index = found.index_at(instant)
    segment = found.segments[index]
    return Wanted(segment.verdict, segment.profile, 0, found.verdict_end(index))


@pytest.mark.parametrize("ppp", [True, False])
@pytest.mark.parametrize("ends", [None, BEGINS + 20 * DAY])
def test_r5_5_no_router_is_told_of_its_beginning_or_end(ppp: bool, ends: int | None) -> None:
    service = replace(HERE, active_to=ends)
    before = timeline(service=service)
    acknowledged = timeline(service=replace(service, acknowledged_at=BEGINS + DAY), now=BEGINS + DAY)
    moments = [(before, DUE), (before, BEGINS), (acknowledged, BEGINS + DAY), (acknowledged, BEGINS + 3 * DAY)]
    reasons = [found.at(instant).reason is not None for found, instant in moments]
    assert reasons == [False, True, False, True]
    asked = wanted(*moments[0])
    live = LiveSession(1, DUE, ppp, asked.profile, 0, asked.end)
    for found, instant in moments:
        assert wanted(found, instant) == asked  # and so the Session-Timeout of a login is the same
        assert plan(live, wanted(found, instant), "from_start", instant) == Nothing()


# --- what always holds -----------------------------------------------------------------------------------------------


@given(arrears.facts, arrears.instants(), st.lists(st.integers(0, HORIZON - 1), max_size=6))
def test_r5_2_every_instant_agrees_with_the_naive_evaluator(facts: Facts, now: int, offsets: list[int]) -> None:
    found = facts.timeline(now)
    edges = [one.start + off for one in found.segments for off in (-1, 0, 1) if one.start > now]
    for instant in (now, *(now + offset for offset in offsets), *edges):
        reason = found.at(instant).reason
        told = reason is not None and reason.cause is Cause.OVERDUE
        assert told is (arrears.reminded(facts, instant) and not arrears.non_payer(facts, instant)), iso(instant)


@given(arrears.facts, arrears.instants())
def test_r5_5_with_or_without_a_reminder_every_verdict_and_profile_is_the_same(facts: Facts, now: int) -> None:
    without = replace(facts, overdue=replace(facts.overdue, on=False)).timeline(now)
    found = facts.timeline(now)
    for index, one in enumerate(found.segments):
        other = without.index_at(one.start)
        assert (one.verdict, one.profile) == (without.segments[other].verdict, without.segments[other].profile)
        assert found.verdict_end(index) == without.verdict_end(other)
