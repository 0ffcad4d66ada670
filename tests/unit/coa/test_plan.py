"""What a live session must be told: the tables of what RouterOS takes by CoA, and of ends."""

from dataclasses import replace
from typing import Any

import pytest

from aaa.coa.plan import (
    FAR,
    HOUR,
    SECOND,
    TAKEN_BY_COA,
    CoA,
    Disconnect,
    Later,
    LiveSession,
    Nothing,
    Wanted,
    after,
    plan,
)
from aaa.domain.grace import grace
from aaa.domain.timeline import Profile, Verdict, profile

NOW = 1_790_000_000 * SECOND
DAY = 24 * HOUR
SERVICE = 7
GRACE = grace(SERVICE)
HOME = profile([("Acct-Interim-Interval", 300), ("Framed-Pool", "pool1"), ("Mikrotik-Rate-Limit", "20M/20M")])


def live(told: Profile | None = HOME, **changes: Any) -> LiveSession:
    base = LiveSession(SERVICE, NOW - 2 * HOUR, True, told, 0, None)
    return replace(base, **changes)


def changed(told: Profile, **attributes: Any) -> Profile:
    """`told` with attributes set (underscores for dashes), or removed where the value is None."""
    named = dict(told) | {name.replace("_", "-"): value for name, value in attributes.items()}
    return profile((name, value) for name, value in named.items() if value is not None)


def wanted(said: Profile = HOME, verdict: Verdict = Verdict.ALLOW, address: int = 0, end: int | None = None) -> Wanted:
    return Wanted(verdict, said, address, end)


def test_a_session_that_has_what_is_wanted_is_told_nothing() -> None:
    assert plan(live(), wanted(), "from_start", NOW) == Nothing()


def test_deny_disconnects_whatever_the_profile() -> None:
    assert plan(live(), wanted((), Verdict.DENY), "from_start", NOW) == Disconnect("denied")
    assert plan(live(None), wanted((), Verdict.DENY), "from_start", NOW) == Disconnect("denied")


@pytest.mark.parametrize("name", sorted(TAKEN_BY_COA - {"Ascend-Data-Rate", "Ascend-Xmit-Rate"}))
def test_what_routeros_takes_by_coa_is_sent_alone(name: str) -> None:
    asked = profile([*(pair for pair in HOME if pair[0] != name), (name, "new")])
    assert plan(live(), wanted(asked), "from_start", NOW) == CoA(((name, "new"),), None)


@pytest.mark.parametrize(
    "name",
    [
        "Framed-Pool",
        "Framed-Route",
        "Mikrotik-Address-List",
        "Mikrotik-Recv-Limit-Gigawords",
        "Mikrotik-Total-Limit",
        "Framed-IPv6-Pool",
        "WISPr-Bandwidth-Max-Up",
    ],
)
def test_everything_else_needs_a_disconnect(name: str) -> None:
    asked = profile([*(pair for pair in HOME if pair[0] != name), (name, "new")])
    assert plan(live(), wanted(asked), "from_start", NOW) == Disconnect(f"{name} changes")


def test_an_attribute_cannot_be_taken_back_by_coa() -> None:
    asked = changed(HOME, Mikrotik_Rate_Limit=None)
    assert plan(live(), wanted(asked), "from_start", NOW) == Disconnect("Mikrotik-Rate-Limit is removed")


def test_one_attribute_beyond_coa_makes_the_whole_change_a_disconnect() -> None:
    asked = changed(HOME, Mikrotik_Rate_Limit="1M/1M", Mikrotik_Address_List="overdue")
    assert isinstance(plan(live(), wanted(asked), "from_start", NOW), Disconnect)


def test_the_interim_interval_alone_is_not_worth_telling() -> None:
    assert plan(live(), wanted(changed(HOME, Acct_Interim_Interval=60)), "from_start", NOW) == Nothing()
    assert plan(live(), wanted(changed(HOME, Acct_Interim_Interval=None)), "from_start", NOW) == Nothing()


def test_ascend_rates_count_only_without_a_rate_limit() -> None:
    with_limit = changed(HOME, Ascend_Data_Rate=1)
    assert plan(live(with_limit), wanted(changed(HOME, Ascend_Data_Rate=2)), "from_start", NOW) == Nothing()
    bare = profile([("Ascend-Data-Rate", 1)])
    asked = profile([("Ascend-Data-Rate", 2)])
    assert plan(live(bare), wanted(asked), "from_start", NOW) == CoA(asked, None)


@pytest.mark.parametrize(("ppp", "expected"), [(True, Disconnect("Framed-IP-Address changes")), (False, Nothing())])
def test_r3_3_an_address_matters_to_ppp_and_not_to_a_hotspot(ppp: bool, expected: object) -> None:
    assert plan(live(ppp=ppp), wanted(address=0x0A000001), "from_start", NOW) == expected


def test_r3_3_a_hotspot_gets_list_and_rate_only() -> None:
    session = live(ppp=False)
    pooled = changed(HOME, Framed_Pool="finish", Framed_IPv6_Pool="six")
    assert plan(session, wanted(pooled), "from_start", NOW) == Nothing()
    slow = changed(pooled, Mikrotik_Rate_Limit="128k/128k")
    assert plan(session, wanted(slow), "from_start", NOW) == CoA((("Mikrotik-Rate-Limit", "128k/128k"),), None)


