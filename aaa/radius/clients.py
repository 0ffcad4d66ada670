"""Which router a packet comes from: by source address or prefix, then by NAS-Identifier. Pure.

Addresses are texts as a socket gives them; an IPv4-mapped IPv6 address counts as the IPv4 one, a zone (`%eth0`) is
ignored.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal

from aaa.radius.integrity import Secret

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Demand = Literal["yes", "no", "auto"]

# Sources remembered at most; forged addresses must not fill the memory.
_REMEMBERED: Final = 65_536


def is_address(text: str) -> bool:
    """Whether this is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Nas:
    """A router as RADIUS client.

    `secrets` holds the current secret and, during a rotation, the previous one. `octets` says from whose point of view
    it counts (`rfc`: input is the subscriber's upload; `client`: the other way round). `coa_address` None: the address
    the requests came from. `coa_session_timeout` is what a Session-Timeout in a CoA counts from.
    `total_limit`: it is told what is left of a quota. `lists_by_api`: its address-lists are kept over its API, so that
    replies name none.
    """

    id: int
    name: str
    network: Network
    identifier: str | None
    secrets: tuple[Secret, ...]
    require_message_authenticator: Demand = "auto"
    limit_proxy_state: Demand = "auto"
    octets: Literal["rfc", "client"] = "rfc"
    coa_address: str | None = None
    coa_port: int = 3799
    coa_session_timeout: Literal["from_start", "from_now"] = "from_start"
    total_limit: bool = False
    lists_by_api: bool = False


class DuplicateNas(ValueError):
    """Two routers with the same network and the same NAS-Identifier: no packet could tell them apart."""


def parse_network(text: str) -> Network:
    """`192.0.2.1`, `192.0.2.0/24`, `2001:db8::/32`; IPv4-mapped addresses become IPv4. Raises ValueError."""
    network = ip_network(text.strip())
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        inner = network.network_address.ipv4_mapped
        if inner is not None:
            return IPv4Network((inner, network.prefixlen - 96))
    return network


def parse_address(text: str) -> Address:
    """A source address as a socket gives it. Raises ValueError."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class _Place:
    """What one network, or one source address, may be: routers by identifier, and the one that needs none."""

    __slots__ = ("default", "named")

    def __init__(self) -> None:
        self.named: dict[bytes, Nas] = {}
        self.default: Nas | None = None


class Clients:
    """The routers we know. The longest prefix wins; one that has no such identifier leaves it to the next shorter one.

    Immutable apart from a cache of `remembered` sources; build a new one when the table changes. Raises DuplicateNas.
    """

    __slots__ = ("_lengths", "_places", "_remembered", "_sources", "nas")

    def __init__(self, nas: Iterable[Nas], remembered: int = _REMEMBERED) -> None:
        self.nas: tuple[Nas, ...] = tuple(nas)
        places: dict[Network, _Place] = {}
        for one in self.nas:
            place = places.setdefault(one.network, _Place())
            other = place.default if one.identifier is None else place.named.get(one.identifier.encode())
            if other is not None:
                told = "without an identifier" if one.identifier is None else f"with identifier {one.identifier!r}"
                raise DuplicateNas(f"NAS {one.name} and NAS {other.name} both are {one.network} {told}")
            if one.identifier is None:
                place.default = one
            else:
                place.named[one.identifier.encode()] = one
        self._places = {_network_key(network): place for network, place in places.items()}
        # Longest first: one look-up for each length in use, however many routers there are.
        self._lengths = sorted({key[:2] for key in self._places}, reverse=True)
        self._sources: dict[str, _Place] = {}
        self._remembered = remembered

    def match(self, source: str, identifier: bytes | None) -> Nas | None:
        """The router at `source` whose NAS-Identifier is `identifier` (None: it sent none); None: it is unknown."""
        place = self._sources.get(source)
        if place is None:
            place = self._look_up(source)
        if identifier is not None:
            named = place.named.get(identifier)
            if named is not None:
                return named
        return place.default

    def _look_up(self, source: str) -> _Place:
        address = parse_address(source)
        found = _Place()
        for version, length in self._lengths:
            if version != address.version:
                continue
            place = self._places.get((version, length, int(address) >> address.max_prefixlen - length))
            if place is None:
                continue
            for identifier, nas in place.named.items():
                found.named.setdefault(identifier, nas)
            if place.default is not None:
                found.default = place.default
                break
        if len(self._sources) >= self._remembered:
            self._sources.clear()
        self._sources[source] = found
        return found


def _network_key(network: Network) -> tuple[int, int, int]:
    """IP version, prefix length and the prefix's bits as a number."""
    return network.version, network.prefixlen, int(network.network_address) >> network.max_prefixlen - network.prefixlen
