"""RFC 2865: the packet layout and the worked examples of section 7 (shared secret "xyzzy5461")."""

import pytest

from aaa.radius import credentials, packet
from aaa.radius.concealment import hide_password, reveal
from aaa.radius.integrity import MA_ABSENT, MA_VALID, Secret, access_reply, verify_access_request, verify_reply
from aaa.radius.packet import MalformedPacket, encode_attribute, encode_vendor, parse, split_vendor

SECRET = Secret(b"xyzzy5461")


def test_rfc2865_3_octets_outside_length_are_padding() -> None:
    data = bytes.fromhex("0100 0014") + bytes(16)
    parsed = parse(data + b"padding that looks like nothing")
    assert parsed.data == data
    assert parsed.attributes() == []


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"", "truncated"),
        (bytes.fromhex("01000014") + bytes(15), "truncated"),
        (bytes.fromhex("01000015") + bytes(16), "truncated"),
        (bytes.fromhex("01000013") + bytes(16), "length"),
        (bytes.fromhex("01000000") + bytes(16), "length"),
        (bytes.fromhex("01001001") + bytes(4093), "length"),
        (bytes.fromhex("00000014") + bytes(16), "code"),
        (bytes.fromhex("ff000014") + bytes(16), "code"),
        (bytes.fromhex("06000014") + bytes(16), "code"),
    ],
)
def test_rfc2865_3_a_bad_header_is_malformed(data: bytes, cause: str) -> None:
    with pytest.raises(MalformedPacket) as caught:
        parse(data)
    assert caught.value.cause == cause


def test_rfc2865_3_4096_octets_are_the_most() -> None:
    filler = encode_attribute(18, bytes(253)) * 15 + encode_attribute(18, bytes(249))
    data = (bytes.fromhex("01001000") + bytes(16) + filler)[:4096]
    assert len(parse(data).attributes()) == 16


@pytest.mark.parametrize(
    ("attributes", "cause"),
    [
        ("01", "attribute-overrun"),
        ("0100", "attribute-length"),
        ("0101", "attribute-length"),
        ("0103", "attribute-overrun"),
        ("0104 6161 01", "attribute-overrun"),
        ("0104 6161 01ff 61", "attribute-overrun"),
    ],
)
def test_rfc2865_5_a_bad_attribute_length_is_malformed(attributes: str, cause: str) -> None:
    body = bytes.fromhex(attributes)
    data = bytes((1, 0, 0, 20 + len(body))) + bytes(16) + body
    with pytest.raises(MalformedPacket) as caught:
        parse(data)
    assert caught.value.cause == cause


def test_rfc2865_5_an_attribute_may_not_reach_into_the_padding() -> None:
    data = bytes((1, 0, 0, 23)) + bytes(16) + bytes.fromhex("010461") + b"a"
    with pytest.raises(MalformedPacket) as caught:
        parse(data)
    assert caught.value.cause == "attribute-overrun"


def test_rfc2865_5_attributes_of_one_type_keep_their_order() -> None:
    body = encode_attribute(33, b"first") + encode_attribute(1, b"nemo") + encode_attribute(33, b"second")
    parsed = parse(bytes((1, 7, 0, 20 + len(body))) + bytes(16) + body)
    assert parsed.all(33) == [b"first", b"second"]
    assert parsed.attributes() == [(33, b"first"), (1, b"nemo"), (33, b"second")]
    assert parsed.get(33) == b"first"
    assert parsed.all(1) == [b"nemo"]
    assert parsed.all(2) == []
    assert parsed.get(2) is None


