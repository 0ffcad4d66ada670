"""What CoA and Disconnect requests carry to name a session (RFC 5176 section 3)."""

from dataclasses import replace

import pytest

from aaa.coa.messages import Target, request_attributes
from aaa.radius.dictionary import load

NOW = 1_790_000_000_500_000
DICTIONARY = load()
PPP = Target("10.0.0.1", "mt1", "ali", "81000001", "10.10.0.7", "02:00:00:00:00:01")


def shown(target: Target, changes: bytes = b"") -> list[tuple[str, str | int]]:
    octets = request_attributes(target, changes, NOW)
    pairs = []
    while octets:
        pairs.append((octets[0], octets[2 : octets[1]]))
        octets = octets[octets[1] :]
    return DICTIONARY.decode_all(pairs)


def test_rfc5176_3_a_session_is_named_by_router_user_id_and_address() -> None:
    assert shown(PPP) == [
        ("NAS-Identifier", "mt1"),
        ("User-Name", "ali"),
        ("Acct-Session-Id", "81000001"),
        ("Framed-IP-Address", "10.10.0.7"),
        ("Event-Timestamp", 1_790_000_000),
    ]


@pytest.mark.parametrize(("source", "name"), [("10.0.0.1", "NAS-IP-Address"), ("2001:db8::1", "NAS-IPv6-Address")])
def test_a_router_without_identifier_is_named_by_its_address(source: str, name: str) -> None:
    assert shown(replace(PPP, source=source, identifier=""))[0] == (name, source)


def test_the_calling_station_is_named_only_when_there_is_nothing_better() -> None:
    bare = replace(PPP, acct_session_id="", framed_ip=None)
    assert ("Calling-Station-Id", "02:00:00:00:00:01") in shown(bare)
    assert "Calling-Station-Id" not in dict(shown(replace(PPP, framed_ip=None)))


def test_a_session_with_ipv6_alone_is_named_by_user_and_id() -> None:
    names = [name for name, _ in shown(replace(PPP, framed_ip=None))]
    assert names == ["NAS-Identifier", "User-Name", "Acct-Session-Id", "Event-Timestamp"]


def test_a_guest_that_is_named_by_his_mac_is_told_by_id_and_address_too() -> None:
    guest = Target("10.0.0.1", "mt1", "02:00:00:00:00:01", "8150000a", "10.5.0.9", "02:00:00:00:00:01")
    assert shown(guest)[:4] == [
        ("NAS-Identifier", "mt1"),
        ("User-Name", "02:00:00:00:00:01"),
        ("Acct-Session-Id", "8150000a"),
        ("Framed-IP-Address", "10.5.0.9"),
    ]


def test_changes_follow_what_names_the_session() -> None:
    changes = DICTIONARY.encode_profile([("Mikrotik-Rate-Limit", "1M/1M"), ("Session-Timeout", 60)])
    names = [name for name, _ in shown(PPP, changes)]
    assert names[-3:] == ["Session-Timeout", "Mikrotik-Rate-Limit", "Event-Timestamp"]
