"""MPPE session keys: deriving them (RFC 3079) and carrying them in an Access-Accept (RFC 2548 section 2.4)."""

from hashlib import sha1
from typing import Final

from aaa.radius.concealment import conceal, reveal
from aaa.radius.integrity import Secret
from aaa.radius.packet import Packet, encode_vendor

MICROSOFT: Final = 311
MPPE_ENCRYPTION_POLICY: Final = 7
MPPE_ENCRYPTION_TYPES: Final = 8
CHAP_MPPE_KEYS: Final = 12
MPPE_SEND_KEY: Final = 16
MPPE_RECV_KEY: Final = 17

# Encryption allowed, not required; keys of 40 or 128 bits. The router's own profile decides what it demands.
_POLICY_AND_TYPES: Final = encode_vendor(MICROSOFT, MPPE_ENCRYPTION_POLICY, b"\0\0\0\x01") + encode_vendor(
    MICROSOFT, MPPE_ENCRYPTION_TYPES, b"\0\0\0\x06"
)

_MAGIC1: Final = b"This is the MPPE Master Key"
_MAGIC2: Final = b"On the client side, this is the send key; on the server side, it is the receive key."
_MAGIC3: Final = b"On the client side, this is the receive key; on the server side, it is the send key."
_PAD1: Final = bytes(40)
_PAD2: Final = b"\xf2" * 40


def master_key(hash_hash: bytes, nt_response: bytes) -> bytes:
    """GetMasterKey (RFC 3079 section 3.4): 16 octets from MD4(NT hash) and the 24-octet NT-Response of MS-CHAPv2."""
    return sha1(hash_hash + nt_response + _MAGIC1).digest()[:16]


def server_keys(master: bytes) -> tuple[bytes, bytes]:
    """The authenticator's (send, receive) start keys, 16 octets each (GetAsymmetricStartKey, RFC 3079 section 3.4)."""
    send = sha1(master + _PAD1 + _MAGIC3 + _PAD2).digest()[:16]
    receive = sha1(master + _PAD1 + _MAGIC2 + _PAD2).digest()[:16]
    return send, receive


def v2_attributes(hash_hash: bytes, nt_response: bytes, secret: Secret, authenticator: bytes, salts: bytes) -> bytes:
    """Policy, types, MS-MPPE-Send-Key and MS-MPPE-Recv-Key for MS-CHAPv2, as attribute octets.

    `authenticator` is the request's, `salts` 4 random octets; the salts' top bits are set and they are made to differ.
    """
    send, receive = server_keys(master_key(hash_hash, nt_response))
    send_salt = bytes((salts[0] | 0x80, salts[1]))
    receive_salt = bytes((salts[2] | 0x80, salts[3]))
    if send_salt == receive_salt:
        receive_salt = bytes((receive_salt[0], receive_salt[1] ^ 1))
    return (
        _POLICY_AND_TYPES
        + encode_vendor(MICROSOFT, MPPE_SEND_KEY, encrypt_key(send, send_salt, secret, authenticator))
        + encode_vendor(MICROSOFT, MPPE_RECV_KEY, encrypt_key(receive, receive_salt, secret, authenticator))
    )


def v1_attributes(lm_hash: bytes, hash_hash: bytes, secret: Secret, authenticator: bytes) -> bytes:
    """Policy, types and MS-CHAP-MPPE-Keys for MS-CHAPv1 (RFC 2548 section 2.4.1), as attribute octets.

    NT-Key is MD4(NT hash): the RFC's text reads like the NT hash itself, but RFC 3079 section 2.3 derives the session
    key from the double hash, and the router has no other way to learn it.
    """
    keys = conceal(lm_hash[:8] + hash_hash + bytes(8), secret, authenticator)
    return _POLICY_AND_TYPES + encode_vendor(MICROSOFT, CHAP_MPPE_KEYS, keys)


def encrypt_key(key: bytes, salt: bytes, secret: Secret, authenticator: bytes) -> bytes:
    """Salt, then length and key concealed (RFC 2548 section 2.4.2)."""
    plain = bytes((len(key),)) + key
    return salt + conceal(plain.ljust((len(plain) + 15) // 16 * 16, b"\0"), secret, authenticator + salt)


def decrypt_key(value: bytes, secret: Secret, authenticator: bytes) -> bytes:
    """The inverse of `encrypt_key`, for a NAS. Raises ValueError if lengths do not fit."""
    hidden = value[2:]
    if not hidden or len(hidden) % 16:
        raise ValueError("an MPPE key must be a salt and whole blocks of 16 octets")
    plain = reveal(hidden, secret, authenticator + value[:2])
    if plain[0] >= len(plain):
        raise ValueError("an MPPE key is longer than its attribute: a wrong secret?")
    return plain[1 : 1 + plain[0]]


def received_keys(reply: Packet, secret: Secret, request_authenticator: bytes) -> tuple[bytes, bytes] | None:
    """(send, receive) keys of an Access-Accept as the NAS reads them, or None. Raises ValueError as `decrypt_key`."""
    send = reply.vendor(MICROSOFT, MPPE_SEND_KEY)
    receive = reply.vendor(MICROSOFT, MPPE_RECV_KEY)
    if send is None or receive is None:
        return None
    return decrypt_key(send, secret, request_authenticator), decrypt_key(receive, secret, request_authenticator)
