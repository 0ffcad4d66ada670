"""RFC 2433 appendix B, RFC 2759 section 9.2, RFC 3079 sections 2.5 and 3.5, RFC 2548: MS-CHAP and its keys."""

from hashlib import sha1

import pytest
from Crypto.Hash import MD4

from aaa.radius import credentials, mppe, peer
from aaa.radius.concealment import reveal
from aaa.radius.integrity import Secret, access_reply, access_request
from aaa.radius.packet import Packet, encode_attribute, encode_vendor, parse, split_vendor

SECRET = Secret(b"testing123")
AUTHENTICATOR = bytes(range(200, 216))

CHALLENGE = bytes.fromhex("5B5D7C7D7B3F2F3E3C2C602132262628")
PEER_CHALLENGE = bytes.fromhex("21402324255E262A28295F2B3A337C7E")
HASHED_CHALLENGE = bytes.fromhex("D02E4386BCE91226")
PASSWORD_HASH = bytes.fromhex("44EBBA8D5312B8D611474411F56989AE")
HASH_HASH = bytes.fromhex("41C00C584BD2D91C4017A2A12FA59F3F")
NT_RESPONSE = bytes.fromhex("82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")
MASTER_KEY = bytes.fromhex("FDECE3717A8C838CB388E527AE3CDD31")
SEND_START_KEY = bytes.fromhex("8B7CDC149B993A1BA118CB153F56DCCB")
SUCCESS = b"S=407A5589115FD0D6209F510FE9C04566932CDA56"


def request_with(attributes: bytes, username: bytes = b"User") -> Packet:
    return parse(access_request(5, AUTHENTICATOR, SECRET, encode_attribute(1, username) + attributes))


def v2_request(username: bytes = b"User", response: bytes = NT_RESPONSE, flags: int = 0) -> Packet:
    return request_with(
        encode_vendor(311, 11, CHALLENGE)
        + encode_vendor(311, 25, bytes((42, flags)) + PEER_CHALLENGE + bytes(8) + response),
        username,
    )


def test_rfc2433_b_2_hash_example() -> None:
    password_hash = bytes.fromhex("FC156AF7EDCD6C0EDDE3337D427F4EAC")
    challenge = bytes.fromhex("102DB5DF085D3041")
    response = bytes.fromhex("4E9D3C8F9CFD385D5BF4D3246791956CA4C351AB409A3D61")
    assert credentials.nt_hash(b"MyPw") == password_hash
    assert credentials.challenge_response(challenge, password_hash) == response
    request = request_with(
        encode_vendor(311, 11, challenge) + encode_vendor(311, 1, bytes((7, 1)) + bytes(24) + response)
    )
    result = credentials.verify(request, SECRET, b"MyPw")
    assert (result.method, result.ok) == ("mschap", True)
    assert not credentials.verify(request, SECRET, b"mypw").ok


def test_rfc2548_2_1_3_an_lm_response_alone_is_refused() -> None:
    response = bytes.fromhex("4E9D3C8F9CFD385D5BF4D3246791956CA4C351AB409A3D61")
    request = request_with(
        encode_vendor(311, 11, bytes.fromhex("102DB5DF085D3041"))
        + encode_vendor(311, 1, bytes((7, 0)) + bytes(24) + response)
    )
    result = credentials.verify(request, SECRET, b"MyPw")
    assert (result.ok, result.cause) == (False, "lm-only")


def test_rfc2759_9_2_hash_example() -> None:
    assert credentials.nt_hash(b"clientPass") == PASSWORD_HASH
    assert MD4.new(PASSWORD_HASH).digest() == HASH_HASH
    assert credentials.challenge_hash(PEER_CHALLENGE, CHALLENGE, b"User") == HASHED_CHALLENGE
    assert credentials.challenge_response(HASHED_CHALLENGE, PASSWORD_HASH) == NT_RESPONSE
    assert credentials.authenticator_response(HASH_HASH, NT_RESPONSE, HASHED_CHALLENGE) == SUCCESS


