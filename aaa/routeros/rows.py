"""Rows of a router's menus: what they say, which are ours, and when two values mean the same. Pure.

Ours carry the comment `ledgate:<key>:<hash>`; the hash is of what was written, so that a rule of an older wish is told
from one of this, however the router prints it. Comments `ledgate:s<session>:…` are list entries of sessions: others
make and remove them, and here they are foreign.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_network
from typing import Final

ADDRESS_LIST: Final = "/ip/firewall/address-list"
FILTER: Final = "/ip/firewall/filter"
NAT: Final = "/ip/firewall/nat"
ADDRESS_LIST_6: Final = "/ipv6/firewall/address-list"
FILTER_6: Final = "/ipv6/firewall/filter"
WALLED_GARDEN: Final = "/ip/hotspot/walled-garden/ip"
RADIUS: Final = "/radius"
INCOMING: Final = "/radius/incoming"
PPP_AAA: Final = "/ppp/aaa"

MENUS: Final = (ADDRESS_LIST, ADDRESS_LIST_6, WALLED_GARDEN, RADIUS, INCOMING, PPP_AAA, NAT, FILTER, FILTER_6)
"""All menus that may hold something of ours, in the order in which it is put there: what lets through comes first."""
LISTS: Final = frozenset((ADDRESS_LIST, ADDRESS_LIST_6))
RULES: Final = frozenset((NAT, FILTER, FILTER_6))
"""Menus of rules in chains: the order of a chain is the order in which it is evaluated."""
ORDERED: Final = RULES | {WALLED_GARDEN}
SINGLE: Final = frozenset((INCOMING, PPP_AAA))
"""Menus that are one row, always there."""

Fields = Mapping[str, str]

MATCHERS: Final = frozenset(
    """address-list address-list-timeout connection-bytes connection-limit connection-mark connection-nat-state
    connection-rate connection-state connection-type content dscp dst-address dst-address-list dst-address-type dst-host
    dst-limit dst-port fragment headers hop-limit hotspot icmp-options in-bridge-port in-bridge-port-list in-interface
    in-interface-list ingress-priority ipsec-policy ipv4-options jump-target layer7-protocol limit nth out-bridge-port
    out-bridge-port-list out-interface out-interface-list packet-mark packet-size per-connection-classifier port
    priority protocol psd random realm routing-mark routing-table server src-address src-address-list src-address-type
    src-mac-address src-port tcp-flags tcp-mss time tls-host to-addresses to-ports ttl""".split()
)
"""What makes a rule match less, or do something else, wherever it is set."""

SECRET: Final = "secret"
_MARK: Final = re.compile(r"ledgate:(?!s\d+:)(?P<key>.+):(?P<hash>[0-9a-f]{8})")
_SETS: Final = frozenset(("connection-state", "dst-port", "src-port", "service"))
_ADDRESSES: Final = frozenset(("address", "dst-address", "src-address", "to-addresses"))
_TIMES: Final = frozenset(("timeout",))
_UNITS: Final = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_SPAN: Final = re.compile(r"(\d+)(ms|[wdhms])")
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d+):(\d+)(?:\.(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class Item:
    """One row that a router is to hold. `key` is unique within its menu, and '' in a menu that is one row."""

    menu: str
    key: str
    fields: tuple[tuple[str, str], ...]

    @property
    def chain(self) -> str:
        return dict(self.fields).get("chain", "")

    @property
    def action(self) -> str:
        return dict(self.fields).get("action", "")

    @property
    def mark(self) -> str:
        """Its comment. A secret is no part of the hash, from which it could be guessed."""
        words = (self.menu, *(f"{name}={value}" for name, value in self.fields if name != SECRET))
        return f"ledgate:{self.key}:{sha256('|'.join(words).encode()).hexdigest()[:8]}"

    @property
    def written(self) -> dict[str, str]:
        """What is sent to make it."""
        return {**dict(self.fields), "comment": self.mark}

    def __repr__(self) -> str:
        return f"Item({self.menu} {told(dict(self.fields))})"


@dataclass(frozen=True, slots=True)
class Row:
    """One row as a router prints it; `id` is its `.id`, '' in a menu that is one row."""

    id: str
    fields: Fields

    @property
    def chain(self) -> str:
        return self.fields.get("chain", "")

    @property
    def action(self) -> str:
        return self.fields.get("action", "accept")

    @property
    def comment(self) -> str:
        return self.fields.get("comment", "")

    @property
    def dynamic(self) -> bool:
        return is_on(self.fields.get("dynamic", "false"))

    @property
    def disabled(self) -> bool:
        return is_on(self.fields.get("disabled", "false"))

    @property
    def key(self) -> str | None:
        """The key of one of ours; None: it is foreign, or the router's own."""
        mark = None if self.dynamic else _MARK.fullmatch(self.comment)
        return None if mark is None else mark["key"]

    def __repr__(self) -> str:
        return f"Row({self.id} {told(self.fields)})"


def told(fields: Fields) -> str:
    """Fields as an operator would type them; secrets are masked."""
    return " ".join(f"{name}={_quoted('***' if name == SECRET else value)}" for name, value in fields.items())


def same(name: str, one: str, other: str) -> bool:
    """Whether two values of a field mean the same to a router."""
    return one == other or meaning(name, one) == meaning(name, other)


def meaning(name: str, value: str) -> str:
    """The one spelling of what a router prints, or takes, in several."""
    if name in _SETS:
        return ",".join(sorted(value.split(",")))
    if name in _ADDRESSES:
        return _address(value)
    if name in _TIMES:
        milliseconds = duration(value)
        return value if milliseconds is None else f"{milliseconds}ms"
    return {"true": "yes", "false": "no"}.get(value, value)


def is_on(value: str) -> bool:
    return value in ("true", "yes")


def duration(value: str) -> int | None:
    """Milliseconds of `1d2h3m4s`, `300ms`, or RouterOS 6's `1d02:03:04`, `00:00:03.300`; None: it is none of them."""
    days = 0
    text = value
    match = re.fullmatch(r"(?:(\d+)w)?(?:(\d+)d)?(.*)", text, re.DOTALL)
    assert match is not None
    if _CLOCK.fullmatch(match[3]):
        days, text = 7 * int(match[1] or 0) + int(match[2] or 0), match[3]
        clock = _CLOCK.fullmatch(text)
        assert clock is not None
        seconds = int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + int(clock[3])
        return days * _UNITS["d"] + seconds * 1000 + int((clock[4] or "0").ljust(3, "0"))
    if text.isdigit():
        return int(text) * 1000
    if not text or _SPAN.sub("", text):
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in _SPAN.findall(text))


def _address(value: str) -> str:
    bang, text = ("!", value[1:]) if value.startswith("!") else ("", value)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return value
    return bang + (str(network.network_address) if network.num_addresses == 1 else str(network))


def _quoted(value: str) -> str:
    return f'"{value}"' if not value or re.search(r"[\s\"=;]", value) else value
