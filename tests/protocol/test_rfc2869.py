"""RFC 2869 section 5.14 and RFC 3579 section 3.2: Message-Authenticator."""

import hmac
from hashlib import md5

import pytest

from aaa.radius import packet
from aaa.radius.integrity import (
    MA_ABSENT,
    MA_INVALID,
    MA_VALID,
    Secret,
    access_reply,
    access_request,
    needs_message_authenticator,
    verify_access_request,
    verify_reply,
)
from aaa.radius.packet import MalformedPacket, encode_attribute, parse

SECRET = Secret(b"testing123")
AUTHENTICATOR = bytes(range(100, 116))
NAME = encode_attribute(1, b"ali")


@pytest.mark.parametrize("key", [b"k", b"testing123", bytes(63), b"x" * 64, b"y" * 65, b"z" * 200])
def test_rfc2104_2_hmac_md5_equals_the_standard_library(key: bytes) -> None:
    for message in (b"", b"a", bytes(55), bytes(64), bytes(4096)):
        assert Secret(key).hmac_md5(message) == hmac.digest(key, message, "md5")


def test_rfc2869_5_14_request_is_signed_over_itself_with_zeros_in_place() -> None:
    for body in (NAME, b""):
        data = access_request(3, AUTHENTICATOR, SECRET, body)
        blank = data[:22] + bytes(16) + data[38:]
        assert data[20:22] == bytes((80, 18))
        assert data[22:38] == hmac.digest(b"testing123", blank, "md5")
        assert verify_access_request(parse(data), SECRET) == MA_VALID


def test_rfc2869_5_14_position_does_not_matter_on_receipt() -> None:
    body = NAME + encode_attribute(80, bytes(16)) + encode_attribute(33, b"p")
    blank = bytes((1, 3, 0, 20 + len(body))) + AUTHENTICATOR + body
    at = 20 + len(NAME) + 2
    data = blank[:at] + hmac.digest(b"testing123", blank, "md5") + blank[at + 16 :]
    parsed = parse(data)
    assert parsed.ma_offset == at
    assert verify_access_request(parsed, SECRET) == MA_VALID
    assert verify_access_request(parsed, Secret(b"testing124")) == MA_INVALID
    assert verify_access_request(parse(data + b"padding"), SECRET) == MA_VALID


def test_rfc2869_5_14_every_changed_octet_is_noticed() -> None:
    data = access_request(3, AUTHENTICATOR, SECRET, NAME)
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 0x20
        try:
            parsed = parse(bytes(changed))
        except MalformedPacket:
            continue
        assert verify_access_request(parsed, SECRET) != MA_VALID, at


def test_rfc2869_5_14_at_most_one() -> None:
    body = encode_attribute(80, bytes(16)) * 2
    with pytest.raises(MalformedPacket) as caught:
        parse(bytes((1, 3, 0, 20 + len(body))) + AUTHENTICATOR + body)
    assert caught.value.cause == "message-authenticator"


@pytest.mark.parametrize("size", [0, 15, 17])
def test_rfc2869_5_14_length_is_18(size: int) -> None:
    body = encode_attribute(80, bytes(size))
    with pytest.raises(MalformedPacket) as caught:
        parse(bytes((1, 3, 0, 20 + len(body))) + AUTHENTICATOR + body)
    assert caught.value.cause == "message-authenticator"


def test_rfc2869_5_14_absent() -> None:
    request = parse(bytes((1, 3, 0, 20 + len(NAME))) + AUTHENTICATOR + NAME)
    assert verify_access_request(request, SECRET) == MA_ABSENT
    assert not needs_message_authenticator(request)


def test_rfc3579_3_1_eap_message_needs_it() -> None:
    body = encode_attribute(79, b"\x02\x00\x00\x04")
    assert needs_message_authenticator(parse(bytes((1, 3, 0, 20 + len(body))) + AUTHENTICATOR + body))


@pytest.mark.parametrize("code", [packet.ACCESS_ACCEPT, packet.ACCESS_REJECT, packet.ACCESS_CHALLENGE])
def test_rfc3579_3_2_it_is_first_in_every_reply_and_right(code: int) -> None:
    request = parse(access_request(3, AUTHENTICATOR, SECRET, NAME + encode_attribute(33, b"p")))
    attributes = encode_attribute(18, b"hello")
    data = access_reply(code, request, SECRET, attributes)
    assert (data[0], data[1], int.from_bytes(data[2:4], "big")) == (code, 3, len(data))
    assert data[20:22] == bytes((80, 18))
    blank = data[:4] + AUTHENTICATOR + data[20:22] + bytes(16) + data[38:]
    assert data[22:38] == hmac.digest(b"testing123", blank, "md5")
    reply = parse(data)
    assert verify_reply(reply, AUTHENTICATOR, SECRET) == MA_VALID
    assert verify_reply(reply, bytes(16), SECRET) == MA_INVALID
    assert verify_reply(reply, AUTHENTICATOR, Secret(b"other")) == MA_INVALID


def test_rfc3579_3_2_a_reply_with_a_right_authenticator_and_a_wrong_one_of_these_is_refused() -> None:
    body = encode_attribute(80, bytes(16))
    header = bytes((2, 3, 0, 20 + len(body)))
    forged = header + md5(header + AUTHENTICATOR + body + b"testing123").digest() + body
    assert verify_reply(parse(forged), AUTHENTICATOR, SECRET) == MA_INVALID
