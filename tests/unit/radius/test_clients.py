"""Which router a packet comes from."""

from ipaddress import IPv4Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.radius.clients import Clients, DuplicateNas, parse_address, parse_network
from tests.unit.radius.logins import nas


@pytest.mark.parametrize("source", ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8::5", "fe80::1%eth0"])
def test_a_router_is_known_by_its_address(source: str) -> None:
    routers = Clients([nas("four", "10.1.2.3"), nas("six", "2001:db8::5"), nas("local", "fe80::1")])
    found = routers.match(source, None)
    assert found is not None
    assert parse_address(source) in found.network


def test_an_unknown_source_is_nobody() -> None:
    routers = Clients([nas("four", "10.1.2.3"), nas("six", "2001:db8::/32")])
    assert routers.match("10.1.2.4", None) is None
    assert routers.match("2001:db9::1", None) is None
    assert routers.match("::10.1.2.3", None) is None
    assert Clients([]).match("10.1.2.3", b"mt") is None


def test_the_longest_prefix_wins() -> None:
    routers = Clients([nas("all", "0.0.0.0/0"), nas("site", "10.1.0.0/16"), nas("one", "10.1.2.3")])
    assert [routers.match(source, None).name for source in ("10.1.2.3", "10.1.9.9", "10.2.0.1")] == [  # type: ignore[union-attr]
        "one",
        "site",
        "all",
    ]


def test_several_behind_one_address_are_told_apart_by_identifier() -> None:
    routers = Clients([nas("a", "10.1.2.3", "tower-a"), nas("b", "10.1.2.3", "tower-b"), nas("rest", "10.1.2.3")])
    found = [routers.match("10.1.2.3", name) for name in (b"tower-a", b"tower-b", b"tower-c", None)]
    assert [one.name for one in found if one] == ["a", "b", "rest", "rest"]


def test_without_a_nameless_router_another_identifier_is_unknown() -> None:
    routers = Clients([nas("a", "10.1.2.3", "tower-a")])
    assert routers.match("10.1.2.3", b"tower-b") is None
    assert routers.match("10.1.2.3", None) is None


def test_an_identifier_that_the_longest_prefix_lacks_is_left_to_the_shorter() -> None:
    routers = Clients([nas("a", "10.1.2.3", "tower-a"), nas("site", "10.1.0.0/16"), nas("b", "10.0.0.0/8", "tower-b")])
    found = [routers.match("10.1.2.3", name) for name in (b"tower-a", b"tower-x", b"tower-b")]
    # A router without an identifier is any router: it hides the shorter prefixes.
    assert [one.name for one in found if one] == ["a", "site", "site"]


def test_two_routers_that_nothing_tells_apart_are_refused() -> None:
    with pytest.raises(DuplicateNas, match="b and NAS a"):
        Clients([nas("a", "10.0.0.1"), nas("b", "::ffff:10.0.0.1")])
    with pytest.raises(DuplicateNas, match="'x'"):
        Clients([nas("a", "10.0.0.1", "x"), nas("b", "10.0.0.1", "x")])


def test_an_ipv4_mapped_prefix_is_the_ipv4_one() -> None:
    assert parse_network("::ffff:10.1.0.0/112") == IPv4Network("10.1.0.0/16")
    with pytest.raises(ValueError, match="host bits"):
        parse_network("10.1.2.3/16")


def test_the_cache_by_source_stays_bounded() -> None:
    routers = Clients([nas("all", "10.0.0.0/8")], remembered=10)
    for last in range(200):
        assert routers.match(f"10.0.0.{last}", None) is not None
        assert len(routers._sources) <= 10


@given(
    st.lists(st.tuples(st.ip_addresses(v=4), st.integers(0, 32)), max_size=8),
    st.ip_addresses(v=4),
)
def test_the_match_is_the_longest_of_all_that_hold_the_address(
    prefixes: list[tuple[object, int]], source: object
) -> None:
    networks = {ip_network(f"{address}/{length}", strict=False) for address, length in prefixes}
    found = Clients(nas(str(one), str(one)) for one in networks).match(str(source), None)
    holding = [one for one in networks if ip_address(str(source)) in one]
    assert (found.network if found else None) == max(holding, key=lambda one: one.prefixlen, default=None)
