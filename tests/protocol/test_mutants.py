"""Damaged packets: dropped for a named cause, never trusted, never another exception."""

import random

from hypothesis import given
from hypothesis import strategies as st

from aaa.radius import credentials, dictionary, packet, peer
from aaa.radius.integrity import (
    MA_VALID,
    Secret,
    access_request,
    signed_request,
    verify_access_request,
    verify_reply,
    verify_signed_request,
)
from aaa.radius.packet import MalformedPacket, Packet, encode_attribute, encode_vendor, parse

SECRET = Secret(b"testing123")
AUTHENTICATOR = bytes(range(16))
NAMES = dictionary.load()
CAUSES = {"truncated", "length", "code", "attribute-length", "attribute-overrun", "message-authenticator"}


def originals() -> list[bytes]:
    """Correctly signed packets of the shapes a router sends."""
    common = (
        encode_attribute(packet.USER_NAME, b"ali")
        + encode_attribute(packet.NAS_IDENTIFIER, b"mt1")
        + encode_attribute(packet.CALLING_STATION_ID, b"00:0C:29:11:22:33")
        + encode_vendor(14988, 10, bytes((10, 0, 0, 1)))
        + encode_attribute(packet.PROXY_STATE, b"p")
    )
    logins = [
        peer.pap_attributes(b"secret", SECRET, AUTHENTICATOR),
        peer.chap_attributes(b"secret", 1, bytes(16)),
        peer.mschap_attributes(b"secret", 1, bytes(8)),
        peer.mschapv2_attributes(b"ali", b"secret", 1, bytes(16), bytes(16)),
    ]
    packets = [access_request(7, AUTHENTICATOR, SECRET, common + login) for login in logins]
    packets.append(access_request(7, AUTHENTICATOR, SECRET, b"", packet.STATUS_SERVER))
    for code in (packet.ACCOUNTING_REQUEST, packet.COA_REQUEST, packet.DISCONNECT_REQUEST):
        packets.append(signed_request(code, 7, SECRET, common + encode_attribute(packet.ACCT_SESSION_ID, b"81700001")))
    return packets


def mutate(data: bytes, chance: random.Random) -> bytes:
    """One to three small damages: flipped bits, wrong octets, cuts, insertions, repeated or moved parts."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed))
        match chance.randrange(6):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.choice((0, 1, 2, 17, 18, 19, 80, 127, 255))
            case 2:
                del changed[max(at, 1) :]
            case 3:
                changed[at:at] = chance.randbytes(chance.randint(1, 20))
            case 4:
                changed += changed[20 : 20 + chance.randint(1, 40)]
            case _:
                changed[2:4] = chance.randrange(4200).to_bytes(2, "big")
    return bytes(changed)


def use(parsed: Packet) -> int:
    """Everything a server would do with it; returns how the signature fared."""
    NAMES.decode_all(parsed.attributes())
    parsed.vendor(14988, 10)
    for cleartext in (b"secret", b""):
        result = credentials.verify(parsed, SECRET, cleartext)
        credentials.reject_attributes(parsed, result)
    credentials.presents_blank(parsed, SECRET)
    verify_reply(parsed, AUTHENTICATOR, SECRET)
    if parsed.code in (packet.ACCESS_REQUEST, packet.STATUS_SERVER):
        return verify_access_request(parsed, SECRET)
    return verify_signed_request(parsed, SECRET)


def test_20_000_mutants_of_signed_packets_are_never_trusted() -> None:
    chance = random.Random(20_261_123)
    whole = originals()
    for data in whole:
        assert use(parse(data)) == MA_VALID
    malformed = dict.fromkeys(CAUSES, 0)
    parsed_count = 0
    for number in range(20_000):
        data = whole[number % len(whole)]
        mutant = mutate(data, chance)
        try:
            parsed = parse(mutant)
        except MalformedPacket as error:
            malformed[error.cause] += 1
            continue
        if parsed.data == data:
            continue  # only padding was added, or the damages undid each other
        parsed_count += 1
        # use() tries much, so the slow MS-CHAP ones are sampled.
        verdict = (
            use(parsed)
            if number % 8 == 0
            else verify_access_request(parsed, SECRET)
            if parsed.code in (packet.ACCESS_REQUEST, packet.STATUS_SERVER)
            else verify_signed_request(parsed, SECRET)
        )
        assert verdict != MA_VALID, mutant.hex()
    assert parsed_count > 2_000
    assert all(malformed.values()), malformed


@given(st.binary(max_size=200))
def test_any_octets_parse_or_are_malformed(data: bytes) -> None:
    try:
        parsed = parse(data)
    except MalformedPacket as error:
        assert error.cause in CAUSES
    else:
        use(parsed)


@given(st.sampled_from(sorted(packet.CODES)), st.binary(max_size=120))
def test_any_attributes_parse_or_are_malformed(code: int, body: bytes) -> None:
    try:
        parsed = parse(bytes((code, 1, 0, 20 + len(body))) + AUTHENTICATOR + body)
    except MalformedPacket as error:
        assert error.cause in CAUSES
    else:
        assert b"".join(encode_attribute(kind, value) for kind, value in parsed.attributes() if kind) == body or any(
            kind == 0 for kind, _ in parsed.attributes()
        )
        use(parsed)
