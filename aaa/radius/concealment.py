"""Values hidden with the shared secret: User-Password and MPPE keys (RFC 2865 section 5.2, RFC 2548 section 2.4).

One scheme serves both: each block of 16 octets is xored with MD5(secret, the hidden block before). What stands before
the first block is the Request Authenticator, followed by the salt for a salted value.
"""

from aaa.radius.integrity import Secret, md5


def conceal(padded: bytes, secret: Secret, start: bytes) -> bytes:
    """Hide whole 16-octet blocks; `start` is the authenticator, or the authenticator and the salt."""
    hidden = b""
    previous = start
    for at in range(0, len(padded), 16):
        previous = _xor16(padded[at : at + 16], md5(secret.value + previous).digest())
        hidden += previous
    return hidden


def reveal(hidden: bytes, secret: Secret, start: bytes) -> bytes:
    """The inverse of `conceal`, padding included."""
    plain = b""
    previous = start
    for at in range(0, len(hidden), 16):
        block = hidden[at : at + 16]
        plain += _xor16(block, md5(secret.value + previous).digest())
        previous = block
    return plain


def hide_password(password: bytes, secret: Secret, authenticator: bytes) -> bytes:
    """User-Password as sent: padded with NUL to 16..128 octets and hidden. Raises ValueError above 128 octets."""
    size = len(password)
    if size > 128:
        raise ValueError("a password above 128 octets does not fit User-Password")
    return conceal(password.ljust(max(16, (size + 15) // 16 * 16), b"\0"), secret, authenticator)


def _xor16(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(16, "big")
