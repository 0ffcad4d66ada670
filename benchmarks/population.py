"""The subscribers, the router and the plan that every server under test is loaded with."""

from typing import Final

SECRET: Final = b"testing123"
NAS_ADDRESS: Final = "127.0.0.1"
NAS_IDENTIFIER: Final = "mt-bench"
PLAN: Final = "home20"

# What an Accept tells the router, the same from every server.
RATE_LIMIT: Final = "20M/20M"
POOL: Final = "pool1"
INTERIM_SECONDS: Final = 300
# Ours follows from the ledger and differs from login to login; the others send this one.
SESSION_TIMEOUT_SECONDS: Final = 2_000_000
# As long as the Class that we issue.
CLASS: Final = b"LG" + bytes(range(33))


def username(number: int) -> str:
    """The login of subscriber `number`, counted from 0."""
    return f"user{number:07d}"


def password(number: int) -> str:
    """The password of subscriber `number`: 11 characters, unlike the login."""
    return f"p{(number * 7919 + 104_729) % 10_000_000_000:010d}"


def mac(number: int) -> str:
    """The Calling-Station-Id of subscriber `number`, as RouterOS writes it."""
    return "02:" + ":".join(f"{octet:02X}" for octet in number.to_bytes(5, "big"))


def address(number: int) -> bytes:
    """The Framed-IP-Address of subscriber `number`, 4 octets in 10.0.0.0/8."""
    return (0x0A00_0000 + 256 + number).to_bytes(4, "big")
