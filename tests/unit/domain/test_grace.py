"""The grace before a router enforces a verdict by itself."""

from collections import Counter

from aaa.domain.grace import LEAST, MOST, grace


def test_grace_is_spread_evenly_between_thirty_and_ninety_seconds() -> None:
    counts = Counter(grace(service_id) for service_id in range(1, 61_001))
    assert set(counts) == set(range(LEAST, MOST + 1))
    assert max(counts.values()) < 1.1 * min(counts.values())


def test_neighbours_do_not_share_their_grace() -> None:
    assert all(grace(service_id) != grace(service_id + 1) for service_id in range(1000))


def test_a_service_always_has_the_same_grace() -> None:
    assert grace(4711) == grace(4711)
    assert LEAST <= grace(2**40) <= MOST