def test_rfc2865_5_2_passwords_hide_in_blocks_of_16_up_to_128() -> None:
    authenticator = bytes(range(16))
    for size in (0, 1, 15, 16, 17, 127, 128):
        password = bytes(97 + i % 26 for i in range(size))
        hidden = hide_password(password, SECRET, authenticator)
        assert len(hidden) == max(16, -(-size // 16) * 16)
        assert reveal(hidden, SECRET, authenticator) == password.ljust(len(hidden), b"\0")
    with pytest.raises(ValueError, match="128"):
        hide_password(bytes(129), SECRET, authenticator)


@pytest.mark.parametrize("hidden", [b"", bytes(15), bytes(17), bytes(144)])
def test_rfc2865_5_2_user_password_of_another_length_is_refused(hidden: bytes) -> None:
    body = encode_attribute(1, b"nemo") + encode_attribute(2, hidden)
    request = parse(bytes((1, 7, 0, 20 + len(body))) + bytes(16) + body)
    result = credentials.verify(request, SECRET, b"arctangent")
    assert (result.ok, result.cause) == (False, "malformed")


def test_rfc2865_5_26_vendor_attributes() -> None:
    value = bytes.fromhex("00003a8c") + bytes.fromhex("08073130 4d2f35") + bytes.fromhex("1303 61")
    assert split_vendor(value) == [(14988, 8, b"10M/5"), (14988, 19, b"a")]
    body = encode_attribute(26, value) + encode_vendor(14988, 19, b"b") + encode_vendor(311, 19, b"c")
    parsed = parse(bytes((1, 7, 0, 20 + len(body))) + bytes(16) + body)
    assert parsed.vendor(14988, 8) == b"10M/5"
    assert parsed.vendor_all(14988, 19) == [b"a", b"b"]
    assert parsed.vendor(311, 19) == b"c"
    assert parsed.vendor(9, 1) is None
    assert parsed.vendor_all(9, 1) == []


@pytest.mark.parametrize(
    "inner", ["", "00003a", "00003a8c 08", "00003a8c 0801", "00003a8c 0804 61", "00003a8c 080361 09"]
)
def test_rfc2865_5_26_octets_in_another_layout_give_no_sub_attributes(inner: str) -> None:
    assert split_vendor(bytes.fromhex(inner)) == []


def test_rfc2865_5_33_proxy_state_is_echoed_in_order_and_last() -> None:
    body = encode_attribute(33, b"one") + encode_attribute(1, b"nemo") + encode_attribute(33, b"two")
    request = parse(bytes((1, 7, 0, 20 + len(body))) + bytes(range(16)) + body)
    reply = parse(access_reply(packet.ACCESS_REJECT, request, SECRET, encode_attribute(18, b"no")))
    assert [kind for kind, _ in reply.attributes()] == [80, 18, 33, 33]
    assert reply.all(33) == [b"one", b"two"]
    assert verify_reply(reply, request.authenticator, SECRET) == MA_VALID


def test_rfc2865_7_1_user_telnet_to_specified_host() -> None:
    request = parse(
        bytes.fromhex(
            "01 00 00 38 0f 40 3f 94 73 97 80 57 bd 83 d5 cb 98 f4 22 7a 01 06 6e 65 6d 6f 02 12 0d be 70 8d"
            "93 d4 13 ce 31 96 e4 3f 78 2a 0a ee 04 06 c0 a8 01 10 05 06 00 00 00 03"
        )
    )
    assert (request.code, request.identifier) == (packet.ACCESS_REQUEST, 0)
    assert request.get(packet.USER_NAME) == b"nemo"
    assert request.get(packet.NAS_IP_ADDRESS) == bytes((192, 168, 1, 16))
    assert request.get(packet.NAS_PORT) == bytes((0, 0, 0, 3))
    assert verify_access_request(request, SECRET) == MA_ABSENT
    result = credentials.verify(request, SECRET, b"arctangent")
    assert (result.method, result.ok) == ("pap", True)
    assert not credentials.verify(request, SECRET, b"arctangenT").ok
    assert not credentials.verify(request, Secret(b"xyzzy5462"), b"arctangent").ok

    accept = parse(
        bytes.fromhex(
            "02 00 00 26 86 fe 22 0e 76 24 ba 2a 10 05 f6 bf 9b 55 e0 b2 06 06 00 00 00 01 0f 06 00 00 00 00"
            "0e 06 c0 a8 01 03"
        )
    )
    assert verify_reply(accept, request.authenticator, SECRET) == MA_ABSENT


def test_rfc2865_7_2_framed_user_with_chap() -> None:
    request = parse(
        bytes.fromhex(
            "01 01 00 47 2a ee 86 f0 8d 0d 55 96 9c a5 97 8e 0d 33 67 a2 01 08 66 6c 6f 70 73 79 03 13 16 e9"
            "75 57 c3 16 18 58 95 f2 93 ff 63 44 07 72 75 04 06 c0 a8 01 10 05 06 00 00 00 14 06 06 00 00 00"
            "02 07 06 00 00 00 01"
        )
    )
    assert request.get(packet.USER_NAME) == b"flopsy"
    # The text does not say the password; the challenge is the Request Authenticator.
    result = credentials.verify(request, SECRET, b"arctangent")
    assert (result.method, result.ok) == ("chap", True)
    assert not credentials.verify(request, SECRET, b"arctangen").ok

    accept = parse(
        bytes.fromhex(
            "02 01 00 38 15 ef bc 7d ab 26 cf a3 dc 34 d9 c0 3c 86 01 a4 06 06 00 00 00 02 07 06 00 00 00 01"
            "08 06 ff ff ff fe 0a 06 00 00 00 02 0d 06 00 00 00 01 0c 06 00 00 05 dc"
        )
    )
    assert verify_reply(accept, request.authenticator, SECRET) == MA_ABSENT
    # Erratum: the text says Framed-Routing None (0), the octets and the authenticator say 2.
    assert accept.get(10) == bytes((0, 0, 0, 2))


def test_rfc2865_7_3_challenge_response_card() -> None:
    request = parse(
        bytes.fromhex(
            "01 02 00 39 f3 a4 7a 1f 6a 6d 76 71 0b 94 7a b9 30 41 a0 39 01 07 6d 6f 70 73 79 02 12 33 65 75"
            "73 77 82 89 b5 70 88 5e 15 08 48 25 c5 04 06 c0 a8 01 10 05 06 00 00 00 07"
        )
    )
    assert credentials.verify(request, SECRET, b"challenge").ok

    challenge = parse(
        bytes.fromhex(
            "0b 02 00 4e 36 f3 c8 76 4a e8 c7 11 57 40 3c 0c 71 ff 9c 45 12 30 43 68 61 6c 6c 65 6e 67 65 20"
            "33 32 37 36 39 34 33 30 2e 20 20 45 6e 74 65 72 20 72 65 73 70 6f 6e 73 65 20 61 74 20 70 72 6f"
            "6d 70 74 2e 18 0a 33 32 37 36 39 34 33 30"
        )
    )
    assert verify_reply(challenge, request.authenticator, SECRET) == MA_ABSENT
    assert challenge.get(packet.STATE) == b"32769430"

    # The printed packet ends two octets short of its State: its length octet says 16, ten octets are there.
    printed = bytes.fromhex(
        "01 03 00 43 b1 22 55 6d 42 8a 13 d0 d6 25 38 07 c4 57 ec f0 01 07 6d 6f 70 73 79 02 12 69 2c 1f"
        "20 5f c0 81 b9 19 b9 51 95 f5 61 a5 81 04 06 c0 a8 01 10 05 06 00 00 00 07 18 10 33 32 37 36 39"
        "34 33 30"
    )
    with pytest.raises(MalformedPacket) as caught:
        parse(printed)
    assert caught.value.cause == "attribute-overrun"
    second = parse(printed.replace(bytes.fromhex("181033"), bytes.fromhex("180a33")))
    assert second.get(packet.STATE) == b"32769430"
    assert credentials.verify(second, SECRET, b"99101462").ok

    reject = parse(bytes.fromhex("03 03 00 14 a4 2f 4f ca 45 91 6c 4e 09 c8 34 0f 9e 74 6a a0"))
    assert verify_reply(reject, second.authenticator, SECRET) == MA_ABSENT
