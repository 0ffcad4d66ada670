"""Addresses and prefixes that a router gives out of its own pools. Pure."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from ledgate.lab.routeros.device import Device


def free_address(device: Device, pool: str, taken: set[str]) -> str | None:
    """The first address of a pool of `/ip/pool`, or of the one that comes next to it, that nobody has."""
    seen: set[str] = set()
    while pool and pool not in seen:
        seen.add(pool)
        rows = device.tables["/ip/pool"].where(name=pool)
        if not rows:
            return None
        for address in _addresses(rows[0].values["ranges"]):
            if address not in taken:
                return address
        pool = rows[0].values.get("next-pool", "")
    return None


def free_prefix(device: Device, pool: str, taken: set[str]) -> str | None:
    """The first prefix of a pool of `/ipv6/pool` that nobody has."""
    for row in device.tables["/ipv6/pool"].where(name=pool):
        for network in IPv6Network(row.values["prefix"]).subnets(new_prefix=int(row.values["prefix-length"])):
            if str(network) not in taken:
                return str(network)
    return None


def _addresses(ranges: str) -> Iterator[str]:
    for part in ranges.split(","):
        first, dash, last = part.partition("-")
        if dash:
            for number in range(int(IPv4Address(first)), int(IPv4Address(last)) + 1):
                yield str(IPv4Address(number))
        else:
            yield from map(str, IPv4Network(first, strict=False))
