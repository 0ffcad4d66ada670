"""Billing periods: whose days they hold, and when a day begins in a zone whose clocks change (R6.2)."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.billing_period import MOST_BILLING_DAY, midnight, period_of
from aaa.domain.instant import iso
from aaa.domain.local_day import local_day
from aaa.domain.local_time import local_of

EPOCH = date(1970, 1, 1)
ZONES = (
    "Europe/Prague",
    "Asia/Tehran",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/Havana",
    "America/Asuncion",
    "Asia/Beirut",
    "Pacific/Apia",
    "UTC",
)

days = st.integers((date(2005, 1, 1) - EPOCH).days, (date(2035, 1, 1) - EPOCH).days)
billing_days = st.integers(1, MOST_BILLING_DAY)


def day(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH).days


def text(number: int) -> str:
    return (EPOCH + timedelta(days=number)).isoformat()


@pytest.mark.parametrize(
    ("asked", "billing_day", "first", "following"),
    [
        ("2026-11-24", 1, "2026-11-01", "2026-12-01"),
        ("2026-11-01", 1, "2026-11-01", "2026-12-01"),
        ("2026-11-30", 1, "2026-11-01", "2026-12-01"),
        ("2026-11-14", 15, "2026-10-15", "2026-11-15"),
        ("2026-11-15", 15, "2026-11-15", "2026-12-15"),
        # over the year's end
        ("2026-12-31", 1, "2026-12-01", "2027-01-01"),
        ("2026-12-31", 20, "2026-12-20", "2027-01-20"),
        ("2027-01-19", 20, "2026-12-20", "2027-01-20"),
        # a month without that day begins its period on its last day
        ("2026-01-31", 31, "2026-01-31", "2026-02-28"),
        ("2026-02-27", 31, "2026-01-31", "2026-02-28"),
        ("2026-02-28", 31, "2026-02-28", "2026-03-31"),
        ("2026-03-30", 31, "2026-02-28", "2026-03-31"),
        ("2026-04-30", 31, "2026-04-30", "2026-05-31"),
        ("2026-02-28", 29, "2026-02-28", "2026-03-29"),
        ("2026-02-28", 30, "2026-02-28", "2026-03-30"),
        ("2028-02-28", 29, "2028-01-29", "2028-02-29"),
        ("2028-02-29", 30, "2028-02-29", "2028-03-30"),
        ("2026-03-27", 28, "2026-02-28", "2026-03-28"),
    ],
)
def test_r6_2_the_period_of_a_day(asked: str, billing_day: int, first: str, following: str) -> None:
    assert tuple(map(text, period_of(day(asked), billing_day))) == (first, following)


@given(days, billing_days)
def test_r6_2_a_period_begins_on_every_months_billing_day_or_its_last_and_only_there(asked: int, billed: int) -> None:
    def begins(number: int) -> bool:
        found = EPOCH + timedelta(days=number)
        last = monthrange(found.year, found.month)[1]
        return found.day == billed or (found.day == last and last < billed)

    first, following = period_of(asked, billed)
    assert first <= asked < following
    assert begins(first) and begins(following)
    assert not any(begins(number) for number in range(first + 1, following))
    assert period_of(following, billed)[0] == following
    assert period_of(first - 1, billed)[1] == first
    assert 28 <= following - first <= 31


@pytest.mark.parametrize(
    ("asked", "zone", "begins"),
    [
        ("2026-11-01", "Asia/Tehran", "2026-10-31T20:30:00Z"),
        ("2026-03-29", "Europe/Prague", "2026-03-28T23:00:00Z"),
        ("2026-03-30", "Europe/Prague", "2026-03-29T22:00:00Z"),
        # There is no midnight: the first instant after it.
        ("2026-04-24", "Africa/Cairo", "2026-04-23T22:00:00Z"),
        ("2026-03-08", "America/Havana", "2026-03-08T05:00:00Z"),
        ("2026-03-29", "Asia/Beirut", "2026-03-28T22:00:00Z"),
        ("2011-12-30", "Pacific/Apia", "2011-12-30T10:00:00Z"),  # a day that never was
        # It comes twice: the first.
        ("2026-11-01", "America/Havana", "2026-11-01T04:00:00Z"),
        # Clocks go back from midnight to eleven: the day before is an hour longer.
        ("2026-10-25", "Asia/Beirut", "2026-10-24T22:00:00Z"),
        ("2026-10-30", "Africa/Cairo", "2026-10-29T22:00:00Z"),
    ],
)
def test_r6_2_when_a_day_begins(asked: str, zone: str, begins: str) -> None:
    assert iso(midnight(day(asked), zone)) == begins


@given(days, st.sampled_from(ZONES))
def test_r6_2_a_day_begins_when_clocks_first_show_it_or_a_later_one(asked: int, zone: str) -> None:
    begins = midnight(asked, zone)
    shown = datetime.combine(EPOCH + timedelta(days=asked), datetime.min.time())
    assert local_of(begins, zone) >= shown
    assert local_of(begins - 1, zone) < shown
    # Accounting puts use into the same days.
    assert local_day(begins, zone) >= asked > local_day(begins - 1, zone)
    assert abs(
        begins - (shown.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    ) <= (24 * 3_600_000_000)
