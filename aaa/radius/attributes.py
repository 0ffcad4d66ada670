"""Attribute values as people write them (text, numbers) and as octets (RFC 2865 section 5, RFC 2868, RFC 3162).

A value comes from JSON or TOML: text, an integer, or a list of those for an attribute that repeats. Values of secret
attributes are never put in an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final

from aaa.radius.packet import encode_attribute, encode_vendor

# Widths in octets of the number types.
_UNSIGNED: Final = {"integer": 4, "integer64": 8, "short": 2, "byte": 1, "date": 4}
TYPES: Final = frozenset(
    (*_UNSIGNED, "signed", "string", "octets", "ipaddr", "ipv6addr", "ipv6prefix", "ifid", "ether")
)
GIGAWORD: Final = 1 << 32


class InvalidAttribute(ValueError):
    """An attribute or a value that cannot be sent; the message names the attribute and says why."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One definition. `vendor` is 0 for the standard space; `values` gives named numbers, `names` is its inverse.

    `encrypted` attributes depend on the packet that carries them, so only the protocol itself sends them. The value of
    a `secret` one is never shown.
    """

    name: str
    vendor: int
    number: int
    type: str
    values: Mapping[str, int]
    names: Mapping[int, str]
    tagged: bool
    encrypted: bool
    secret: bool


def split_gigawords(octets: int) -> tuple[int, int]:
    """Split a count of octets into (octets below 2**32, gigawords): RFC 2869 section 5.1, MikroTik's limits."""
    if octets < 0 or octets >= GIGAWORD * GIGAWORD:
        raise ValueError(f"{octets} octets are not in 0..2**64-1")
    return octets % GIGAWORD, octets // GIGAWORD


def encode(attribute: Attribute, value: object, tag: int = 0) -> bytes:
    """The attribute with `value` as complete octets, header included. Raises InvalidAttribute.

    `tag` (0..31) is only for tagged attributes (RFC 2868 section 3).
    """
    octets = encode_value(attribute, value)
    if attribute.tagged:
        octets = _with_tag(attribute, octets, tag)
    elif tag:
        raise InvalidAttribute(f"{attribute.name}: takes no tag")
    try:
        if attribute.vendor:
            return encode_vendor(attribute.vendor, attribute.number, octets)
        return encode_attribute(attribute.number, octets)
    except ValueError:
        most = 247 if attribute.vendor else 253
        raise InvalidAttribute(f"{attribute.name}: {len(octets)} octets are too long, the most is {most}") from None


def encode_value(attribute: Attribute, value: object) -> bytes:
    """The value alone as octets, checked against the attribute's type. Raises InvalidAttribute."""
    kind = attribute.type
    if kind in _UNSIGNED:
        width = _UNSIGNED[kind]
        number = _date(attribute, value) if kind == "date" else _number(attribute, value)
        if number < 0 or number >= 1 << (8 * width):
            raise InvalidAttribute(f"{attribute.name}: {number} is not in 0..{(1 << (8 * width)) - 1}")
        return number.to_bytes(width, "big")
    if kind == "signed":
        number = _number(attribute, value)
        if number < -(1 << 31) or number >= 1 << 31:
            raise InvalidAttribute(f"{attribute.name}: {number} is not in {-(1 << 31)}..{(1 << 31) - 1}")
        return number.to_bytes(4, "big", signed=True)
    if not isinstance(value, str):
        raise InvalidAttribute(f"{attribute.name}: must be given as text, not as {_shape(value)}")
    if kind == "string":
        return _text(attribute, value)
    if kind == "octets":
        return _octets(attribute, value)
    try:
        return _address(kind, value)
    except ValueError:
        wanted = _WANTED[kind]
        raise InvalidAttribute(f"{attribute.name}: {value!r} is not {wanted}") from None


def decode_value(attribute: Attribute, octets: bytes) -> str | int:
    """The value for people: a name or number for number types, else text; hex ("0x…") if it does not fit the type."""
    kind = attribute.type
    if attribute.secret:
        return "***"
    if attribute.tagged:
        octets = _without_tag(attribute, octets)
    size = len(octets)
    if kind in _UNSIGNED:
        if size == _UNSIGNED[kind]:
            number = int.from_bytes(octets, "big")
            return attribute.names.get(number, number)
    elif kind == "signed":
        if size == 4:
            return int.from_bytes(octets, "big", signed=True)
    elif kind == "string":
        try:
            return octets.decode()
        except UnicodeDecodeError:
            return "0x" + octets.hex()
    elif kind == "ipaddr":
        if size == 4:
            return str(IPv4Address(octets))
    elif kind == "ipv6addr":
        if size == 16:
            return str(IPv6Address(octets))
    elif kind == "ipv6prefix":
        if 2 <= size <= 18 and octets[1] <= 128:
            return f"{IPv6Address(octets[2:].ljust(16, bytes(1)))}/{octets[1]}"
    elif kind == "ifid":
        if size == 8:
            return octets.hex(":", 2)
    elif kind == "ether" and size == 6:
        return octets.hex(":").upper()
    return "0x" + octets.hex()


