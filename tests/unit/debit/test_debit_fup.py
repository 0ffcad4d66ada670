"""FUP: the form of its policies, which level is in force and what it brings, and what accounting watches for (R6)."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.debit.compile import HORIZON, Compiled, compile
from aaa.debit.controls.definitions import FUP_POLICY, KINDS, Definitions
from aaa.debit.controls.fields import BadControl
from aaa.debit.controls.fup_policy import FupLevel, FupPolicy, fup_policy
from aaa.debit.policy import Policy, resolve_policy
from aaa.debit.rules.fup import in_gigabytes
from aaa.debit.wording import why
from aaa.domain.billing_period import midnight, period_of
from aaa.domain.instant import iso
from aaa.domain.local_day import local_day
from aaa.domain.service import SERVER, Param, Service
from aaa.domain.timeline import Cause, Reason, Segment, Timeline, Verdict
from aaa.domain.usage import DayUsage, Threshold, used
from tests.unit.debit.cases import DAY, SERVICE, check_attribute, owing, rule
from tests.unit.debit.suspensions import at

GB = 10**9
TODAY = (date(2026, 11, 24) - date(1970, 1, 1)).days
NOW = at("2026-11-24T08:30:00+00:00")
FAIR = {"levels": [{"gb": 100, "reduce": "5M/5M"}, {"gb": 200, "suspend": True}]}
PLAN = (("Framed-Pool", "pool1"), ("Idle-Timeout", 60), ("Mikrotik-Rate-Limit", "20M/20M"))
PRAGUE = replace(SERVICE, timezone="Europe/Prague")


def read(value: object) -> FupPolicy:
    return fup_policy("fair", value, check_attribute, "fup_policies[0]")


def policy(
    value: object, *params: Param, finish: object = None, plan: tuple[tuple[str, int | str], ...] = PLAN
) -> Policy:
    """The policy of a service with this FupPolicy, set on the server."""
    found = [Param(SERVER, FUP_POLICY, "fair"), *params]
    rules = {}
    if finish is not None:
        rules["garden"] = rule("garden", traffic=finish, time=finish)
        found.append(Param(SERVER, "FinishRule", "garden"))
    known = Definitions(finish_rules=rules, fup_policies={"fair": read(value)})
    return resolve_policy(found, known, currency="IRR", plan="home20", plan_reply=plan)


def day(up: int = 0, down: int = 0, seconds: int = 0, day: int = TODAY) -> DayUsage:
    return DayUsage(day, up, down, seconds)


def compiled(found: Policy, *usage: DayUsage, service: Service = SERVICE, now: int = NOW) -> Compiled:
    return compile(found, service, owing(0), now, usage)


def shape(found: Timeline) -> list[tuple[str, Verdict, Cause | None]]:
    return [(iso(one.start), one.verdict, one.reason.cause if one.reason else None) for one in found.segments]


def first(found: Policy, *usage: DayUsage, service: Service = SERVICE) -> Segment:
    return compiled(found, *usage, service=service).timeline.segments[0]


# --- R6.1: the policy's form -----------------------------------------------------------------------------------------


def test_r6_1_a_policy_from_json_and_back() -> None:
    value = {
        "direction": "download",
        "levels": [
            {"gb": 0.5, "reduce": "5M/5M"},
            {"gb": 20, "direction": "upload", "reduce": "1M/1M"},
            {"gb": 30, "direction": "download", "reduce": "512k/512k"},
            {"hours": 200, "suspend": True},
        ],
    }
    found = read(value)
    assert found.levels == (
        FupLevel(500, None, "download", "5M/5M"),
        FupLevel(20_000, None, "upload", "1M/1M", True),
        FupLevel(30_000, None, "download", "512k/512k", True),
        FupLevel(None, 200, "download", None),
    )
    assert found.to_json() == value
    assert read(found.to_json()) == found


def test_r6_1_the_policy_s_direction_counts_for_levels_without_one_of_their_own() -> None:
    stored = read({"levels": [{"gb": 1, "reduce": "a"}, {"gb": 2, "direction": "total", "suspend": True}]}).to_json()
    merged = KINDS[FUP_POLICY].merged(stored, {"direction": "upload"})
    assert [level.direction for level in read(merged).levels] == ["upload", "total"]


@pytest.mark.parametrize("limit", [0.001, 1, 7.25, 999_999.999, 1_000_000])
def test_r6_1_gigabytes_have_three_decimals(limit: float) -> None:
    [level] = read({"levels": [{"gb": limit, "suspend": True}]}).levels
    assert level.thousandths == round(limit * 1000)
    assert level.to_json()["gb"] == limit


@pytest.mark.parametrize(
    ("level", "path", "message"),
    [
        ([], "", "must be an object"),
        ({"gb": 1, "rate": "1M", "suspend": True}, ".rate", "unknown key; known are gb, hours"),
        ({"suspend": True}, "", "needs either gb or hours"),
        ({"gb": 1, "hours": 1, "suspend": True}, "", "needs either gb or hours"),
        ({"gb": 1}, "", "needs either reduce or suspend"),
        ({"gb": 1, "suspend": False}, "", "needs either reduce or suspend"),
        ({"gb": 1, "suspend": 1}, ".suspend", "must be true or false"),
        ({"gb": 1, "suspend": True, "reduce": "1M"}, "", "needs either reduce or suspend"),
        ({"gb": 1, "suspend": "yes"}, ".suspend", "must be true or false"),
        ({"gb": 1, "reduce": 5}, ".reduce", "must be a rate limit such as 5M/5M"),
        ({"gb": 0, "suspend": True}, ".gb", "must be a number above 0, at most 1000000"),
        ({"gb": -1, "suspend": True}, ".gb", "must be a number above 0"),
        ({"gb": 1_000_001, "suspend": True}, ".gb", "must be a number above 0"),
        ({"gb": float("nan"), "suspend": True}, ".gb", "must be a number above 0"),
        ({"gb": float("inf"), "suspend": True}, ".gb", "must be a number above 0"),
        ({"gb": True, "suspend": True}, ".gb", "must be a number above 0"),
        ({"gb": "1", "suspend": True}, ".gb", "must be a number above 0"),
        ({"gb": 0.0001, "suspend": True}, ".gb", "must have at most three decimals"),
        ({"hours": 0, "suspend": True}, ".hours", "must be an integer from 1 to 744"),
        ({"hours": 745, "suspend": True}, ".hours", "must be an integer from 1 to 744"),
        ({"hours": 1, "direction": "upload", "suspend": True}, ".direction", "has no meaning with hours"),
        (
            {"gb": 1, "direction": "both", "suspend": True},
            ".direction",
            "must be total, download or upload, not 'both'",
        ),
    ],
)
def test_r6_1_a_bad_level_is_refused_with_its_path(level: object, path: str, message: str) -> None:
    with pytest.raises(BadControl) as caught:
        read({"levels": [{"gb": 0.001, "reduce": "9M"}, level]})
    assert caught.value.path == f"fup_policies[0].levels[1]{path}"
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({}, ".levels", "must be a list of 1 to 4 levels"),
        ({"levels": []}, ".levels", "must be a list of 1 to 4 levels"),
        ({"levels": [{"gb": n, "suspend": True} for n in range(1, 6)]}, ".levels", "must be a list of 1 to 4 levels"),
        ({"levels": [{"gb": 1, "suspend": True}], "direction": 1}, ".direction", "must be total, download or upload"),
        ({"levels": [{"gb": 2, "reduce": "1M"}, {"gb": 2, "suspend": True}]}, ".levels[1]", "must have a higher limit"),
        ({"levels": [{"hours": 2, "suspend": True}, {"gb": 9, "reduce": "1M"}]}, ".levels[1]", "must suspend"),
        (
            {"levels": [{"hours": 9, "reduce": "1M"}, {"gb": 1, "reduce": "1M"}, {"hours": 8, "suspend": True}]},
            ".levels[2]",
            "must have a higher limit",
        ),
        (
            {
                "direction": "upload",
                "levels": [{"gb": 2, "reduce": "1M"}, {"gb": 1, "direction": "upload", "suspend": True}],
            },
            ".levels[1]",
            "must have a higher limit",
        ),
    ],
)
def test_r6_1_a_bad_policy_is_refused_with_its_path(value: object, path: str, message: str) -> None:
    with pytest.raises(BadControl) as caught:
        read(value)
    assert caught.value.path == f"fup_policies[0]{path}"
    assert caught.value.message.startswith(message)


def test_r6_1_a_rate_that_no_reply_can_carry_is_refused_with_its_path() -> None:
    def refuse(name: str, value: object) -> None:
        raise ValueError(f"{name}: too long")

    with pytest.raises(BadControl) as caught:
        fup_policy("x", {"levels": [{"gb": 1, "reduce": "9" * 300}]}, refuse, "p")
    assert str(caught.value) == "p.levels[0].reduce: Mikrotik-Rate-Limit: too long"


def test_r6_1_limits_of_two_kinds_are_in_any_order() -> None:
    mixed = [{"gb": 50, "reduce": "1M"}, {"gb": 10, "direction": "upload", "suspend": True}]
    assert len(read({"levels": mixed}).levels) == 2


# --- R6.1: the level in force ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "level"), [(0, None), (100 * GB, None), (100 * GB + 1, 1), (200 * GB, 1), (200 * GB + 1, 2), (10**15, 2)]
)
def test_r6_1_the_highest_level_that_is_exceeded_by_an_octet(octets: int, level: int | None) -> None:
    here = first(policy(FAIR), day(octets // 3, octets - octets // 3))
    assert (dict(here.reason.figures)["level"] if here.reason else None) == level


@pytest.mark.parametrize(
    ("direction", "over"),
    [("total", (True, True, True)), ("download", (False, True, False)), ("upload", (True, False, False))],
)
def test_r6_1_directions(direction: str, over: tuple[bool, ...]) -> None:
    found = policy({"direction": direction, "levels": [{"gb": 1, "suspend": True}]})
    uses = (day(GB + 1, 0), day(0, GB + 1), day(GB // 2 + 1, GB // 2))
    assert tuple(first(found, one).reason is not None for one in uses) == over


def test_r6_1_a_higher_level_of_another_kind_counts_though_a_lower_one_is_not_exceeded() -> None:
    levels = [{"gb": 50, "reduce": "1M/1M"}, {"gb": 10, "direction": "upload", "reduce": "2M/2M"}]
    found = policy({"levels": levels})
    assert dict(first(found, day(up=11 * GB)).profile)["Mikrotik-Rate-Limit"] == "2M/2M"
    assert dict(first(found, day(down=51 * GB)).profile)["Mikrotik-Rate-Limit"] == "1M/1M"
    assert dict(first(found, day(11 * GB, 51 * GB)).profile)["Mikrotik-Rate-Limit"] == "2M/2M"


@pytest.mark.parametrize(("gigabyte", "limit"), [(None, 1_500_000_000), (10**9, 1_500_000_000), (2**30, 1_610_612_736)])
def test_r1_4_a_gigabyte_is_what_the_param_says(gigabyte: int | None, limit: int) -> None:
    params = [] if gigabyte is None else [Param(SERVER, "gigabyte", gigabyte)]
    found = policy({"levels": [{"gb": 1.5, "suspend": True}]}, *params)
    assert first(found, day(down=limit)).reason is None
    assert first(found, day(down=limit + 1)).reason is not None


def test_r1_4_a_thousandth_of_2_to_the_30_is_no_whole_number_of_octets() -> None:
    found = policy({"levels": [{"gb": 0.001, "suspend": True}]}, Param(SERVER, "gigabyte", 2**30))
    assert 2**30 / 1000 == 1_073_741.824
    assert first(found, day(down=1_073_741)).reason is None
    assert first(found, day(down=1_073_742)).reason is not None


def test_r6_1_reduce_leaves_the_internet_on_and_changes_the_rate_only() -> None:
    found = policy(FAIR)
    for static_ip in (None, "192.0.2.7"):
        service = replace(SERVICE, static_ip=static_ip)
        before, after = first(found, service=service), first(found, day(down=101 * GB), service=service)
        assert after.verdict is Verdict.ALLOW
        assert dict(before.profile) | {"Mikrotik-Rate-Limit": "5M/5M"} == dict(after.profile)
        assert list(after.profile) == sorted(after.profile)
        assert ("Framed-IP-Address", "192.0.2.7") in after.profile or static_ip is None


@pytest.mark.parametrize(
    "plan", [(), (("Framed-IP-Address", "198.51.100.1"),), (("Mikrotik-Rate-Limit", ("1M", "2M")), ("Zone", "a"))]
)
@pytest.mark.parametrize("static_ip", [None, "192.0.2.7"])
def test_r6_1_reduce_on_a_plan_without_a_rate_or_with_an_address(
    plan: tuple[tuple[str, str], ...], static_ip: str
) -> None:
    found, service = policy(FAIR, plan=plan), replace(SERVICE, static_ip=static_ip)
    before, after = first(found, service=service), first(found, day(down=101 * GB), service=service)
    assert dict(before.profile) | {"Mikrotik-Rate-Limit": "5M/5M"} == dict(after.profile)
    assert list(after.profile) == sorted(after.profile)


@pytest.mark.parametrize(
    ("level", "use", "cause"), [({"gb": 1}, day(GB, 1), "traffic"), ({"hours": 1}, day(0, 0, 3601), "time")]
)
def test_r6_3_suspend_blocks_by_the_finish_rule(level: dict[str, int], use: DayUsage, cause: str) -> None:
    value = {"levels": [level | {"suspend": True}]}
    garden = first(policy(value, finish={"restrict": {"address_list": "used-up"}}), use)
    assert (garden.verdict, dict(garden.profile)["Mikrotik-Address-List"]) == (Verdict.RESTRICT, "used-up")
    bare = first(policy(value), use)
    assert (bare.verdict, bare.profile) == (Verdict.DENY, ())
    for here in (garden, bare):
        assert here.reason is not None and here.reason.cause == Cause(cause)


def test_r6_1_an_hour_online_is_exceeded_by_a_second() -> None:
    found = policy({"levels": [{"hours": 2, "reduce": "1M/1M"}]})
    assert first(found, day(seconds=7200)).reason is None
    over = first(found, day(seconds=7201)).reason
    assert over is not None and over.cause is Cause.TIME


def test_r3_4_what_blocks_is_stronger_than_a_level_that_reduces() -> None:
    ended = replace(SERVICE, active_to=NOW - 1)
    here = first(policy(FAIR), day(down=101 * GB), service=ended)
    assert here.reason is not None and here.reason.cause is Cause.EXPIRE


# --- R6.2: periods ---------------------------------------------------------------------------------------------------


def test_r6_2_a_level_holds_to_the_period_s_end_and_only_this_period_s_use_counts() -> None:
    service = replace(PRAGUE, billing_day=15)
    found = policy(FAIR)
    kept = day(down=101 * GB, day=TODAY - 9)  # 15 November
    assert shape(compiled(found, kept, service=service).timeline) == [
        (iso(NOW), Verdict.ALLOW, Cause.TRAFFIC),
        ("2026-12-14T23:00:00Z", Verdict.ALLOW, None),
    ]
    before = day(down=101 * GB, day=TODAY - 10)
    assert shape(compiled(found, before, service=service).timeline) == [(iso(NOW), Verdict.ALLOW, None)]


def test_r6_2_use_that_is_dated_ahead_counts_in_its_own_period() -> None:
    ahead = day(down=101 * GB, day=TODAY + 7)  # 1 December: a router's clock is ahead
    assert shape(compiled(policy(FAIR), ahead, service=PRAGUE).timeline) == [
        (iso(NOW), Verdict.ALLOW, None),
        ("2026-11-30T23:00:00Z", Verdict.ALLOW, Cause.TRAFFIC),
    ]


@pytest.mark.parametrize(
    ("zone", "now", "billing_day", "reset"),
    [
        ("Africa/Cairo", "2026-04-20T00:00:00+00:00", 24, "2026-04-23T22:00:00Z"),  # there is no midnight
        ("America/Havana", "2026-10-20T00:00:00+00:00", 1, "2026-11-01T04:00:00Z"),  # it comes twice
        ("Europe/Prague", "2026-03-20T00:00:00+00:00", 30, "2026-03-29T22:00:00Z"),
        ("Asia/Tehran", "2026-02-20T00:00:00+00:00", 31, "2026-02-27T20:30:00Z"),  # no 31st: the 28th
    ],
)
def test_r6_2_counters_start_anew_at_local_midnight(zone: str, now: str, billing_day: int, reset: str) -> None:
    instant, service = at(now), replace(SERVICE, timezone=zone, billing_day=billing_day)
    use = day(down=201 * GB, day=local_day(instant, zone))
    found = compiled(policy(FAIR), use, service=service, now=instant).timeline
    assert shape(found) == [(iso(instant), Verdict.DENY, Cause.TRAFFIC), (reset, Verdict.ALLOW, None)]


# --- R6.3: what accounting watches for -------------------------------------------------------------------------------

NOVEMBER, DECEMBER = (TODAY - 23, TODAY + 7), (TODAY + 7, TODAY + 38)


@pytest.mark.parametrize(
    ("gigabytes", "limits"), [(0, [("total", 100)]), (100, [("total", 100)]), (101, [("total", 200)]), (201, [])]
)
def test_r6_3_the_next_level_of_this_period_and_the_first_of_the_next(
    gigabytes: int, limits: list[tuple[str, int]]
) -> None:
    found = compiled(policy(FAIR), day(down=gigabytes * GB), service=PRAGUE).thresholds
    assert [(one.kind, one.more_than // GB) for one in found if one[1:3] == NOVEMBER] == limits
    assert [one for one in found if one[1:3] != NOVEMBER] == [Threshold("total", *DECEMBER, 100 * GB)]


def test_r6_3_each_kind_above_the_level_in_force_is_watched() -> None:
    levels = [
        {"gb": 1, "reduce": "5M"},
        {"hours": 10, "reduce": "4M"},
        {"gb": 1, "direction": "upload", "reduce": "3M"},
        {"gb": 9, "suspend": True},
    ]

    def watched(*usage: DayUsage) -> dict[str, int]:
        found = compiled(policy({"levels": levels}), *usage, service=PRAGUE).thresholds
        return {one.kind: one.more_than for one in found if one.since_day == NOVEMBER[0]}

    assert watched() == {"seconds": 36_000, "total": GB, "upload": GB}
    assert watched(day(seconds=36_001)) == {"total": 9 * GB, "upload": GB}
    assert watched(day(up=GB + 1)) == {"total": 9 * GB}
    assert watched(day(down=9 * GB + 1)) == {}


def test_r6_3_without_a_policy_nothing_is_watched() -> None:
    assert compiled(resolve_policy([], Definitions(), currency="IRR"), day(down=10**15)).thresholds == ()


def test_r6_3_short_periods_that_begin_before_the_horizon_are_all_watched() -> None:
    now = at("2026-01-31T12:00:00+00:00")
    found = compiled(policy(FAIR), service=PRAGUE, now=now).thresholds
    assert [iso(midnight(one.since_day, "UTC"))[:10] for one in found] == ["2026-01-01", "2026-02-01", "2026-03-01"]


uses = st.builds(
    DayUsage,
    st.integers(TODAY - 40, TODAY + 40),
    *[st.sampled_from((0, 1, GB // 2, GB, GB + 1, 3 * GB, 7 * GB)) for _ in range(2)],
    st.sampled_from((0, 3599, 3600, 3601, 40_000)),
)
usages = st.lists(uses, max_size=6, unique_by=lambda one: one.day).map(tuple)


@st.composite
def values(draw: st.DrawFn) -> dict[str, object]:
    directions = ("total", "download", "upload", "hours")
    drawn = draw(st.lists(st.tuples(st.sampled_from(directions), st.integers(1, 9)), min_size=1, max_size=4))
    highest: dict[str, int] = {}
    levels: list[dict[str, object]] = []
    for number, (kind, more) in enumerate(drawn):
        highest[kind] = highest.get(kind, 0) + more
        limit = {"hours": highest[kind]} if kind == "hours" else {"gb": highest[kind], "direction": kind}
        suspends = bool(levels and "suspend" in levels[-1]) or draw(st.booleans())
        does: dict[str, object] = {"suspend": True} if suspends else {"reduce": f"{number + 1}M"}
        levels.append({**limit, **does})
    return {"levels": levels}


services = st.builds(
    lambda zone, billing_day: replace(SERVICE, timezone=zone, billing_day=billing_day),
    st.sampled_from(("Europe/Prague", "Asia/Tehran", "Africa/Cairo", "America/Havana")),
    st.integers(1, 31),
)
instants = st.builds(lambda days, off: NOW + days * DAY + off, st.integers(-20, 60), st.integers(0, DAY - 1))


def level_at(value: dict[str, object], service: Service, usage: tuple[DayUsage, ...], instant: int) -> int:
    """The level in force at one instant, counted from what the policy's JSON says."""
    period = period_of(local_day(instant, service.timezone), service.billing_day)
    within = [one for one in usage if period[0] <= one.day < period[1]]
    level = 0
    for number, one in enumerate(value["levels"], 1):  # type: ignore[arg-type, var-annotated]
        counted = {
            "total": sum(use.up + use.down for use in within),
            "download": sum(use.down for use in within),
            "upload": sum(use.up for use in within),
        }
        seconds = sum(use.seconds for use in within)
        if (seconds > one["hours"] * 3600) if "hours" in one else (counted[one["direction"]] > one["gb"] * GB):
            level = number
    return level