@pytest.mark.parametrize("flags", [0, 1])
def test_rfc2759_9_2_as_a_request(flags: int) -> None:
    request = v2_request(flags=flags)
    result = credentials.verify(request, SECRET, b"clientPass")
    assert (result.method, result.ok) == ("mschapv2", True)
    accept = parse(access_reply(2, request, SECRET, credentials.accept_attributes(request, SECRET, result, bytes(4))))
    assert accept.vendor(311, 26) == bytes((42,)) + SUCCESS
    assert peer.proves_password(accept, request, b"clientPass")
    assert not peer.proves_password(accept, request, b"clientpass")


def test_rfc2759_4_the_domain_is_not_hashed() -> None:
    assert credentials.verify(v2_request(b"BIGCO\\User"), SECRET, b"clientPass").ok
    assert not credentials.verify(v2_request(b"User2"), SECRET, b"clientPass").ok


def test_rfc2759_4_nor_by_another_servers_peer() -> None:
    """A request seen with another server: user example\\john, password "secret"."""
    response = bytes.fromhex(
        "0001502feeee9495a353cddbd1efc40072820000000000000000e866286bb30d0215ed16cf425b6a29d206667a9853e23ca4"
    )
    request = request_with(
        encode_vendor(311, 11, bytes.fromhex("16d2833f4239256dd2b2bb26f2ecb2a3")) + encode_vendor(311, 25, response),
        b"example\\john",
    )
    result = credentials.verify(request, SECRET, b"secret")
    assert result.ok
    assert result.success == b"\0S=68649B6763301DD65FC2559F2D172943196EA88A"


def test_rfc2759_4_a_peer_that_hashes_the_domain_is_served_too() -> None:
    hashed = credentials.challenge_hash(PEER_CHALLENGE, CHALLENGE, b"BIGCO\\User")
    request = v2_request(b"BIGCO\\User", credentials.challenge_response(hashed, PASSWORD_HASH))
    result = credentials.verify(request, SECRET, b"clientPass")
    assert result.ok
    assert result.success[1:] == credentials.authenticator_response(HASH_HASH, result.nt_response, hashed)


def test_rfc2759_6_failure_packet() -> None:
    request = v2_request()
    result = credentials.verify(request, SECRET, b"wrong")
    assert (result.ok, result.cause) == (False, "mismatch")
    [(vendor, kind, text)] = split_vendor(credentials.reject_attributes(request, result)[2:])
    assert (vendor, kind) == (311, 2)
    assert text == b"\x2aE=691 R=0 C=5B5D7C7D7B3F2F3E3C2C602132262628 V=3 M=Access denied"
    other = credentials.reject_attributes(request, result, credentials.ACCOUNT_DISABLED)
    assert b"E=647 R=0" in other


def test_rfc2433_8_failure_packet() -> None:
    attributes = peer.mschap_attributes(b"MyPw", 9, bytes(8))
    request = request_with(attributes)
    result = credentials.verify(request, SECRET, b"other")
    assert credentials.reject_attributes(request, result) == encode_vendor(311, 2, b"\x09E=691 R=0")


@pytest.mark.parametrize(
    "attributes",
    [
        encode_vendor(311, 25, bytes(50)),
        encode_vendor(311, 25, bytes(49)) + encode_vendor(311, 11, bytes(16)),
        encode_vendor(311, 25, bytes(50)) + encode_vendor(311, 11, bytes(8)),
        encode_vendor(311, 1, bytes(50)),
        encode_vendor(311, 1, bytes(51)) + encode_vendor(311, 11, bytes(8)),
        encode_vendor(311, 1, b"\0\x01" + bytes(48)) + encode_vendor(311, 11, bytes(16)),
        encode_vendor(311, 1, b"") + encode_vendor(311, 11, bytes(16)),
    ],
)
def test_rfc2548_2_wrong_lengths_are_refused(attributes: bytes) -> None:
    request = request_with(attributes)
    result = credentials.verify(request, SECRET, b"clientPass")
    assert (result.ok, result.cause) == (False, "malformed")
    credentials.reject_attributes(request, result)


def test_rfc3079_2_5_1_lm_password_hash() -> None:
    assert credentials.lm_hash(b"clientPass").hex() == "76a152936096d7830e2390227404afd2"
    assert credentials.lm_hash(b"longer than fourteen") == bytes(16)
    assert credentials.lm_hash("رمز".encode()) == bytes(16)