_WANTED: Final = {
    "ipaddr": "an IPv4 address",
    "ipv6addr": "an IPv6 address",
    "ipv6prefix": "an IPv6 prefix such as 2001:db8::/56",
    "ifid": "an interface identifier such as 0:0:0:1",
    "ether": "a MAC address",
}


def _number(attribute: Attribute, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        named = attribute.values.get(value)
        if named is not None:
            return named
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdigit():
            return int(value)
        if attribute.values:
            raise InvalidAttribute(
                f"{attribute.name}: {value!r} is neither an integer nor one of {', '.join(sorted(attribute.values))}"
            )
        raise InvalidAttribute(f"{attribute.name}: {value!r} is not an integer")
    shown = repr(value) if isinstance(value, float) else _shape(value)
    raise InvalidAttribute(f"{attribute.name}: {shown} is not an integer")


def _date(attribute: Attribute, value: object) -> int:
    """Seconds since 1970 from a number or from ISO 8601 with an offset."""
    if isinstance(value, str) and not value.isdigit():
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise InvalidAttribute(f"{attribute.name}: {value!r} is not an ISO 8601 time") from None
        if moment.tzinfo is None:
            raise InvalidAttribute(f"{attribute.name}: {value!r} does not say its offset from UTC")
        return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return _number(attribute, value)


def _text(attribute: Attribute, value: str) -> bytes:
    if not value:
        raise InvalidAttribute(f"{attribute.name}: must not be empty")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise InvalidAttribute(f"{attribute.name}: is not valid Unicode text") from None


def _octets(attribute: Attribute, value: str) -> bytes:
    try:
        if value[:2] != "0x" or len(value) == 2:
            raise ValueError
        return bytes.fromhex(value[2:])
    except ValueError:
        raise InvalidAttribute(f"{attribute.name}: must be given as 0x and pairs of hex digits") from None


def _address(kind: str, value: str) -> bytes:
    if kind == "ipaddr":
        return IPv4Address(value).packed
    if kind == "ipv6addr":
        if "%" in value:
            raise ValueError
        return IPv6Address(value).packed
    if kind == "ipv6prefix":
        if "/" not in value or "%" in value:
            raise ValueError
        network = IPv6Network(value)
        # RFC 3162 section 2.3: only the octets that hold prefix bits need be sent.
        kept = network.network_address.packed[: (network.prefixlen + 7) // 8]
        return bytes((0, network.prefixlen)) + kept
    if kind == "ifid":
        groups = value.split(":")
        if len(groups) != 4 or not all(1 <= len(group) <= 4 for group in groups):
            raise ValueError
        return bytes.fromhex("".join(group.zfill(4) for group in groups))
    digits = value.replace(":", "").replace("-", "")
    octets = bytes.fromhex(digits)
    if len(octets) != 6 or not digits.isalnum():
        raise ValueError
    return octets


def _with_tag(attribute: Attribute, octets: bytes, tag: int) -> bytes:
    if tag < 0 or tag > 31:
        raise InvalidAttribute(f"{attribute.name}: tag {tag} is not in 0..31")
    if attribute.type == "integer":
        if octets[0]:
            raise InvalidAttribute(f"{attribute.name}: a tagged number must be below 2**24")
        return bytes((tag,)) + octets[1:]
    # A text without a tag needs no tag octet, unless its own first octet would be read as one.
    return octets if tag == 0 and octets[0] > 31 else bytes((tag,)) + octets


def _without_tag(attribute: Attribute, octets: bytes) -> bytes:
    if attribute.type == "integer" and len(octets) == 4:
        return b"\0" + octets[1:]
    return octets[1:] if octets and octets[0] <= 31 else octets


def _shape(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    if value is None:
        return "null"
    if isinstance(value, (int, float)):
        return "a number"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"
