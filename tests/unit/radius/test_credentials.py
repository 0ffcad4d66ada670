"""Credentials: every method both ways, blanks, and that nothing secret is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.radius import credentials, mppe, peer
from aaa.radius.integrity import OversizePacket, Secret, access_reply, access_request, accounting_reply, signed_request
from aaa.radius.packet import Packet, encode_attribute, encode_vendor, parse

SECRET = Secret(b"testing123")
AUTHENTICATOR = bytes(range(16))
METHODS = list(credentials.METHODS)

passwords = st.text(min_size=1, max_size=30).map(str.encode).filter(lambda password: password.strip(b"\0") != b"")


def login(method: str, password: bytes, username: bytes = b"ali") -> Packet:
    match method:
        case "pap":
            attributes = peer.pap_attributes(password, SECRET, AUTHENTICATOR)
        case "chap":
            attributes = peer.chap_attributes(password, 3, bytes(range(20)))
        case "mschap":
            attributes = peer.mschap_attributes(password, 3, bytes(range(8)))
        case _:
            attributes = peer.mschapv2_attributes(username, password, 3, bytes(range(16)), bytes(range(16, 32)))
    return parse(access_request(1, AUTHENTICATOR, SECRET, encode_attribute(1, username) + attributes))


@pytest.mark.parametrize("method", METHODS)
@given(password=passwords, other=passwords)
def test_the_right_password_and_no_other_is_accepted(method: str, password: bytes, other: bytes) -> None:
    request = login(method, password)
    result = credentials.verify(request, SECRET, password)
    assert (result.method, result.ok, result.cause) == (method, True, "")
    # PAP cannot tell a password from itself with NULs behind it (RFC 2865 section 5.2).
    same = other == password or (method == "pap" and other.rstrip(b"\0") == password.rstrip(b"\0"))
    assert credentials.verify(request, SECRET, other).ok == same


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stored", [b"", b"\0", bytes(16)])
@pytest.mark.parametrize("sent", [b"", b"secret"])
def test_a_blank_password_never_matches(method: str, stored: bytes, sent: bytes) -> None:
    result = credentials.verify(login(method, sent), SECRET, stored)
    assert (result.method, result.ok, result.cause) == (method, False, "blank")


def test_blank_password_as_sent_for_mac_authentication() -> None:
    assert credentials.presents_blank(login("pap", b""), SECRET)
    assert credentials.presents_blank(login("chap", b""), SECRET)
    for method in METHODS:
        assert not credentials.presents_blank(login(method, b"secret"), SECRET)
    assert not credentials.presents_blank(login("mschapv2", b""), SECRET)
    empty = encode_attribute(1, b"00:0C:29:11:22:33") + encode_attribute(2, b"")
    assert credentials.presents_blank(parse(access_request(1, AUTHENTICATOR, SECRET, empty)), SECRET)
    none = parse(access_request(1, AUTHENTICATOR, SECRET, encode_attribute(1, b"ali")))
    assert not credentials.presents_blank(none, SECRET)
    odd = parse(access_request(1, AUTHENTICATOR, SECRET, encode_attribute(2, bytes(5))))
    assert not credentials.presents_blank(odd, SECRET)


def test_no_credentials_or_too_many() -> None:
    none = parse(access_request(1, AUTHENTICATOR, SECRET, encode_attribute(1, b"ali") + encode_vendor(311, 10, b"x")))
    assert credentials.method(none) == credentials.NONE
    assert credentials.verify(none, SECRET, b"secret").cause == "missing"
    both = peer.pap_attributes(b"secret", SECRET, AUTHENTICATOR) + peer.chap_attributes(b"secret", 1, bytes(16))
    several = credentials.verify(parse(access_request(1, AUTHENTICATOR, SECRET, both)), SECRET, b"secret")
    assert (several.method, several.ok, several.cause) == ("none", False, "several")


def test_chap_without_a_challenge_uses_the_authenticator() -> None:
    chap = peer.chap_attributes(b"secret", 3, AUTHENTICATOR)[:19]
    request = parse(access_request(1, AUTHENTICATOR, SECRET, chap))
    assert credentials.verify(request, SECRET, b"secret").ok


@pytest.mark.parametrize("size", [0, 16, 18])
def test_chap_password_of_another_length_is_refused(size: int) -> None:
    request = parse(access_request(1, AUTHENTICATOR, SECRET, encode_attribute(3, bytes(size))))
    assert credentials.verify(request, SECRET, b"secret").cause == "malformed"


def test_mschapv2_needs_a_user_name() -> None:
    attributes = peer.mschapv2_attributes(b"ali", b"secret", 3, bytes(16), bytes(16))
    request = parse(access_request(1, AUTHENTICATOR, SECRET, attributes))
    assert credentials.verify(request, SECRET, b"secret").cause == "malformed"


@pytest.mark.parametrize("method", ["mschap", "mschapv2"])
def test_a_password_that_is_no_text_never_matches_mschap(method: str) -> None:
    assert credentials.verify(login(method, b"secret"), SECRET, b"\xff\xfe").cause == "mismatch"
    with pytest.raises(ValueError, match="UTF-8") as caught:
        credentials.nt_hash(b"\xff\xfe")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("method", METHODS)
def test_accept_and_reject_attributes_by_method(method: str) -> None:
    request = login(method, b"secret")
    right = credentials.verify(request, SECRET, b"secret")
    wrong = credentials.verify(request, SECRET, b"wrong")
    accept = parse(access_reply(2, request, SECRET, credentials.accept_attributes(request, SECRET, right, bytes(4))))
    reject = parse(access_reply(3, request, SECRET, credentials.reject_attributes(request, wrong)))
    assert (accept.vendor(311, 26) is not None) == (method == "mschapv2")
    assert (mppe.received_keys(accept, SECRET, AUTHENTICATOR) is not None) == (method == "mschapv2")
    assert (accept.vendor(311, 12) is not None) == (method == "mschap")
    assert (reject.vendor(311, 2) is not None) == method.startswith("mschap")
    assert peer.proves_password(accept, request, b"secret") == (method == "mschapv2")
    with pytest.raises(ValueError, match="wrong"):
        credentials.accept_attributes(request, SECRET, wrong, bytes(4))


def test_a_domain_is_left_out_by_both_ends() -> None:
    assert credentials.bare_username(b"BIGCO\\ali") == b"ali"
    assert credentials.bare_username(b"ali@example") == b"ali@example"
    assert credentials.verify(login("mschapv2", b"secret", b"BIGCO\\ali"), SECRET, b"secret").ok


@pytest.mark.parametrize("method", METHODS)
def test_nothing_secret_is_shown(method: str) -> None:
    request = login(method, b"hunter2")
    result = credentials.verify(request, SECRET, b"hunter2")
    for shown in (repr(result), str(result), repr(SECRET), str(SECRET), f"{request}", repr(request)):
        assert "hunter2" not in shown
        assert "testing123" not in shown
        assert result.nt_response.hex() not in shown or not result.nt_response


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        Secret(b"")


def test_replies_above_4096_octets_are_refused() -> None:
    request = login("pap", b"secret")
    room = 4096 - 38
    attributes = encode_attribute(18, bytes(253)) * 15 + encode_attribute(18, bytes(room - 15 * 255 - 2))
    assert len(access_reply(2, request, SECRET, attributes)) == 4096
    with pytest.raises(OversizePacket) as caught:
        access_reply(2, request, SECRET, attributes + b"\x12\x02")
    assert caught.value.length == 4098
    with pytest.raises(OversizePacket):
        accounting_reply(request, SECRET, attributes + encode_attribute(18, bytes(30)))
    with pytest.raises(OversizePacket):
        access_request(1, AUTHENTICATOR, SECRET, attributes + b"\x12\x02")
    with pytest.raises(OversizePacket):
        signed_request(4, 1, SECRET, attributes + b"\x12\x02")
