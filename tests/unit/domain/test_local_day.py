"""Days of a VISP's timezone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.local_day import local_day

ZONES = ["UTC", "Asia/Tehran", "Europe/Prague", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"]


@pytest.mark.parametrize(
    ("zone", "text", "day"),
    [
        ("UTC", "2026-11-23T23:59:59.999999", 20780),
        ("UTC", "2026-11-24T00:00:00", 20781),
        ("Asia/Tehran", "2026-11-23T20:29:59.999999", 20780),
        ("Asia/Tehran", "2026-11-23T20:30:00", 20781),
    ],
)
def test_a_day_begins_at_local_midnight(zone: str, text: str, day: int) -> None:
    instant = round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)
    assert local_day(instant, zone) == day


@given(st.integers(315_532_800, 4_102_444_800), st.sampled_from(ZONES))
def test_it_is_the_calendars_day(seconds: int, zone: str) -> None:
    expected = datetime.fromtimestamp(seconds, ZoneInfo(zone)).date()
    assert local_day(seconds * 1_000_000, zone) == (expected - datetime(1970, 1, 1, tzinfo=UTC).date()).days
