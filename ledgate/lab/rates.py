"""The rates that a router applies to a session, of the attributes it was told (RouterOS manual, RADIUS). Pure.

Rates are bits per second, 0 for no limit. The router receives (rx) what the subscriber sends.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from ledgate.lab.routeros.values import parse_rate

RATE_LIMIT: Final = "Mikrotik-Rate-Limit"
NAMES: Final = frozenset(
    (RATE_LIMIT, "Ascend-Data-Rate", "Ascend-Xmit-Rate", "WISPr-Bandwidth-Max-Up", "WISPr-Bandwidth-Max-Down")
)


class Rates(NamedTuple):
    """What a session may use."""

    up: int
    down: int


def rates(told: Mapping[str, Any]) -> Rates:
    """Mikrotik-Rate-Limit beats Ascend-Data-Rate and -Xmit-Rate, which beat WISPr's. A limit that the router does not
    understand is none.
    """
    if RATE_LIMIT in told:
        try:
            return _pair(str(told[RATE_LIMIT]).split(" ")[0])
        except ValueError:
            return Rates(0, 0)
    if "Ascend-Data-Rate" in told:
        data = int(told["Ascend-Data-Rate"])
        return Rates(data, int(told.get("Ascend-Xmit-Rate", data)))
    return Rates(int(told.get("WISPr-Bandwidth-Max-Up", 0)), int(told.get("WISPr-Bandwidth-Max-Down", 0)))


def queue(told: Mapping[str, Any]) -> dict[str, str]:
    """The properties of the dynamic queue, as `/queue/simple print` shows them; none where there is no limit."""
    limit = rates(told)
    if limit == (0, 0):
        return {}
    shown = {"max-limit": f"{limit.up}/{limit.down}"}
    parts = str(told.get(RATE_LIMIT, "")).split()
    for name, part in zip(("burst-limit", "burst-threshold"), parts[1:3], strict=False):
        shown[name] = "{}/{}".format(*_pair(part))
    if len(parts) > 3:
        up, _, down = parts[3].partition("/")
        shown["burst-time"] = f"{up}s/{down or up}s"
    if len(parts) > 4:
        shown["priority"] = f"{parts[4]}/{parts[4]}"
    if len(parts) > 5:
        shown["limit-at"] = "{}/{}".format(*_pair(parts[5]))
    return shown


def _pair(text: str) -> Rates:
    up, _, down = text.partition("/")
    return Rates(parse_rate(up), parse_rate(down or up))
