"""Login-time: the hours of the week, read and turned into instants (R1.4). The oracle walks the clock by minutes."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.domain.login_time import WEEKDAYS, BadLoginTime, LoginTime

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Clocks go an hour, half an hour, at midnight, in the other half of the year, or never.
ZONES = ("Europe/Prague", "Australia/Lord_Howe", "America/Havana", "Africa/Cairo", "Asia/Tehran", "Asia/Kathmandu")


def at(text: str, zone: str = "UTC", fold: int = 0) -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return (local - EPOCH) // timedelta(microseconds=1)


def hours(*windows: str, zone: str = "UTC", since: str = "2026-11-23", until: str = "2026-11-30") -> list[str]:
    """The intervals, in the zone's own clock."""
    found = LoginTime(windows).open(zone, at(since, zone), at(until, zone))
    return [f"{spelled(start, zone)} - {spelled(end, zone)}" for start, end in found]


def spelled(instant: int, zone: str) -> str:
    return (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone)).strftime("%a %H:%M")


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "fault"),
    [
        ("", "is not a window"),
        ("mon", "is not a window"),
        ("mon 8:00-18:00", "is not a window"),
        ("Mon 08:00-18:00", "is not a window"),
        ("mon  08:00-18:00", "is not a window"),
        ("mon 08:00-18:00 ", "is not a window"),
        ("mon 08:00-18:00\n", "is not a window"),
        ("mon \u0660\u0668:00-18:00", "is not a window"),
        ("mon 24:00-24:00", "no such time of day"),
        ("mon 08:00-24:01", "no such time of day"),
        ("mon 08:60-18:00", "no such time of day"),
        ("mon 08:00-17:60", "no such time of day"),
        ("mon 25:00-26:00", "no such time of day"),
        ("mon 08:00-08:00", "is empty; a whole day is 00:00-24:00"),
        ("mon 00:00-00:00", "is empty"),
        ("day 08:00-18:00", "'day' is not a day such as mon or mon-fri"),
        ("mon- 08:00-18:00", "'mon-' is not a day"),
        ("-fri 08:00-18:00", "'-fri' is not a day"),
        ("mon-wed-fri 08:00-18:00", "'mon-wed-fri' is not a day"),
        ("mon,,fri 08:00-18:00", "'' is not a day"),
        ("daily,mon 08:00-18:00", "'daily' is not a day"),
    ],
)
def test_r1_4_a_window_that_cannot_be_read_says_why(window: str, fault: str) -> None:
    with pytest.raises(BadLoginTime) as refused:
        LoginTime((window,))
    assert fault in str(refused.value) and repr(window) in str(refused.value)


def test_r1_4_weekdays_are_lists_and_ranges_that_may_wrap() -> None:
    assert hours("mon-wed 08:00-18:00") == ["Mon 08:00 - Mon 18:00", "Tue 08:00 - Tue 18:00", "Wed 08:00 - Wed 18:00"]
    assert hours("sat,tue 08:00-18:00") == ["Tue 08:00 - Tue 18:00", "Sat 08:00 - Sat 18:00"]
    wrapping = ["Mon 08:00 - Mon 18:00", "Fri 08:00 - Fri 18:00", "Sat 08:00 - Sat 18:00", "Sun 08:00 - Sun 18:00"]
    assert hours("fri-mon 08:00-18:00") == wrapping
    assert hours("mon-mon 08:00-18:00") == ["Mon 08:00 - Mon 18:00"]
    assert hours("mon-sun 08:00-18:00") == hours("daily 08:00-18:00")
    assert len(hours("daily 08:00-18:00")) == 7


