"""Values of RouterOS properties: read as people and programs write them, given as RouterOS prints them. Pure.

A reader takes the text and the version, and returns the text that print shows. It raises NoSuchValue for a word that is
none of those it knows, ValueError for anything else that is wrong.
"""

import re
from collections.abc import Callable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    summarize_address_range,
)
from typing import Final

Version = tuple[int, ...]
Reader = Callable[[str, Version], str]

SECOND: Final = 1_000_000
_V7: Final = (7,)


class NoSuchValue(ValueError):
    """A word that is none of those that a property takes."""


def version_of(text: str) -> Version:
    """(7, 16, 2) of "7.16.2". Raises ValueError."""
    if not re.fullmatch(r"[67](\.\d{1,3}){1,2}", text):
        raise ValueError(f"{text!r} is no version of RouterOS such as 6.49.10 or 7.16.2")
    return tuple(int(part) for part in text.split("."))


def text(value: str, _version: Version) -> str:
    return value


def name(value: str, _version: Version) -> str:
    if not value:
        raise ValueError
    return value


def flag(value: str, _version: Version) -> str:
    """yes and no are taken, true and false are printed."""
    if value in ("yes", "true"):
        return "true"
    if value in ("no", "false"):
        return "false"
    raise NoSuchValue


def yes_no(value: str, version: Version) -> str:
    """A property that takes yes and no among other words: printed as written."""
    return "yes" if flag(value, version) == "true" else "no"


def one_of(*words: str) -> Reader:
    """One of these words."""
    known = frozenset(words)

    def read(value: str, _version: Version) -> str:
        if value not in known:
            raise NoSuchValue
        return value

    return read


def some_of(*words: str) -> Reader:
    """Words of these, joined by commas, each possibly negated as RouterOS does (`!established`)."""
    known = frozenset(words)

    def read(value: str, _version: Version) -> str:
        bare = value.removeprefix("!")
        if bare and not known.issuperset(bare.split(",")):
            raise NoSuchValue
        return value

    return read


def number(least: int, most: int) -> Reader:
    """An integer of this range."""

    def read(value: str, _version: Version) -> str:
        if not re.fullmatch(r"-?[0-9]{1,20}", value) or not least <= int(value) <= most:
            raise ValueError
        return str(int(value))

    return read


def either(word: str, other: Reader) -> Reader:
    """A word, or a value of another kind."""

    def read(value: str, version: Version) -> str:
        return value if value == word else other(value, version)

    return read


def negatable(other: Reader) -> Reader:
    """A matcher: its value may have a `!` before it."""

    def read(value: str, version: Version) -> str:
        if value.startswith("!"):
            return "!" + other(value[1:], version)
        return other(value, version)

    return read


def ports(value: str, _version: Version) -> str:
    """Ports and ranges of ports, joined by commas."""
    for part in value.split(","):
        ends = part.split("-")
        if len(ends) > 2 or not all(end.isascii() and end.isdigit() and int(end) < 65536 for end in ends):
            raise ValueError
        if len(ends) == 2 and int(ends[0]) > int(ends[1]):
            raise ValueError
    return value


def address4(value: str, _version: Version) -> str:
    return str(IPv4Address(value))


def address(value: str, _version: Version) -> str:
    return str(ip_address(value))


def range4(value: str, _version: Version) -> str:
    """An address, a network or a range; a range that is a network is printed as one, a network of one as an address."""
    if "-" in value:
        first, last = (IPv4Address(part) for part in value.split("-", 1))
        if int(first) > int(last):
            raise ValueError
        networks = list(summarize_address_range(first, last))
        if len(networks) > 1:
            return f"{first}-{last}"
        return _shortest4(networks[0])
    return _shortest4(IPv4Network(value, strict=False))


def _shortest4(network: IPv4Network) -> str:
    return str(network.network_address) if network.prefixlen == 32 else str(network)


