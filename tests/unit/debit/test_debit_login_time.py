"""Login-time in a timeline: closed hours deny, weaker than all that blocks, stronger than a reminder (R1.4, R3.4)."""

from dataclasses import replace
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.debit.compile import HORIZON, MOST_SEGMENTS, compile
from aaa.debit.controls.definitions import Definitions
from aaa.debit.params import BadParam, check
from aaa.debit.wording import why
from aaa.domain.service import Param, Service
from aaa.domain.standing import Standing
from aaa.domain.suspension import Suspension
from aaa.domain.timeline import Cause, Reason, Timeline, Verdict
from tests.unit.debit.cases import DAY, SERVICE, VISP, check_attribute, control, owing, policy, rule
from tests.unit.domain.test_login_time import DAY as ONE_DAY
from tests.unit.domain.test_login_time import ZONES, Drawn, at, drawn_windows, is_open, window_text

MINUTE = 60_000_000
HOUR = 60 * MINUTE
PAID = owing(0)
NOW = at("2026-11-24T12:00", SERVICE.timezone)  # a Tuesday
GARDEN = {"restrict": {"address_list": "garden"}}


def hours(*windows: str) -> Param:
    return Param(VISP, "login-time", windows)


def compiled(*windows: str, service: Service = SERVICE, standing: Standing = PAID, now: int = NOW) -> Timeline:
    found = policy(control(max_debt=1), rule(debit=GARDEN, expire=GARDEN, suspended=GARDEN), hours(*windows))
    return compile(found, service, standing, now).timeline


def kinds(timeline: Timeline) -> list[tuple[Verdict, Cause | None]]:
    return [(one.verdict, one.reason.cause if one.reason else None) for one in timeline.segments]


# --- setting it ------------------------------------------------------------------------------------------------------


def checked(value: object) -> object:
    return check("login-time", value, Definitions(), check_attribute, path="params[3].value")


def test_r1_4_login_time_is_a_list_of_windows() -> None:
    assert checked(["mon-fri 08:00-18:00", "sat 10:00-12:00"]) == ("mon-fri 08:00-18:00", "sat 10:00-12:00")


@pytest.mark.parametrize(
    ("value", "path", "fault"),
    [
        ("daily 08:00-18:00", "params[3].value", "must be a list of 1 to 28 windows"),
        ([], "params[3].value", "must be a list of 1 to 28 windows"),
        (["daily 08:00-18:00"] * 29, "params[3].value", "must be a list of 1 to 28 windows"),
        (["daily 08:00-18:00", "noon"], "params[3].value[1]", "'noon' is not a window"),
        ([["daily 08:00-18:00"]], "params[3].value[0]", "is not a window"),
        ([8], "params[3].value[0]", "is not a window"),
        ([None], "params[3].value[0]", "is not a window"),
    ],
)
def test_r1_4_a_fault_in_login_time_is_named_with_its_path(value: object, path: str, fault: str) -> None:
    with pytest.raises(BadParam) as refused:
        checked(value)
    assert refused.value.path == path
    assert fault in refused.value.message


# --- precedence ------------------------------------------------------------------------------------------------------


def test_r3_4_closed_hours_deny_whatever_the_finish_rule_says() -> None:
    timeline = compiled("tue 10:00-18:00")
    assert kinds(timeline)[:3] == [(Verdict.ALLOW, None), (Verdict.DENY, Cause.LOGIN_TIME), (Verdict.ALLOW, None)]
    closes, opens = timeline.segments[1].start, timeline.segments[1].end
    assert closes == NOW + 6 * HOUR
    assert opens == NOW - 2 * HOUR + 7 * DAY
    assert timeline.verdict_end(0) == closes, "what Session-Timeout counts to"
    assert timeline.segments[1].profile == ()


def test_r3_4_login_time_is_weaker_than_debit_expire_and_suspension() -> None:
    def at_closing(**facts: object) -> tuple[Verdict, Cause | None]:
        standing = facts.pop("standing", PAID)
        assert isinstance(standing, Standing)
        timeline = compiled("tue 10:00-18:00", service=replace(SERVICE, **facts), standing=standing)  # type: ignore[arg-type]
        one = timeline.at(NOW + 7 * HOUR)
        return one.verdict, one.reason.cause if one.reason else None

    assert at_closing() == (Verdict.DENY, Cause.LOGIN_TIME)
    assert at_closing(standing=owing(5)) == (Verdict.RESTRICT, Cause.DEBIT)
    assert at_closing(active_to=NOW) == (Verdict.RESTRICT, Cause.EXPIRE)
    assert at_closing(suspensions=(Suspension("profile1", None, None),)) == (Verdict.RESTRICT, Cause.SUSPENDED)