@given(values(), services, usages, instants, st.integers(0, HORIZON - 1))
def test_r6_1_the_timeline_says_at_every_instant_which_level_is_in_force(
    value: dict[str, object], service: Service, usage: tuple[DayUsage, ...], now: int, later: int
) -> None:
    here = compiled(policy(value), *usage, service=service, now=now).timeline.at(now + later)
    reason = here.reason
    level = level_at(value, service, usage, now + later)
    assert (dict(reason.figures)["level"] if reason is not None else 0) == level
    if reason is not None:
        one = value["levels"][level - 1]  # type: ignore[index]
        assert reason.cause is (Cause.TIME if "hours" in one else Cause.TRAFFIC)
        assert here.verdict is (Verdict.DENY if "suspend" in one else Verdict.ALLOW)
        assert dict(here.profile).get("Mikrotik-Rate-Limit") == one.get("reduce")


@given(values(), services, usages, uses, instants, st.integers(0, HORIZON - 1))
def test_r6_3_a_level_only_changes_when_a_threshold_is_crossed(
    value: dict[str, object], service: Service, usage: tuple[DayUsage, ...], more: DayUsage, now: int, later: int
) -> None:
    """And every threshold that is crossed changes it, and is gone then: nobody is compiled twice for one crossing."""
    before = compiled(policy(value), *usage, service=service, now=now)
    known = {one.day: one for one in usage}
    old = known.pop(more.day, DayUsage(more.day, 0, 0, 0))
    grown = DayUsage(more.day, old.up + more.up, old.down + more.down, old.seconds + more.seconds)
    after = (*known.values(), grown)

    def over(one: Threshold, use: tuple[DayUsage, ...]) -> bool:
        return used(one.kind, [day for day in use if one.since_day <= day.day < one.until_day]) > one.more_than

    assert not any(over(one, usage) for one in before.thresholds)
    again = compiled(policy(value), *after, service=service, now=now)
    assert not any(over(one, after) for one in again.thresholds)
    crossed = any(over(one, after) for one in before.thresholds)
    assert crossed == (before.timeline != again.timeline)
    assert crossed or before.timeline.at(now + later) == again.timeline.at(now + later)
    assert crossed or before.thresholds == again.thresholds


