"""RFC 2866: accounting authenticators."""

from hashlib import md5

from aaa.radius import packet
from aaa.radius.integrity import (
    MA_ABSENT,
    MA_INVALID,
    MA_VALID,
    Secret,
    accounting_reply,
    signed_request,
    verify_reply,
    verify_signed_request,
)
from aaa.radius.packet import encode_attribute, parse

SECRET = Secret(b"testing123")
START = encode_attribute(40, bytes((0, 0, 0, 1))) + encode_attribute(44, b"81700001")


def test_rfc2866_3_request_authenticator_is_md5_over_zeros_and_the_secret() -> None:
    data = signed_request(packet.ACCOUNTING_REQUEST, 9, SECRET, START, message_authenticator=False)
    assert data[:4] == bytes((4, 9, 0, 20 + len(START)))
    assert data[4:20] == md5(data[:4] + bytes(16) + START + b"testing123").digest()
    assert verify_signed_request(parse(data), SECRET) == MA_ABSENT


def test_rfc2866_3_a_wrong_request_authenticator_is_refused() -> None:
    data = signed_request(packet.ACCOUNTING_REQUEST, 9, SECRET, START)
    assert verify_signed_request(parse(data), SECRET) == MA_VALID
    assert verify_signed_request(parse(data), Secret(b"testing124")) == MA_INVALID
    for at in (1, 4, 19, len(data) - 1):
        changed = bytearray(data)
        changed[at] ^= 1
        assert verify_signed_request(parse(bytes(changed)), SECRET) == MA_INVALID


def test_rfc2869_5_14_a_wrong_message_authenticator_is_refused_even_under_a_right_authenticator() -> None:
    body = encode_attribute(80, bytes(16)) + START
    header = bytes((4, 9, 0, 20 + len(body)))
    data = header + md5(header + bytes(16) + body + b"testing123").digest() + body
    assert verify_signed_request(parse(data), SECRET) == MA_INVALID


def test_rfc2866_4_2_response_echoes_proxy_state() -> None:
    body = encode_attribute(33, b"a") + START + encode_attribute(33, b"b")
    request = parse(signed_request(packet.ACCOUNTING_REQUEST, 9, SECRET, body))
    reply = parse(accounting_reply(request, SECRET))
    assert (reply.code, reply.identifier) == (packet.ACCOUNTING_RESPONSE, 9)
    assert reply.attributes() == [(33, b"a"), (33, b"b")]
    assert verify_reply(reply, request.authenticator, SECRET) == MA_ABSENT
    assert verify_reply(reply, bytes(16), SECRET) == MA_INVALID
