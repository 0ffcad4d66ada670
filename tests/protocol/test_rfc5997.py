"""RFC 5997: Status-Server, with the examples of section 6 (shared secret "xyzzy5461")."""

import pytest

from aaa.radius import packet
from aaa.radius.integrity import (
    MA_ABSENT,
    MA_INVALID,
    MA_VALID,
    Secret,
    access_reply,
    needs_message_authenticator,
    verify_access_request,
    verify_reply,
)
from aaa.radius.packet import parse

SECRET = Secret(b"xyzzy5461")

EXAMPLES = [
    (
        "0c da 00 26 8a 54 f4 68 6f b3 94 c5 28 66 e3 02 18 5d 06 23 50 12 5a 66 5e 2e 1e 84 11 f3 e2 43"
        "82 20 97 c8 4f a3",
        "02 da 00 14 ef 0d 55 2a 4b f2 d6 93 ec 2b 6f e8 b5 41 1d 66",
    ),
    (
        "0c b3 00 26 92 5f 6b 66 dd 5f ed 57 1f cb 1d b7 ad 38 82 60 50 12 e8 d6 ea bd a9 10 87 5c d9 1f"
        "da de 26 36 78 58",
        "05 b3 00 14 0f 6f 92 14 5f 10 7e 2f 50 4e 86 0a 48 60 66 9c",
    ),
    (
        "0c 47 00 2c bf 58 de 56 ae 40 8a d3 b7 0c 85 13 f9 b0 3f be 04 06 c0 00 02 10 50 12 85 2d 6f ec"
        "61 e7 ed 74 b8 e3 2d ac 2f 2a 5f b2",
        "02 47 00 34 46 f4 3e 62 fd 03 54 42 4c bb eb fd 6d 21 4e 06 12 20 52 41 44 49 55 53 20 53 65 72"
        "76 65 72 20 75 70 20 32 20 64 61 79 73 2c 20 31 38 3a 34 30",
    ),
]


@pytest.mark.parametrize(("query", "answer"), EXAMPLES, ids=["6_1", "6_2", "6_3"])
def test_rfc5997_6_examples(query: str, answer: str) -> None:
    request = parse(bytes.fromhex(query))
    assert request.code == packet.STATUS_SERVER
    assert verify_access_request(request, SECRET) == MA_VALID
    assert verify_access_request(request, Secret(b"xyzzy5460")) == MA_INVALID
    assert verify_reply(parse(bytes.fromhex(answer)), request.authenticator, SECRET) == MA_ABSENT


def test_rfc5997_3_needs_message_authenticator() -> None:
    assert needs_message_authenticator(parse(bytes.fromhex("0cda0014") + bytes(16)))


@pytest.mark.parametrize("code", [packet.ACCESS_ACCEPT, packet.ACCOUNTING_RESPONSE])
def test_rfc5997_4_answer_for_either_port(code: int) -> None:
    request = parse(bytes.fromhex(EXAMPLES[0][0]))
    reply = parse(access_reply(code, request, SECRET, b""))
    assert (reply.code, reply.identifier) == (code, 0xDA)
    assert verify_reply(reply, request.authenticator, SECRET) == MA_VALID