@given(values(), services, usages, instants, st.integers(0, 20 * DAY))
def test_r8_1_a_later_compile_of_the_same_use_agrees(
    value: dict[str, object], service: Service, usage: tuple[DayUsage, ...], now: int, later: int
) -> None:
    earlier = compiled(policy(value), *usage, service=service, now=now)
    again = compiled(policy(value), *usage, service=service, now=now + later)
    assert again.timeline.agrees_with(earlier.timeline, now + later)
    days = local_day(now + later, service.timezone)
    assert {one for one in earlier.thresholds if one.until_day > days} <= set(again.thresholds)


# --- words -----------------------------------------------------------------------------------------------------------


def reason(value: object, use: DayUsage, *params: Param) -> Reason:
    found = first(policy(value, *params), use, service=PRAGUE).reason
    assert found is not None
    return found


def test_why_tells_the_limit_the_direction_the_level_and_until_when() -> None:
    since = "since 2026-10-31T23:00:00Z: level"
    until = "until 2026-11-30T23:00:00Z (fair, server)"
    assert why(reason(FAIR, day(101 * GB))) == (f"used more than 100 GB (total) {since} 1 reduces to 5M/5M {until}")
    assert why(reason(FAIR, day(201 * GB))) == f"used more than 200 GB (total) {since} 2 suspends {until}"
    binary = {"direction": "upload", "levels": [{"gb": 0.001, "suspend": True}]}
    assert why(reason(binary, day(GB), Param(SERVER, "gigabyte", 2**30))) == (
        f"used more than 0.001 GiB (upload) {since} 1 suspends {until}"
    )
    assert why(reason({"levels": [{"hours": 20, "suspend": True}]}, day(seconds=10**6))) == (
        f"online for more than 20 hours {since} 1 suspends {until}"
    )


@pytest.mark.parametrize(
    ("octets", "gigabyte", "told"),
    [(0, 10**9, "0 GB"), (10**15, 10**9, "1000000 GB"), (1_234_567_890, 10**9, "1.235 GB"), (2**31, 2**30, "2 GiB")],
)
def test_octets_in_gigabytes(octets: int, gigabyte: int, told: str) -> None:
    assert in_gigabytes(octets, gigabyte) == told
