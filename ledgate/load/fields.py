"""Reading the values of a load file: every fault is named with its path, such as `subscribers[3].balance`. Pure."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import AddressValueError, IPv4Address, IPv4Network, ip_address
from typing import Any, Final, TypeVar, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aaa.domain import mac
from aaa.domain.local_time import instant_of
from aaa.domain.money import UnknownCurrency, digits
from aaa.radius.clients import parse_network

T = TypeVar("T")

_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")
MOST: Final = 2**62
"""The greatest amount, in minor units: sums of many still fit 64 bits."""


class BadLoad(ValueError):
    """The file cannot be loaded: where the fault is, and what is wrong there. Nothing was changed."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class Reader:
    """One object of the file: takes its keys one by one, refuses those it does not know."""

    __slots__ = ("_value", "path")

    def __init__(self, value: object, path: str, known: Sequence[str]) -> None:
        if not isinstance(value, Mapping):
            raise BadLoad(path, "must be an object")
        self.path = path
        self._value = cast(Mapping[str, Any], value)
        for key in self._value:
            if key not in known:
                raise BadLoad(self.at(str(key)), f"unknown key; known are {', '.join(known)}")

    def at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        return key in self._value

    def raw(self, key: str) -> Any:
        return self._value.get(key)

    def take(self, key: str, read: Callable[[Any, str], T], *, null: bool = True) -> T | None:
        """The value of `key`, read and checked; None if it is absent, or null where that is allowed."""
        value = self._value.get(key)
        if value is None:
            if key in self._value and not null:
                raise BadLoad(self.at(key), "must not be null")
            return None
        return read(value, self.at(key))

    def need(self, key: str, read: Callable[[Any, str], T]) -> T:
        """The value of `key`, which must be there."""
        value = self._value.get(key)
        if value is None:
            raise BadLoad(self.at(key), "must not be null" if key in self._value else "is missing")
        return read(value, self.at(key))


def text(most: int, least: int = 1) -> Callable[[Any, str], str]:
    def read(value: Any, path: str) -> str:
        if not isinstance(value, str):
            raise BadLoad(path, "must be text")
        if not least <= len(value) <= most:
            raise BadLoad(path, f"must have {least} to {most} characters")
        if "\0" in value:
            raise BadLoad(path, "must not hold a NUL character")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise BadLoad(path, "must not hold half of a surrogate pair")
        return value

    return read


def line(most: int) -> Callable[[Any, str], str]:
    """Text that lists and logs can show on one line: no control characters, no ends of lines or paragraphs."""
    read_text = text(most)

    def read(value: Any, path: str) -> str:
        found = read_text(value, path)
        if not found.isprintable():  # which ZWNJ is not, though Persian names have it
            for character in found:
                if unicodedata.category(character) in ("Cc", "Zl", "Zp"):
                    raise BadLoad(path, f"must not hold the control character U+{ord(character):04X}")
        return found

    return read


name = line(64)


def username(value: Any, path: str) -> str:
    """As RADIUS carries it: 1 to 253 octets of UTF-8 (RFC 2865 §5.1)."""
    found = line(253)(value, path)
    if len(found.encode()) > 253:
        raise BadLoad(path, "must have at most 253 octets in UTF-8")
    return found


def password(value: Any, path: str) -> str:
    """1 to 128 octets of UTF-8 (RFC 2865 §5.2); never repeated in an error."""
    found = text(128)(value, path)
    if len(found.encode()) > 128:
        raise BadLoad(path, "must have at most 128 octets in UTF-8")
    return found


def one_of(*allowed: str) -> Callable[[Any, str], str]:
    def read(value: Any, path: str) -> str:
        if value not in allowed:
            raise BadLoad(path, f"must be one of {', '.join(allowed)}, not {value!r}")
        return cast(str, value)

    return read