def test_r8_5_login_time_holds_whatever_is_owed() -> None:
    assert compiled("mon 10:00-18:00").at(NOW).verdict is Verdict.DENY


def test_r1_4_the_reason_names_the_hours_and_the_scope() -> None:
    reason = compiled("mon 10:00-18:00", "sun 08:00-09:00").at(NOW).reason
    assert reason == Reason(Cause.LOGIN_TIME, (("login_time", "mon 10:00-18:00; sun 08:00-09:00"),), "visp:tehran")
    assert why(reason) == ("it is outside the hours of login-time, mon 10:00-18:00; sun 08:00-09:00 (visp:tehran)")


def test_r1_4_hours_round_the_clock_change_nothing() -> None:
    assert kinds(compiled("daily 00:00-24:00")) == [(Verdict.ALLOW, None)]
    assert kinds(compiled("mon-sun 06:00-18:00", "daily 18:00-06:00")) == [(Verdict.ALLOW, None)]


# --- the timeline as a whole -----------------------------------------------------------------------------------------

starts = st.integers(0, 364 * 1440).map(lambda more: at("2026-01-01") + more * MINUTE)


@settings(max_examples=60)
@given(drawn_windows, st.sampled_from(ZONES), starts, st.lists(st.integers(0, 34 * 1440), max_size=8))
def test_r1_4_the_timeline_agrees_with_a_look_at_the_clock(
    windows: list[Drawn], zone: str, now: int, offsets: list[int]
) -> None:
    texts = tuple(window_text(*one) for one in windows)
    timeline = compiled(*texts, service=replace(SERVICE, timezone=zone), now=now)
    assert timeline.start == now
    assert timeline.horizon == now + HORIZON or len(timeline.segments) == MOST_SEGMENTS
    edges = [one.start + off for one in timeline.segments[:12] for off in (-1, 0)]
    for instant in [*edges, *(now + offset * MINUTE for offset in offsets)]:
        if now <= instant < timeline.horizon:
            expected = Verdict.ALLOW if is_open(windows, zone, instant) else Verdict.DENY
            assert timeline.at(instant).verdict is expected


@settings(max_examples=60)
@given(drawn_windows, st.sampled_from(ZONES), starts, st.integers(0, 20 * 1440), st.none() | st.integers(0, 30))
def test_r8_1_a_later_compile_agrees(windows: list[Drawn], zone: str, now: int, later: int, ends: int | None) -> None:
    texts = tuple(window_text(*one) for one in windows)
    active_to = None if ends is None else now + ends * ONE_DAY
    service = replace(SERVICE, timezone=zone, active_to=active_to)
    earlier = compiled(*texts, service=service, now=now)
    asked = now + later * MINUTE
    if asked < earlier.horizon:
        following = compiled(*texts, service=service, now=asked)
        until = min(earlier.horizon, following.horizon)
        instants = {one.start for one in (*earlier.segments, *following.segments)}
        for instant in [asked, *(edge + off for edge in instants for off in (-1, 0))]:
            if asked <= instant < until:
                one, other = earlier.at(instant), following.at(instant)
                assert one.same_step(other)


def test_r1_4_many_windows_shorten_the_timeline_and_nothing_else() -> None:
    texts = [f"daily {hour:02}:{minute:02}-{hour:02}:{minute + 9:02}" for hour in range(14) for minute in (0, 30)]
    timeline = compiled(*texts)
    assert len(timeline.segments) == MOST_SEGMENTS
    assert NOW + 2 * DAY < timeline.horizon < NOW + 3 * DAY
    # what is closed for good by something stronger is one segment to the horizon
    ended = compiled(*texts, service=replace(SERVICE, active_to=NOW - DAY))
    assert kinds(ended) == [(Verdict.RESTRICT, Cause.EXPIRE)]
    assert ended.horizon == NOW + HORIZON


def test_compiling_services_of_the_same_hours_is_quick() -> None:
    """An upper bound that only a change of its order breaks: it takes about a third of a millisecond."""
    found = policy(control(max_debt=1), None, hours("mon-fri 08:00-18:00", "sat,sun 10:00-24:00"))

    def fastest() -> float:
        begun = thread_time()
        compile(found, SERVICE, owing(0), NOW)
        return thread_time() - begun

    assert min(fastest() for _ in range(50)) < 0.001_5
