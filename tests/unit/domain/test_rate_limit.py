"""Mikrotik-Rate-Limit's grammar, as MikroTik's manual has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.rate_limit import BadRateLimit, Pair, RateLimit, parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("5M", RateLimit(Pair(5_000_000, 5_000_000))),
        ("128k/1M", RateLimit(Pair(128_000, 1_000_000))),
        ("0/0", RateLimit(Pair(0, 0))),
        ("64000/2G", RateLimit(Pair(64_000, 2_000_000_000))),
        ("2M/4M 3M/6M", RateLimit(Pair(2_000_000, 4_000_000), Pair(3_000_000, 6_000_000))),
        (
            "2M/4M 3M/6M 1M/2M 8/8 5 1M/1M",
            RateLimit(
                Pair(2_000_000, 4_000_000),
                Pair(3_000_000, 6_000_000),
                Pair(1_000_000, 2_000_000),
                Pair(8, 8),
                5,
                Pair(1_000_000, 1_000_000),
            ),
        ),
        ("1k 2k 3k 8 1", RateLimit(Pair(1_000, 1_000), Pair(2_000, 2_000), Pair(3_000, 3_000), Pair(8, 8), 1)),
        ("0/9 0 0 0 8 9/9", RateLimit(Pair(0, 9), Pair(0, 0), Pair(0, 0), Pair(0, 0), 8, Pair(9, 9))),
    ],
)
def test_a_rate_limit_is_read(text: str, found: RateLimit) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has a blank where its rate should be"),
        (" 1M", "has a blank where its rate should be"),
        ("1M ", "has a blank where its burst rate should be"),
        ("1M  2M", "has a blank where its burst rate should be"),
        ("fast", "the rate 'fast' is not bits per second"),
        ("5M/", "the rate '5M/' is not"),
        ("/5M", "the rate '/5M' is not"),
        ("1M/2M/3M", "the rate '1M/2M/3M' is not"),
        ("1.5M", "the rate '1.5M' is not"),
        ("-1M", "the rate '-1M' is not"),
        ("5m", "the rate '5m' is not"),
        ("5T", "the rate '5T' is not"),
        ("٥M", "the rate '٥M' is not"),
        ("1M\n", "the rate '1M\\n' is not"),
        ("9" * 19 + "G", "is too high"),
        ("1M 2M/x", "the burst rate '2M/x' is not"),
        ("1M 2M 1M 8k", "the burst time '8k' is not seconds"),
        ("1M 2M 1M 8 0", "the priority '0' is not 1 to 8"),
        ("1M 2M 1M 8 9", "the priority '9' is not 1 to 8"),
        ("1M 2M 1M 8 5M", "the priority '5M' is not 1 to 8"),
        ("1M/2M 0 0 0 8 2M/2M", "the least rate '2M/2M' is above the rate '1M/2M'"),
        ("1M 2M 1M 8 8 1M 1M", "has more than rate, burst rate"),
    ],
)
def test_what_is_none_is_refused_and_told_where(text: str, told: str) -> None:
    with pytest.raises(BadRateLimit) as caught:
        parse(text)
    assert told in str(caught.value)


@given(st.text("0123456789kMG/ ", max_size=30))
def test_whatever_is_read_is_a_limit_in_both_directions(text: str) -> None:
    try:
        found = parse(text)
    except BadRateLimit:
        return
    assert all(rate >= 0 for rate in found.max_limit)
    upload, download = found.max_limit
    assert parse(f"{upload}/{download}").max_limit == found.max_limit  # as a router shows its queues