def test_rfc3079_2_5_3_v1_key_material_gives_the_session_key() -> None:
    """The router derives the 128-bit key from the NT-Key of MS-CHAP-MPPE-Keys; it must be the double hash."""
    challenge = bytes.fromhex("102db5df085d3041")
    request = request_with(peer.mschap_attributes(b"clientPass", 1, challenge))
    result = credentials.verify(request, SECRET, b"clientPass")
    accept = parse(access_reply(2, request, SECRET, credentials.accept_attributes(request, SECRET, result, b"")))
    hidden = accept.vendor(311, 12)
    assert hidden is not None
    keys = reveal(hidden, SECRET, AUTHENTICATOR)
    assert keys[:8].hex() == "76a152936096d783"
    assert keys[24:] == bytes(8)
    nt_key = keys[8:24]
    # Step 3 of the RFC prints one octet wrongly (ca for c1); step 4 has it right.
    initial = sha1(nt_key + nt_key + challenge).digest()[:16]
    assert initial.hex() == "a8947850cfc0acc1d1789fb62ddcddb0"
    current = sha1(initial + bytes(40) + initial + b"\xf2" * 40).digest()[:16]
    assert current.hex() == "59d159bc09f76f1da2a86a28ffec0b1e"


def test_rfc3079_3_5_3_keys() -> None:
    assert mppe.master_key(HASH_HASH, NT_RESPONSE) == MASTER_KEY
    send, receive = mppe.server_keys(MASTER_KEY)
    assert send == SEND_START_KEY
    assert receive != send
    session = sha1(send + bytes(40) + send + b"\xf2" * 40).digest()[:16]
    assert session.hex().upper() == "405CB2247A7956E6E211007AE27B22D4"


def test_rfc3079_3_5_3_keys_reach_the_nas() -> None:
    request = v2_request()
    result = credentials.verify(request, SECRET, b"clientPass")
    attributes = credentials.accept_attributes(request, SECRET, result, bytes.fromhex("01020304"))
    accept = parse(access_reply(2, request, SECRET, attributes))
    assert mppe.received_keys(accept, SECRET, AUTHENTICATOR) == mppe.server_keys(MASTER_KEY)
    assert accept.vendor(311, 7) == bytes((0, 0, 0, 1))
    assert accept.vendor(311, 8) == bytes((0, 0, 0, 6))
    send, receive = accept.vendor(311, 16), accept.vendor(311, 17)
    assert send is not None
    assert receive is not None
    assert (send[:2].hex(), receive[:2].hex()) == ("8102", "8304")
    assert len(send) == len(receive) == 34


@pytest.mark.parametrize("salts", ["00000000", "80018001", "00018001", "ffffffff", "7fff7fff"])
def test_rfc2548_2_4_2_salts_have_their_top_bit_and_differ(salts: str) -> None:
    octets = mppe.v2_attributes(HASH_HASH, NT_RESPONSE, SECRET, AUTHENTICATOR, bytes.fromhex(salts))
    parsed = request_with(octets)
    send, receive = parsed.vendor(311, 16), parsed.vendor(311, 17)
    assert send is not None
    assert receive is not None
    assert send[0] & 0x80
    assert receive[0] & 0x80
    assert send[:2] != receive[:2]


@pytest.mark.parametrize("value", [b"", b"\x80\0", b"\x80\0" + bytes(15)])
def test_rfc2548_2_4_2_a_key_of_a_wrong_length_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="blocks"):
        mppe.decrypt_key(value, SECRET, AUTHENTICATOR)


def test_rfc2548_2_4_2_a_wrong_secret_does_not_give_the_key() -> None:
    hidden = mppe.encrypt_key(MASTER_KEY, b"\x80\x01", SECRET, AUTHENTICATOR)
    assert mppe.decrypt_key(hidden, SECRET, AUTHENTICATOR) == MASTER_KEY
    try:
        assert mppe.decrypt_key(hidden, Secret(b"other"), AUTHENTICATOR) != MASTER_KEY
    except ValueError as error:
        assert "secret" in str(error)