def test_r1_4_a_window_runs_over_midnight() -> None:
    # Sunday's reaches in from the week before, and Saturday's out of the days asked for.
    assert hours("sat,sun 22:00-06:00", until="2026-11-29T01:00") == ["Sun 22:00 - Mon 06:00", "Sat 22:00 - Sun 06:00"]
    assert hours("mon 22:00-00:00") == hours("mon 22:00-24:00") == ["Mon 22:00 - Tue 00:00"]
    assert hours("mon 08:00-07:59") == ["Mon 08:00 - Tue 07:59"]


def test_r1_4_windows_that_touch_or_overlap_are_one() -> None:
    assert hours("mon 08:00-12:00", "mon 12:00-18:00") == ["Mon 08:00 - Mon 18:00"]
    assert hours("mon 08:00-14:00", "mon 12:00-18:00", "mon 09:00-10:00") == ["Mon 08:00 - Mon 18:00"]
    assert hours("sun 20:00-24:00", "mon 00:00-04:00", until="2026-11-28") == ["Sun 20:00 - Mon 04:00"]
    assert hours("mon 08:00-12:00", "mon 12:01-18:00") == ["Mon 08:00 - Mon 12:00", "Mon 12:01 - Mon 18:00"]
    [(start, end)] = LoginTime(("daily 00:00-24:00",)).open("Asia/Tehran", at("2026-11-23"), at("2026-12-28"))
    assert start <= at("2026-11-23") and end >= at("2026-12-28")


def test_r1_4_the_interval_is_half_open() -> None:
    window = LoginTime(("mon 08:00-18:00",))
    assert window.open("UTC", at("2026-11-23T18:00"), at("2026-11-23T19:00")) == []
    assert window.open("UTC", at("2026-11-23T07:00"), at("2026-11-23T08:00")) == []
    assert len(window.open("UTC", at("2026-11-23T17:59"), at("2026-11-23T19:00"))) == 1


# --- daylight saving -------------------------------------------------------------------------------------------------


def test_r1_4_clocks_that_go_forward_shorten_a_window_or_swallow_it() -> None:
    # Prague, 29 March 2026: 02:00 becomes 03:00.
    def found(window: str) -> list[tuple[int, int]]:
        since, until = at("2026-03-29", "Europe/Prague"), at("2026-03-30", "Europe/Prague")
        return LoginTime((window,)).open("Europe/Prague", since, until)

    jump = at("2026-03-29T01:00")
    assert found("sun 01:00-05:00") == [(jump - HOUR, jump + 2 * HOUR)]
    assert found("sun 02:30-05:00") == [(jump, jump + 2 * HOUR)]
    assert found("sun 01:00-02:30") == [(jump - HOUR, jump)]
    assert found("sun 02:10-02:50") == []


