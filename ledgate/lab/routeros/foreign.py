"""What other people have set up on a router, so that ours must find its place and leave theirs alone. Pure."""

from collections.abc import Mapping
from typing import Final

from ledgate.lab.routeros.device import Device
from ledgate.lab.routeros.firewall import complete

_FILTER: Final = "/ip/firewall/filter"
_NAT: Final = "/ip/firewall/nat"
_LIST: Final = "/ip/firewall/address-list"

_USUAL: Final[tuple[tuple[str, Mapping[str, str]], ...]] = (
    (_FILTER, {"chain": "input", "action": "accept", "connection-state": "established,related,untracked"}),
    (_FILTER, {"chain": "input", "action": "drop", "connection-state": "invalid"}),
    (
        _FILTER,
        {
            "chain": "forward",
            "action": "fasttrack-connection",
            "connection-state": "established,related",
            "comment": "defconf: fasttrack",
        },
    ),
    (_FILTER, {"chain": "forward", "action": "accept", "connection-state": "established,related,untracked"}),
    (_FILTER, {"chain": "forward", "action": "drop", "connection-state": "invalid"}),
    (_NAT, {"chain": "srcnat", "action": "masquerade", "out-interface": "ether1", "comment": "defconf: masquerade"}),
)


def usual(device: Device) -> None:
    """The firewall that most routers come with: FastTrack, established, invalid, masquerade."""
    for path, values in _USUAL:
        device.tables[path].append(values)


def fill(device: Device, rules: int, entries: int, now: int) -> None:
    """Add so many firewall rules and address-list entries of other people; the same ones every time."""
    for number in range(rules):
        path, values = _rule(number)
        complete(path, values)
        device.tables[path].append(values)
    stamp = device.stamp(now)
    for number in range(entries):
        address = f"{11 + number // 65536 % 80}.{number // 256 % 256}.{number % 256}.1"
        entry = {"list": f"theirs-{number % 11}", "address": address, "creation-time": stamp}
        device.tables[_LIST].append(entry if number % 3 else {**entry, "comment": f"blocked by NOC #{number}"})


def _rule(number: int) -> tuple[str, dict[str, str]]:
    address = f"10.{number // 65536 % 256}.{number // 256 % 256}.{number % 256}"
    if number % 10 == 0:
        port = {"protocol": "tcp", "dst-port": str(1024 + number % 60000)}
        return _NAT, {"chain": "dstnat", "action": "dst-nat", "to-addresses": address, **port}
    action = ("accept", "drop", "log")[number % 3]
    values = {"chain": ("forward", "input", "customers")[number % 3], "action": action, "src-address": address}
    return _FILTER, values if number % 4 else {**values, "comment": f"ticket {number}"}
