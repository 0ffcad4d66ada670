"""Attribute values and dictionaries: what people write, what is sent, what is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.radius import dictionary
from aaa.radius.attributes import Attribute, InvalidAttribute, encode_value, split_gigawords
from aaa.radius.dictionary import UnknownAttribute
from aaa.radius.packet import encode_attribute, encode_vendor, parse

NAMES = dictionary.load()


def made(kind: str) -> Attribute:
    """An attribute of a type that the shipped files may not use."""
    return Attribute("Test", 0, 1, kind, {}, {}, tagged=False, encrypted=False, secret=False)


@pytest.mark.parametrize(
    ("name", "value", "octets"),
    [
        ("Session-Timeout", 3600, "1b06 00000e10"),
        ("Session-Timeout", "3600", "1b06 00000e10"),
        ("Session-Timeout", 0xFFFFFFFF, "1b06 ffffffff"),
        ("Termination-Action", "RADIUS-Request", "1d06 00000001"),
        ("Termination-Action", 1, "1d06 00000001"),
        ("Framed-IP-Address", "192.168.1.16", "0806 c0a80110"),
        ("Filter-Id", "a", "0b03 61"),
        ("Reply-Message", "بدهی", "120a d8a8d8afd987db8c"),
        ("MS-Filter", "0x4142", "1a0a 00000137 1604 4142"),
        ("Login-IPv6-Host", "2001:db8::1", "6212 20010db8000000000000000000000001"),
        ("Framed-IPv6-Prefix", "2001:db8::/32", "6108 0020 20010db8"),
        ("Framed-IPv6-Prefix", "::/0", "6104 0000"),
        ("Delegated-IPv6-Prefix", "2001:db8:0:8000::/49", "7b0b 0031 20010db8000080"),
        ("Framed-Interface-Id", "0:0:0:1", "600a 0000000000000001"),
        ("Framed-Route", ["10.1.0.0/16", "10.2.0.0/16"], "160d 31302e312e302e302f3136 160d 31302e322e302e302f3136"),
        ("Mikrotik-Rate-Limit", "1M/2M", "1a0d 00003a8c 0807 314d2f324d"),
        ("Mikrotik-Total-Limit", 1, "1a0c 00003a8c 1106 00000001"),
        ("WISPr-Bandwidth-Max-Up", 64000, "1a0c 0000372a 0706 0000fa00"),
        ("Ascend-Data-Rate", 64000, "1a0c 00000211 c506 0000fa00"),
        ("Tunnel-Type:1", "VLAN", "4006 0100000d"),
        ("Tunnel-Type", "VLAN", "4006 0000000d"),
        ("Tunnel-Private-Group-Id:1", "20", "5105 01 3230"),
        ("Tunnel-Private-Group-Id", "20", "5104 3230"),
        ("Tunnel-Private-Group-Id", "\t20", "5106 00 093230"),
    ],
)
def test_values_become_octets(name: str, value: object, octets: str) -> None:
    NAMES.check(name, value)
    assert NAMES.encode(name, value) == bytes.fromhex(octets)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("Mikrotik-Recv-Limit", "abc", "Mikrotik-Recv-Limit: 'abc' is not an integer"),
        ("Mikrotik-Recv-Limit", 1 << 32, "Mikrotik-Recv-Limit: 4294967296 is not in 0..4294967295"),
        ("Mikrotik-Recv-Limit", -1, "Mikrotik-Recv-Limit: -1 is not in 0..4294967295"),
        ("Session-Timeout", 1.5, "Session-Timeout: 1.5 is not an integer"),
        ("Session-Timeout", True, "Session-Timeout: true or false is not an integer"),
        ("Session-Timeout", None, "Session-Timeout: null is not an integer"),
        ("Session-Timeout", "", "Session-Timeout: '' is not an integer"),
        ("Session-Timeout", "٣", "Session-Timeout: '٣' is not an integer"),
        ("Session-Timeout", [1, "x"], "Session-Timeout: 'x' is not an integer"),
        ("Session-Timeout", {"a": 1}, "Session-Timeout: a dict is not an integer"),
        ("Termination-Action", "No", "'No' is neither an integer nor one of Default, RADIUS-Request"),
        ("Framed-IP-Address", "1.2.3", "Framed-IP-Address: '1.2.3' is not an IPv4 address"),
        ("Framed-IP-Address", 1, "Framed-IP-Address: must be given as text, not as a number"),
        ("Login-IPv6-Host", "fe80::1%eth0", "Login-IPv6-Host: 'fe80::1%eth0' is not an IPv6 address"),
        ("Framed-IPv6-Prefix", "2001:db8::1", "is not an IPv6 prefix"),
        ("Framed-IPv6-Prefix", "2001:db8::1/32", "is not an IPv6 prefix"),
        ("Framed-Interface-Id", "::1", "is not an interface identifier"),
        ("Framed-Interface-Id", "0:0:0:g", "is not an interface identifier"),
        ("Filter-Id", "", "Filter-Id: must not be empty"),
        ("Filter-Id", 5, "Filter-Id: must be given as text, not as a number"),
        ("Filter-Id", [["a"]], "Filter-Id: must be given as text, not as a list"),
        ("Filter-Id", "x" * 254, "Filter-Id: 254 octets are too long, the most is 253"),
        ("Filter-Id", "\ud800", "Filter-Id: is not valid Unicode text"),
        ("Mikrotik-Mark-Id", "x" * 248, "Mikrotik-Mark-Id: 248 octets are too long, the most is 247"),
        ("MS-Filter", "abc", "MS-Filter: must be given as 0x and pairs of hex digits"),
        ("MS-Filter", "0x", "MS-Filter: must be given as 0x and pairs of hex digits"),
        ("MS-Filter", "0x123", "MS-Filter: must be given as 0x and pairs of hex digits"),
        ("Tunnel-Type:32", "VLAN", "tag 32 is not in 0..31"),
        ("Tunnel-Type:x", "VLAN", "the tag after the colon is not a number"),
        ("Tunnel-Type", 1 << 24, "a tagged number must be below 2**24"),
        ("Filter-Id:1", "a", "Filter-Id:1: takes no tag"),
        ("User-Password", "0x41", "User-Password: is computed for each packet and cannot be set"),
        ("MS-MPPE-Send-Key", "0x41", "MS-MPPE-Send-Key: is computed for each packet and cannot be set"),
        ("Message-Authenticator", "0x41", "is computed for each packet and cannot be set"),
        ("Tunnel-Password:1", "0x41", "is computed for each packet and cannot be set"),
        ("MS-CHAP2-Success", "0x41", "is computed for each packet and cannot be set"),
        ("User-Name", "ali", "User-Name: would have the router call the session by another name than the login"),
        ("Mikrotik-Rate-Limit", "fast", "Mikrotik-Rate-Limit: the rate 'fast' is not bits per second"),
        ("Mikrotik-Rate-Limit", "1M 2M 1M 8 9", "Mikrotik-Rate-Limit: the priority '9' is not 1 to 8"),
        ("Mikrotik-Rate-Limit", ["1M", "2M"], "Mikrotik-Rate-Limit: must be one text such as 2M/4M"),
        ("Mikrotik-Rate-Limit", 5, "Mikrotik-Rate-Limit: must be one text such as 2M/4M"),
        ("Reply-Message", ["x" * 253] * 8 + ["x" * 7], "comes to 2049 octets, a reply has room for 2048 of it"),
    ],
)
def test_bad_values_are_refused_by_name(name: str, value: object, message: str) -> None:
    with pytest.raises(InvalidAttribute) as caught:
        NAMES.check(name, value)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", ["2026-11-23T03:30:00+03:30", 1795392000])
def test_a_time_becomes_octets(value: object) -> None:
    assert NAMES.encode("Event-Timestamp", value) == bytes.fromhex("3706 6b038200")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("soon", "Event-Timestamp: 'soon' is not an ISO 8601 time"),
        ("2026-11-23", "does not say its offset"),
        ("1969-12-31T00:00:00Z", "is not in 0..4294967295"),
    ],
)
def test_a_bad_time_is_refused(value: str, message: str) -> None:
    with pytest.raises(InvalidAttribute, match=message):
        NAMES.encode("Event-Timestamp", value)


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownAttribute, match=r"no such attribute; did you mean Mikrotik-Rate-Limit\?"):
        NAMES.check("Mikrotik-RateLimit", "1M")
    with pytest.raises(UnknownAttribute, match=r"^§: no such attribute$"):
        NAMES.encode("§", 1)
    assert "Mikrotik-Rate-Limit" in NAMES
    assert "Mikrotik-RateLimit" not in NAMES


def test_secret_values_are_in_no_error_and_no_display() -> None:
    for value in ("hunter2" * 40, 123456789, ["ok", {"hunter2": 1}]):
        with pytest.raises(InvalidAttribute) as caught:
            NAMES.check("Mikrotik-Wireless-PSK", value)
        assert "hunter2" not in str(caught.value)
        assert "123456789" not in str(caught.value)
    assert NAMES.decode(26, NAMES.encode("Mikrotik-Wireless-PSK", "hunter2")[2:]) == [("Mikrotik-Wireless-PSK", "***")]
    assert NAMES.decode(2, b"hidden by the protocol") == [("User-Password", "***")]


@pytest.mark.parametrize(
    ("kind", "value", "octets", "refused"),
    [
        ("integer64", (1 << 64) - 1, "ff" * 8, 1 << 64),
        ("short", 65535, "ffff", 65536),
        ("byte", 255, "ff", 256),
        ("signed", -1, "ffffffff", 1 << 31),
        ("signed", -(1 << 31), "80000000", -(1 << 31) - 1),
        ("ether", "00:0C:29:11:22:33", "000c29112233", "00:0c:29:11:22"),
        ("ether", "00-0C-29-11-22-33", "000c29112233", "00 0c 29 11 22 33"),
    ],
)
def test_types_that_other_dictionaries_use(kind: str, value: object, octets: str, refused: object) -> None:
    assert encode_value(made(kind), value).hex() == octets
    with pytest.raises(InvalidAttribute):
        encode_value(made(kind), refused)


def test_a_profile_is_encoded_in_one_order() -> None:
    pairs: list[tuple[str, object]] = [
        ("Mikrotik-Rate-Limit", "1M/1M"),
        ("Framed-Route", "10.2.0.0/16"),
        ("Session-Timeout", 60),
        ("Mikrotik-Group", "gold"),
        ("Framed-Route", "10.1.0.0/16"),
        ("Framed-Pool", "pool1"),
    ]
    octets = NAMES.encode_profile(pairs)
    shuffled = [pairs[1], pairs[3], pairs[5], pairs[4], pairs[0], pairs[2]]
    assert NAMES.encode_profile(shuffled) == octets
    body = parse((bytes((2, 0)) + (20 + len(octets)).to_bytes(2, "big")) + bytes(16) + octets)
    assert NAMES.decode_all(body.attributes()) == [
        ("Framed-Route", "10.2.0.0/16"),
        ("Framed-Route", "10.1.0.0/16"),
        ("Session-Timeout", 60),
        ("Framed-Pool", "pool1"),
        ("Mikrotik-Group", "gold"),
        ("Mikrotik-Rate-Limit", "1M/1M"),
    ]
    as_list = NAMES.encode_profile([("Framed-Route", ["10.2.0.0/16", "10.1.0.0/16"])])
    assert as_list == NAMES.encode_profile([pairs[1], pairs[4]])
    assert NAMES.encode_profile([]) == b""


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Service-Type", 2, "Framed-User"),
        ("Service-Type", 99, 99),
        ("Framed-IPv6-Prefix", "2001:db8:8000::/33", "2001:db8:8000::/33"),
        ("Framed-Interface-Id", "0:0:0:1", "0000:0000:0000:0001"),
        ("Tunnel-Type:3", "VLAN", "VLAN"),
        ("Tunnel-Private-Group-Id:3", "20", "20"),
        ("Framed-IP-Address", "10.0.0.1", "10.0.0.1"),
        ("NAS-IPv6-Address", "2001:db8::1", "2001:db8::1"),
        ("Class", "0x00ff", "0x00ff"),
    ],
)
def test_octets_are_shown_as_people_write_them(name: str, value: object, shown: object) -> None:
    octets = NAMES.encode(name, value)
    assert NAMES.decode(octets[0], octets[2:]) == [(name.partition(":")[0], shown)]


def test_octets_that_fit_no_type_are_shown_in_hex() -> None:
    assert NAMES.decode(27, b"abc") == [("Session-Timeout", "0x616263")]
    assert NAMES.decode(8, b"abc") == [("Framed-IP-Address", "0x616263")]
    assert NAMES.decode(95, b"abc") == [("NAS-IPv6-Address", "0x616263")]
    assert NAMES.decode(97, b"\0\xff") == [("Framed-IPv6-Prefix", "0x00ff")]
    assert NAMES.decode(96, b"abc") == [("Framed-Interface-Id", "0x616263")]
    assert NAMES.decode(1, b"\xff") == [("User-Name", "0xff")]
    assert NAMES.decode(250, b"\xff") == [("Attr-250", "0xff")]
    assert NAMES.decode(26, b"\0\0\x3a\x8c\xc8\x03\x01") == [("Vendor-14988-Attr-200", "0x01")]
    assert NAMES.decode(26, b"\0\0\x3a") == [("Attr-26", "0x00003a")]


@given(st.integers(0, 2**64 - 1))
def test_gigawords_split_and_join(octets: int) -> None:
    low, high = split_gigawords(octets)
    assert 0 <= low < 2**32
    assert 0 <= high < 2**32
    assert low + (high << 32) == octets


@pytest.mark.parametrize("octets", [-1, 2**64])
def test_gigawords_have_a_range(octets: int) -> None:
    with pytest.raises(ValueError, match="2\\*\\*64"):
        split_gigawords(octets)


@given(st.integers(0, 255), st.binary(max_size=253))
def test_anything_can_be_shown(kind: int, value: bytes) -> None:
    assert NAMES.decode(kind, value)


def test_mikrotik_has_numbers_1_to_30() -> None:
    found = [NAMES.attribute(name) for name in NAMES.names() if name.startswith("Mikrotik-")]
    assert sorted(attribute.number for attribute in found) == list(range(1, 31))
    assert {attribute.vendor for attribute in found} == {14988}


def test_no_two_names_share_a_number() -> None:
    found = [NAMES.attribute(name) for name in NAMES.names()]
    assert len({(attribute.vendor, attribute.number) for attribute in found}) == len(found)


def test_a_broken_dictionary_names_file_and_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("ATTRIBUTE Good 200 string\nATTRIBUTE Bad x string\n")
    with pytest.raises(ValueError, match=r"dictionary broken\(2\)"):
        dictionary.load(str(broken))
    unsupported = tmp_path / "unsupported"
    unsupported.write_text("ATTRIBUTE Odd 200 abinary\n")
    with pytest.raises(ValueError, match="Odd has type abinary"):
        dictionary.load(str(unsupported))


def test_raw_encoders_refuse_what_does_not_fit() -> None:
    for kind, value in ((0, b"a"), (256, b"a"), (1, bytes(254))):
        with pytest.raises(ValueError, match=str(kind)):
            encode_attribute(kind, value)
    for kind, value in ((-1, b"a"), (256, b"a"), (1, bytes(248))):
        with pytest.raises(ValueError, match="14988"):
            encode_vendor(14988, kind, value)