def whole(least: int, most: int) -> Callable[[Any, str], int]:
    def read(value: Any, path: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise BadLoad(path, f"must be a whole number from {least} to {most}")
        return value

    return read


def switch(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise BadLoad(path, "must be true or false")
    return value


def currency(value: Any, path: str) -> str:
    code = text(3, 3)(value, path)
    try:
        digits(code)
    except UnknownCurrency as error:
        raise BadLoad(path, str(error)) from None
    return code


def timezone(value: Any, path: str) -> str:
    zone = text(64)(value, path)
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadLoad(path, f"{zone!r} is not a time zone such as Asia/Tehran") from None
    return zone


def mac_address(value: Any, path: str) -> str:
    found = mac.normalise(text(253)(value, path))
    if found is None:
        raise BadLoad(path, f"{value!r} is not a MAC address")
    return found


def ipv4(value: Any, path: str) -> str:
    try:
        return str(IPv4Address(text(15)(value, path)))
    except AddressValueError:
        raise BadLoad(path, f"{value!r} is not an IPv4 address") from None


def host_ipv4(value: Any, path: str) -> str:
    """An IPv4 address that a host may have: not of this-network, multicast or reserved (RFC 6890)."""
    found = IPv4Address(ipv4(value, path))
    if found in _THIS_NETWORK or found.is_multicast or found.is_reserved:
        raise BadLoad(path, f"{value!r} is no address that a host can have")
    return str(found)


def zero_or_one(value: Any, path: str) -> bool:
    if value not in (0, 1) or not isinstance(value, int) or isinstance(value, bool):
        raise BadLoad(path, "must be 0 or 1")
    return bool(value)


def address(value: Any, path: str) -> str:
    try:
        return str(ip_address(text(45)(value, path)))
    except ValueError:
        raise BadLoad(path, f"{value!r} is not an IPv4 or IPv6 address") from None


def network(value: Any, path: str) -> str:
    """An address or a prefix, in its canonical spelling; what is mapped into IPv6 becomes IPv4 again."""
    try:
        found = parse_network(text(49)(value, path))
    except ValueError as error:
        raise BadLoad(path, f"{value!r} is not an address or a prefix: {error}") from None
    return str(found.network_address) if found.num_addresses == 1 else str(found)


def host(value: Any, path: str) -> str:
    """An address or a DNS name (RFC 1123 section 2.1), in lower case."""
    found = text(253)(value, path).lower()
    try:
        return str(ip_address(found))
    except ValueError:
        pass
    labels = found.split(".")
    if not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise BadLoad(path, f"{value!r} is neither an address nor a DNS name")
    return found


def page(value: Any, path: str) -> str:
    """What subscribers may reach: an address, a prefix, or a DNS name."""
    if not isinstance(value, str) or "/" not in value:
        return host(value, path)
    if "://" in value:
        raise BadLoad(path, f"{value!r} is a URL: give the host's name or address alone")
    return network(value, path)


def instant(zone: str) -> Callable[[Any, str], int]:
    """`2026-11-01T00:00:00Z` or with an offset; without one, and a bare date, count in `zone`. UTC microseconds."""

    def read(value: Any, path: str) -> int:
        try:
            return parse_instant(text(40)(value, path), zone)
        except ValueError:
            raise BadLoad(path, f"{value!r} is not an instant such as 2026-11-01T00:00:00Z, of 1970 to 2999") from None

    return read


def parse_instant(value: str, zone: str) -> int:
    """An ISO 8601 instant or date, 1970 to 2999, as UTC microseconds; what has no offset counts in `zone`
    (`instant_of`). Raises ValueError.
    """
    try:
        found = datetime.combine(date.fromisoformat(value), time.min)
    except ValueError:
        found = datetime.fromisoformat(value)
    if not 1970 <= found.year < 3000:  # a delay counted from it must still be a date
        raise ValueError(f"the year {found.year} is out of range")
    if found.tzinfo is None:
        return max(0, instant_of(found, zone))
    return max(0, (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
