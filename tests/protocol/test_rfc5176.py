"""RFC 5176: signing of CoA and Disconnect."""

import hmac
from hashlib import md5

import pytest

from aaa.radius import packet
from aaa.radius.integrity import MA_INVALID, MA_VALID, Secret, access_reply, signed_request, verify_reply
from aaa.radius.integrity import verify_signed_request as verify
from aaa.radius.packet import encode_attribute, parse

SECRET = Secret(b"testing123")
SESSION = encode_attribute(1, b"ali") + encode_attribute(44, b"81700001")


@pytest.mark.parametrize("code", [packet.COA_REQUEST, packet.DISCONNECT_REQUEST])
def test_rfc5176_3_4_message_authenticator_is_computed_first_and_over_zeros(code: int) -> None:
    data = signed_request(code, 200, SECRET, SESSION)
    zeros = data[:4] + bytes(16)
    assert data[22:38] == hmac.digest(b"testing123", zeros + data[20:22] + bytes(16) + SESSION, "md5")
    assert data[4:20] == md5(zeros + data[20:] + b"testing123").digest()
    assert verify(parse(data), SECRET) == MA_VALID
    assert verify(parse(data), Secret(b"testing12")) == MA_INVALID


def test_rfc5176_2_3_other_codes_have_no_computed_authenticator() -> None:
    with pytest.raises(ValueError, match="code 1 "):
        signed_request(packet.ACCESS_REQUEST, 200, SECRET, SESSION)


@pytest.mark.parametrize(
    ("code", "answer"),
    [(packet.COA_REQUEST, packet.COA_ACK), (packet.DISCONNECT_REQUEST, packet.DISCONNECT_NAK)],
)
def test_rfc5176_2_3_answers_use_the_request_authenticator(code: int, answer: int) -> None:
    request = parse(signed_request(code, 200, SECRET, SESSION))
    cause = encode_attribute(packet.ERROR_CAUSE, (503).to_bytes(4, "big"))
    reply = parse(access_reply(answer, request, SECRET, cause))
    assert verify_reply(reply, request.authenticator, SECRET) == MA_VALID
    assert verify_reply(reply, bytes(16), SECRET) == MA_INVALID
    assert reply.get(packet.ERROR_CAUSE) == bytes.fromhex("000001f7")
