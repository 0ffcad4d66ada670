"""Ranges of finish addresses (R3.1)."""

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.address_pool import BadRange, Span, dotted, holds, in_order, overlap, size, span_of


def dots(span: Span) -> tuple[str, str]:
    return dotted(span[0]), dotted(span[1])


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("10.98.0.5", "10.98.0.5", "10.98.0.5"),
        ("10.98.0.5-10.98.0.9", "10.98.0.5", "10.98.0.9"),
        ("10.98.0.5-10.98.0.5", "10.98.0.5", "10.98.0.5"),
        ("10.99.0.0/24", "10.99.0.1", "10.99.0.254"),
        ("10.99.0.0/30", "10.99.0.1", "10.99.0.2"),
        ("10.99.0.0/31", "10.99.0.0", "10.99.0.1"),
        ("10.99.0.7/32", "10.99.0.7", "10.99.0.7"),
        ("10.99.0.0-10.99.0.255", "10.99.0.0", "10.99.0.255"),
    ],
)
def test_r3_1_a_range_is_an_address_two_or_a_prefix(text: str, first: str, last: str) -> None:
    assert dots(span_of(text)) == (first, last)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is not a range"),
        ("10.98.0", "is not a range"),
        ("10.98.0.5-9", "is not a range"),
        ("10.98.0.5-", "is not a range"),
        ("10.98.0.5 - 10.98.0.9", "is not a range"),
        ("10.98.0.0/33", "is not a range"),
        ("2001:db8::/64", "is not a range"),
        ("10.98.0.1/24", "has bits set to the right of its prefix"),
        ("10.98.0.9-10.98.0.5", "ends before it begins"),
        ("0.0.0.0", "no subscriber can have"),
        ("127.0.0.1", "no subscriber can have"),
        ("100.0.0.0-130.0.0.0", "no subscriber can have"),
        ("224.0.0.0/30", "no subscriber can have"),
        ("255.255.255.254", "no subscriber can have"),
    ],
)
def test_r3_1_what_is_no_range_is_refused(text: str, fault: str) -> None:
    with pytest.raises(BadRange) as refused:
        span_of(text)
    assert fault in str(refused.value) and repr(text) in str(refused.value)


def test_r3_1_an_address_is_in_one_range_only() -> None:
    assert in_order([span_of("10.99.0.9"), span_of("10.98.0.0/24")]) == (span_of("10.98.0.0/24"), span_of("10.99.0.9"))
    with pytest.raises(BadRange, match=r"10\.98\.0\.7 is there twice"):
        in_order([span_of("10.98.0.7"), span_of("10.98.0.0/24")])


base = int(IPv4Address("10.0.0.0"))
drawn = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)).map(lambda at: (base + at[0], base + sum(at))))


@given(drawn, st.integers(0, 70))
def test_r3_1_spans_hold_what_lies_in_one_of_them(spans: list[Span], at: int) -> None:
    try:
        ordered = in_order(spans)
    except BadRange:
        assert any(overlap(one, other) for place, one in enumerate(spans) for other in spans[:place])
        return
    every = [address for first, last in spans for address in range(first, last + 1)]
    assert len(set(every)) == len(every) == size(ordered)
    assert holds(ordered, base + at) == (base + at in every)