def range6(value: str, _version: Version) -> str:
    """An IPv6 network (a single address prints with /128), or a range of addresses."""
    if "-" in value:
        first, last = (IPv6Address(part) for part in value.split("-", 1))
        if int(first) > int(last):
            raise ValueError
        return f"{first}-{last}"
    return str(IPv6Network(value, strict=False))


def interface_address(value: str, _version: Version) -> str:
    """An address with the length of its network."""
    host, slash, length = value.partition("/")
    if not slash:
        length = "32"
    if not length.isdigit() or int(length) > 32:
        raise ValueError
    return f"{IPv4Address(host)}/{length}"


def prefix6(value: str, _version: Version) -> str:
    return str(IPv6Interface(value).network)


_HOST: Final = re.compile(r"(?=.{1,253}$)([a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.)*[a-zA-Z][a-zA-Z0-9-]*")


def is_dns_name(value: str) -> bool:
    """Whether an address of an address-list is a name that the router is to look up."""
    return _HOST.fullmatch(value) is not None


def listed4(value: str, version: Version) -> str:
    return value if is_dns_name(value) else range4(value, version)


def listed6(value: str, version: Version) -> str:
    return value if is_dns_name(value) else range6(value, version)


def ranges4(value: str, _version: Version) -> str:
    """The ranges of a pool."""
    for part in value.split(","):
        first, dash, last = part.partition("-")
        if dash:
            if int(IPv4Address(first)) > int(IPv4Address(last)):
                raise ValueError
        else:
            IPv4Network(first, strict=False)
    return value


_UNITS: Final = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_PARTS: Final = re.compile(r"([0-9]+)(ms|w|d|h|m|s)")
_CLOCK: Final = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(\d{1,3}):(\d\d)(?::(\d\d))?(?:\.(\d{1,6}))?")


def parse_time(value: str) -> int:
    """Microseconds of a RouterOS time: 1w2d3h4m5s6ms, 1d03:04:05, 00:05:00, or bare seconds. Raises ValueError."""
    if value.isascii() and value.isdigit():
        return int(value) * SECOND
    found = _CLOCK.fullmatch(value)
    if found is not None:
        weeks, days, hours, minutes, seconds, fraction = found.groups()
        whole = int(weeks or 0) * 604800 + int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60
        return (whole + int(seconds or 0)) * SECOND + int((fraction or "").ljust(6, "0"))
    total, at = 0, 0
    for part in _PARTS.finditer(value):
        if part.start() != at:
            raise ValueError
        total += round(int(part[1]) * _UNITS[part[2]] * SECOND)
        at = part.end()
    if not value or at != len(value):
        raise ValueError
    return total


def print_time(microseconds: int, version: Version) -> str:
    """A time as RouterOS prints it: 1d2h3m4s from version 7 on, 1d02:03:04 before."""
    thousands = max(0, microseconds) // 1000
    seconds, rest = divmod(thousands, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    weeks, days = divmod(days, 7)
    long = (f"{weeks}w" if weeks else "") + (f"{days}d" if days else "")
    if version < _V7:
        return f"{long}{hours:02}:{minutes:02}:{seconds:02}" + (f".{rest:03}" if rest else "")
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"), (rest, "ms"))
    return long + "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"


def time(value: str, version: Version) -> str:
    return print_time(parse_time(value), version)


def milliseconds(value: str, _version: Version) -> str:
    """A short time such as a RADIUS timeout, in the same form in every version."""
    return print_time(parse_time(value), _V7)


_SIZES: Final = {"k": 1000, "M": 1_000_000, "G": 1_000_000_000, "": 1}


def parse_rate(value: str) -> int:
    """Bits per second of 5M, 512k or 1000. Raises ValueError."""
    found = re.fullmatch(r"([0-9]+)([kMG]?)", value)
    if found is None:
        raise ValueError
    return int(found[1]) * _SIZES[found[2]]


def rates(value: str, _version: Version) -> str:
    """Upload and download, printed as bits per second."""
    up, slash, down = value.partition("/")
    return f"{parse_rate(up)}/{parse_rate(down if slash else up)}"
