"""Address pools: the IPv4 addresses that blocked services are given while they are blocked (R3.1). Pure.

Addresses are integers, a span is its first and its last address.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from itertools import pairwise
from typing import Final

Span = tuple[int, int]

MOST_ADDRESSES: Final = 2**18
MOST_RANGES: Final = 256

_LEAST: Final = int(IPv4Address("1.0.0.0"))
_MOST: Final = int(IPv4Address("223.255.255.255"))
_LOOPBACK: Final = IPv4Network("127.0.0.0/8")


class BadRange(ValueError):
    """A range of addresses that cannot be read or used, and why."""


def span_of(text: str) -> Span:
    """`10.98.0.5`, `10.98.0.5-10.98.0.9`, or a prefix such as `10.99.0.0/24`: of one shorter than /31 without its first
    and last address, which subscribers' systems may refuse. Raises BadRange.
    """
    try:
        if "/" in text:
            network = IPv4Network(text)
            margin = 1 if network.prefixlen < 31 else 0
            first, last = int(network.network_address) + margin, int(network.broadcast_address) - margin
        else:
            begin, dash, end = text.partition("-")
            first = int(IPv4Address(begin))
            last = int(IPv4Address(end)) if dash else first
    except (AddressValueError, NetmaskValueError):
        raise BadRange(f"{text!r} is not a range such as 10.99.0.0/24 or 10.98.0.5-10.98.0.9") from None
    except ValueError:
        raise BadRange(f"{text!r} has bits set to the right of its prefix") from None
    if first > last:
        raise BadRange(f"{text!r} ends before it begins")
    loopback = int(_LOOPBACK.network_address), int(_LOOPBACK.broadcast_address)
    if first < _LEAST or last > _MOST or overlap((first, last), loopback):
        raise BadRange(f"{text!r} has addresses that no subscriber can have")
    return first, last


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans have an address in common."""
    return one[0] <= other[1] and other[0] <= one[1]


def size(spans: Iterable[Span]) -> int:
    """How many addresses spans apart from each other have."""
    return sum(last - first + 1 for first, last in spans)


def holds(spans: Sequence[Span], address: int) -> bool:
    """Whether an address is in one of the spans, which are apart and in order."""
    at = bisect_right(spans, address, key=_first) - 1
    return at >= 0 and address <= spans[at][1]


def in_order(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in the order that `holds` needs. Raises BadRange if two of them overlap."""
    found = tuple(sorted(spans))
    for one, following in pairwise(found):
        if overlap(one, following):
            raise BadRange(f"{dotted(following[0])} is there twice")
    return found


def dotted(address: int) -> str:
    """An address as people write it."""
    return str(IPv4Address(address))


def _first(span: Span) -> int:
    return span[0]