def test_r1_4_of_an_hour_that_comes_twice_the_first_counts() -> None:
    # Prague, 25 October 2026: 03:00 becomes 02:00.
    def found(window: str) -> list[tuple[int, int]]:
        since, until = at("2026-10-25", "Europe/Prague"), at("2026-10-26", "Europe/Prague")
        return LoginTime((window,)).open("Europe/Prague", since, until)

    first = at("2026-10-25T00:00")  # 02:00 for the first time
    assert found("sun 01:00-05:00") == [(first - HOUR, first + 4 * HOUR)]
    assert found("sun 02:30-05:00") == [(first + HOUR // 2, first + 4 * HOUR)]
    assert found("sun 01:00-02:30") == [(first - HOUR, first + HOUR // 2)]
    assert found("sun 02:10-02:50") == [(first + 10 * MINUTE, first + 50 * MINUTE)]


def test_r1_4_a_day_without_midnight_begins_with_its_first_instant() -> None:
    # Cairo, 24 April 2026: 00:00 becomes 01:00.
    begins = at("2026-04-23T22:00")
    found = LoginTime(("fri 00:00-06:00",)).open("Africa/Cairo", begins, begins + DAY)
    assert found == [(begins, at("2026-04-24T06:00", "Africa/Cairo"))]
    assert LoginTime(("thu 18:00-24:00", "fri 00:00-06:00")).open("Africa/Cairo", begins, begins + DAY) == [
        (at("2026-04-23T18:00", "Africa/Cairo"), at("2026-04-24T06:00", "Africa/Cairo"))
    ]


# --- against the clock -----------------------------------------------------------------------------------------------


@cache
def reached(zone: str, year: int, month: int, day: int, minutes: int) -> int:
    """The first instant at which the clock has reached that time of that day, by looking at it every minute."""
    wanted = datetime.combine(date(year, month, day), time.min) + timedelta(minutes=minutes)
    moment = wanted.replace(tzinfo=UTC) - timedelta(hours=15)
    tz = ZoneInfo(zone)
    while moment.astimezone(tz).replace(tzinfo=None) < wanted:
        moment += timedelta(minutes=1)
    return (moment - EPOCH) // timedelta(microseconds=1)


Drawn = tuple[frozenset[str], int, int]
"""Days, start and end in minutes."""


def is_open(windows: list[Drawn], zone: str, instant: int) -> bool:
    today = (EPOCH + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone)).date()
    for back in range(-1, 3):
        day = today - timedelta(days=back)
        for days, start, end in windows:
            if WEEKDAYS[day.weekday()] in days:
                begins = reached(zone, day.year, day.month, day.day, start)
                ends = reached(zone, day.year, day.month, day.day, end if end > start else end + 1440)
                if begins <= instant < ends:
                    return True
    return False


def window_text(days: frozenset[str], start: int, end: int) -> str:
    return f"{','.join(sorted(days))} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


# Hours around midnight and around the changes, so that edges meet.
minutes = st.one_of(st.sampled_from((0, 1, 30, 60, 90, 120, 150, 180, 1380, 1410, 1439)), st.integers(0, 1439))
drawn_windows = st.lists(
    st.tuples(st.frozensets(st.sampled_from(WEEKDAYS), min_size=1), minutes, st.one_of(minutes, st.just(1440))).filter(
        lambda one: one[1] != one[2]
    ),
    min_size=1,
    max_size=4,
)
# Days at which some of the zones change their clocks, and some between.
days = st.sampled_from(
    ("2026-03-08", "2026-03-29", "2026-04-05", "2026-04-24", "2026-10-04", "2026-10-25", "2026-10-30", "2026-11-01")
)


@settings(max_examples=150)
@given(drawn_windows, st.sampled_from(ZONES), days, st.lists(st.integers(-5 * 1440, 5 * 1440), max_size=12))
def test_r1_4_open_is_what_a_look_at_the_clock_says(
    windows: list[Drawn], zone: str, day: str, offsets: list[int]
) -> None:
    middle = at(day)
    since, until = middle - 6 * DAY, middle + 6 * DAY
    found = LoginTime(tuple(window_text(*one) for one in windows)).open(zone, since, until)
    assert all(start < end for start, end in found)
    assert all(end < following for (_, end), (following, _) in pairwise(found)), "apart"
    edges = [edge + off for interval in found for edge in interval for off in (-1, 0)]
    for instant in [*edges, *(middle + offset * MINUTE for offset in offsets)]:
        if since <= instant < until:
            inside = any(start <= instant < end for start, end in found)
            assert inside == is_open(windows, zone, instant), spelled(instant, zone)


@settings(max_examples=50)
@given(drawn_windows, st.sampled_from(ZONES), days, st.integers(0, 6 * 1440))
def test_r1_4_who_asks_later_is_told_the_same(windows: list[Drawn], zone: str, day: str, later: int) -> None:
    hours = LoginTime(tuple(window_text(*one) for one in windows))
    since, until = at(day), at(day) + 12 * DAY
    asked = since + later * MINUTE

    def clipped(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(max(start, asked), min(end, until)) for start, end in found if end > asked and start < until]

    assert clipped(hours.open(zone, since, until)) == clipped(hours.open(zone, asked, until + 9 * DAY))
