"""Local times as instants: what clocks skip, and what they show twice (R4.3, R6.2)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.instant import iso
from aaa.domain.local_time import instant_of, local_of

ZONES = (
    "Europe/Prague",
    "Asia/Tehran",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "Pacific/Apia",
    "UTC",
)


@pytest.mark.parametrize(
    ("local", "zone", "instant"),
    [
        ("2026-07-01T00:00:00", "Europe/Prague", "2026-06-30T22:00:00Z"),
        ("2026-07-01T00:00:00", "Asia/Tehran", "2026-06-30T20:30:00Z"),
        # clocks go forward: the first later instant
        ("2026-03-29T01:59:59.999999", "Europe/Prague", "2026-03-29T00:59:59.999999Z"),
        ("2026-03-29T02:00:00", "Europe/Prague", "2026-03-29T01:00:00Z"),
        ("2026-03-29T02:59:59.999999", "Europe/Prague", "2026-03-29T01:00:00Z"),
        ("2026-03-29T03:00:00", "Europe/Prague", "2026-03-29T01:00:00Z"),
        ("2026-10-04T02:15:00", "Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("2026-04-24T00:30:00", "Africa/Cairo", "2026-04-23T22:00:00Z"),
        ("2011-12-30T12:00:00", "Pacific/Apia", "2011-12-30T10:00:00Z"),  # a day that never was
        # clocks go back: the first of the two
        ("2026-10-25T02:00:00", "Europe/Prague", "2026-10-25T00:00:00Z"),
        ("2026-10-25T02:59:59", "Europe/Prague", "2026-10-25T00:59:59Z"),
        ("2026-10-25T03:00:00", "Europe/Prague", "2026-10-25T02:00:00Z"),
    ],
)
def test_r4_3_local_times(local: str, zone: str, instant: str) -> None:
    assert iso(instant_of(datetime.fromisoformat(local), zone)) == instant


@given(
    st.datetimes(datetime(2005, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001
    st.sampled_from(ZONES),
)
def test_r4_3_it_is_the_first_instant_at_which_clocks_show_that_time_or_a_later_one(local: datetime, zone: str) -> None:
    found = instant_of(local, zone)
    assert local_of(found, zone) >= local
    assert local_of(found - 1, zone) < local
    if local_of(found, zone) != local:  # skipped: no instant shows it
        naive = (local - datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)) // timedelta(microseconds=1)
        quarter = 900_000_000
        assert all(local_of(naive - offset * quarter, zone) != local for offset in range(-60, 61))
