"""The other end of a login: what a NAS sends for a subscriber's password, and how the peer checks the answer.

For `ledgate radtest`, the fake NAS and tests. Challenges and identifiers are arguments: random in use, fixed in tests.
"""

from hmac import compare_digest

from Crypto.Hash import MD4

from aaa.radius.concealment import hide_password
from aaa.radius.credentials import (
    MICROSOFT,
    MS_CHAP2_RESPONSE,
    MS_CHAP2_SUCCESS,
    MS_CHAP_CHALLENGE,
    MS_CHAP_RESPONSE,
    authenticator_response,
    bare_username,
    challenge_hash,
    challenge_response,
    nt_hash,
)
from aaa.radius.integrity import Secret, md5
from aaa.radius.packet import (
    CHAP_CHALLENGE,
    CHAP_PASSWORD,
    USER_NAME,
    USER_PASSWORD,
    Packet,
    encode_attribute,
    encode_vendor,
)


def pap_attributes(password: bytes, secret: Secret, authenticator: bytes) -> bytes:
    """User-Password for a request with this 16-octet authenticator. Raises ValueError above 128 octets."""
    return encode_attribute(USER_PASSWORD, hide_password(password, secret, authenticator))


def chap_attributes(password: bytes, identifier: int, challenge: bytes) -> bytes:
    """CHAP-Password and CHAP-Challenge (RFC 2865 sections 5.3, 5.40) for a challenge of 1..253 octets."""
    ident = bytes((identifier,))
    digest: bytes = md5(ident + password + challenge).digest()
    return encode_attribute(CHAP_PASSWORD, ident + digest) + encode_attribute(CHAP_CHALLENGE, challenge)


def mschap_attributes(password: bytes, identifier: int, challenge: bytes) -> bytes:
    """MS-CHAP-Challenge (8 octets) and MS-CHAP-Response with an NT-Response only (RFC 2548 section 2.1.3)."""
    response = challenge_response(challenge, nt_hash(password))
    return encode_vendor(MICROSOFT, MS_CHAP_CHALLENGE, challenge) + encode_vendor(
        MICROSOFT, MS_CHAP_RESPONSE, bytes((identifier, 1)) + bytes(24) + response
    )


def mschapv2_attributes(
    username: bytes, password: bytes, identifier: int, challenge: bytes, peer_challenge: bytes
) -> bytes:
    """MS-CHAP-Challenge and MS-CHAP2-Response (RFC 2548 section 2.3.2); both challenges are 16 octets."""
    hashed = challenge_hash(peer_challenge, challenge, bare_username(username))
    response = challenge_response(hashed, nt_hash(password))
    return encode_vendor(MICROSOFT, MS_CHAP_CHALLENGE, challenge) + encode_vendor(
        MICROSOFT, MS_CHAP2_RESPONSE, bytes((identifier, 0)) + peer_challenge + bytes(8) + response
    )


def proves_password(reply: Packet, request: Packet, password: bytes) -> bool:
    """Whether an Access-Accept's MS-CHAP2-Success shows that the server knows the password too (RFC 2759 section 5).

    `request` is the MS-CHAPv2 request as sent by `mschapv2_attributes` with its User-Name.
    """
    success = reply.vendor(MICROSOFT, MS_CHAP2_SUCCESS)
    sent = request.vendor(MICROSOFT, MS_CHAP2_RESPONSE)
    challenge = request.vendor(MICROSOFT, MS_CHAP_CHALLENGE)
    username = request.get(USER_NAME)
    if success is None or sent is None or challenge is None or username is None:
        return False
    hashed = challenge_hash(sent[2:18], challenge, bare_username(username))
    hash_hash = MD4.new(nt_hash(password)).digest()
    expected = sent[:1] + authenticator_response(hash_hash, sent[26:], hashed)
    # A message for people may follow the 42 octets.
    return compare_digest(expected, success[:43])