def test_an_address_that_is_not_known_is_no_reason_to_disconnect() -> None:
    assert plan(live(address=None), wanted(address=0x0A000001), "from_start", NOW) == Nothing()


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [(Verdict.ALLOW, Nothing()), (Verdict.RESTRICT, Disconnect("not known what it was told"))],
)
def test_a_session_that_somebody_else_authorised(verdict: Verdict, expected: object) -> None:
    assert plan(live(None), wanted(verdict=verdict), "from_start", NOW) == expected


# --- what an unanswered CoA leaves behind ----------------------------------------------------------------------------


def test_an_attribute_in_doubt_is_sent_again_even_if_it_seems_right() -> None:
    session = live(doubtful=frozenset({"Mikrotik-Rate-Limit"}))
    assert plan(session, wanted(), "from_start", NOW) == CoA((("Mikrotik-Rate-Limit", "20M/20M"),), None)


def test_an_attribute_in_doubt_that_is_not_wanted_any_more_disconnects() -> None:
    session = live(doubtful=frozenset({"Mikrotik-Mark-Id"}))
    assert plan(session, wanted(), "from_start", NOW) == Disconnect("Mikrotik-Mark-Id is removed")


def test_an_end_in_doubt_is_sent_at_once() -> None:
    end = NOW + 5 * DAY
    session = live(given_end=end, doubtful=frozenset({"Session-Timeout"}))
    assert isinstance(plan(session, wanted(end=end), "from_start", NOW), CoA)


# --- ends ------------------------------------------------------------------------------------------------------------


def timeout(planned: object) -> int:
    assert isinstance(planned, CoA)
    [value] = [value for name, value in planned.attributes if name == "Session-Timeout"]
    assert isinstance(value, int)
    return value


@pytest.mark.parametrize("given", [None, NOW + 3 * DAY])
def test_a_first_or_earlier_end_is_pushed_at_once(given: int | None) -> None:
    end = NOW + 2 * DAY
    planned = plan(live(given_end=given), wanted(end=end), "from_start", NOW)
    assert timeout(planned) == 2 * 3600 + 2 * 86400 + GRACE
    assert isinstance(planned, CoA) and planned.given_end == end


def test_a_timeout_from_now_leaves_out_what_has_passed() -> None:
    assert timeout(plan(live(), wanted(end=NOW + 2 * DAY), "from_now", NOW)) == 2 * 86400 + GRACE


def test_a_later_end_waits_until_an_hour_before_the_old_one() -> None:
    given, end = NOW + 2 * DAY, NOW + 9 * DAY
    session = live(given_end=given)
    assert plan(session, wanted(end=end), "from_start", NOW) == Later(given - HOUR)
    assert plan(session, wanted(end=end), "from_start", given - HOUR - 1) == Later(given - HOUR)
    assert isinstance(plan(session, wanted(end=end), "from_start", given - HOUR), CoA)


def test_a_later_end_travels_with_other_changes() -> None:
    session = live(given_end=NOW + 2 * DAY)
    faster = changed(HOME, Mikrotik_Rate_Limit="50M/50M")
    planned = plan(session, wanted(faster, end=NOW + 9 * DAY), "from_start", NOW)
    assert isinstance(planned, CoA)
    assert [name for name, _ in planned.attributes] == ["Mikrotik-Rate-Limit", "Session-Timeout"]
    assert planned.given_end == NOW + 9 * DAY


def test_no_end_any_more_pushes_a_far_one_and_is_renewed_before_it_strikes() -> None:
    session = live(given_end=NOW + 2 * HOUR)
    assert plan(session, wanted(), "from_now", NOW) == Later(NOW + HOUR)
    planned = plan(session, wanted(), "from_now", NOW + HOUR)
    assert timeout(planned) == 35 * 86400 + GRACE
    assert isinstance(planned, CoA) and planned.given_end == NOW + HOUR + FAR
    renewed = after(session, wanted(), planned)
    assert plan(renewed, wanted(), "from_now", NOW + HOUR) == Later(NOW + FAR)


def test_ends_that_are_equal_to_the_second_are_equal() -> None:
    end = NOW + 2 * DAY
    assert plan(live(given_end=end), wanted(end=end + SECOND - 1), "from_start", NOW) == Nothing()
    assert isinstance(plan(live(given_end=end), wanted(end=end - SECOND), "from_start", NOW), CoA)


def test_a_plan_with_a_timeout_of_its_own_keeps_it() -> None:
    daily = changed(HOME, Session_Timeout=86400)
    session = live(daily)
    assert plan(session, wanted(daily), "from_start", NOW) == Nothing()
    assert plan(session, wanted(daily, end=NOW + 5 * DAY), "from_start", NOW) == Nothing()
    assert timeout(plan(session, wanted(daily, end=NOW + HOUR), "from_start", NOW)) == 3 * 3600 + GRACE
    hourly = changed(HOME, Session_Timeout=3 * 3600)
    assert timeout(plan(session, wanted(hourly), "from_start", NOW)) == 3 * 3600


def test_once_acknowledged_the_same_wish_asks_for_nothing_more() -> None:
    session = live(given_end=NOW + 2 * DAY)
    wish = wanted(changed(HOME, Mikrotik_Rate_Limit="1M/1M"), end=NOW + HOUR)
    planned = plan(session, wish, "from_start", NOW)
    assert isinstance(planned, CoA)
    assert plan(after(session, wish, planned), wish, "from_start", NOW) == Nothing()
