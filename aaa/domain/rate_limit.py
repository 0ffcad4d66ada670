"""Mikrotik-Rate-Limit: what may be asked of a router, and what it comes to. Pure.

    rx[/tx] [rx-burst[/tx-burst] [rx-threshold[/tx-threshold] [rx-time[/tx-time] [priority [rx-min[/tx-min]]]]]]

as MikroTik's manual has it (RADIUS client; DHCP server). It is the router's view: rx is the subscriber's upload. Rates
are bits per second, with k, M or G for thousands, millions and thousands of millions, 0 for none; times are seconds;
the priority is 1, the highest, to 8. What is left out after a slash is as before it.
"""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

MOST: Final = 2**63 - 1

_UNITS: Final = {"": 1, "k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_NUMBER: Final = re.compile(r"([0-9]{1,19})([kMG]?)", re.ASCII)
_FIELDS: Final = ("rate", "burst rate", "burst threshold", "burst time", "priority", "least rate")


class BadRateLimit(ValueError):
    """A text that is no rate limit; the message says which part of it is wrong."""


class Pair(NamedTuple):
    """One number for each direction."""

    upload: int
    download: int


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Rates in bits per second, 0: no limit; `burst_time` in seconds. None: it does not say."""

    max_limit: Pair
    burst_limit: Pair | None = None
    burst_threshold: Pair | None = None
    burst_time: Pair | None = None
    priority: int | None = None
    limit_at: Pair | None = None


def parse(text: str) -> RateLimit:
    """The rate limit that a text such as `2M/4M 3M/6M 1M/2M 8/8 5 1M/1M` asks for. Raises BadRateLimit."""
    parts = text.split(" ")
    if len(parts) > len(_FIELDS):
        raise BadRateLimit(f"{text!r} has more than {', '.join(_FIELDS)}")
    for part, field in zip(parts, _FIELDS, strict=False):
        if not part:
            raise BadRateLimit(f"{text!r} has a blank where its {field} should be")
    pairs = {field: _pair(part, field) for part, field in zip(parts, _FIELDS, strict=False) if field != "priority"}
    found = RateLimit(
        pairs["rate"],
        pairs.get("burst rate"),
        pairs.get("burst threshold"),
        pairs.get("burst time"),
        _priority(parts[4]) if len(parts) > 4 else None,
        pairs.get("least rate"),
    )
    if found.limit_at is not None:
        for least, most in zip(found.limit_at, found.max_limit, strict=True):
            if most and least > most:
                raise BadRateLimit(f"the least rate {parts[5]!r} is above the rate {parts[0]!r}")
    return found


def _pair(text: str, field: str) -> Pair:
    upload, slash, download = text.partition("/")
    first = _number(upload, text, field)
    return Pair(first, _number(download, text, field) if slash else first)


def _number(text: str, whole: str, field: str) -> int:
    read = _NUMBER.fullmatch(text)
    if read is None or (field == "burst time" and read[2]):
        kind = "seconds such as 8/8" if field == "burst time" else "bits per second such as 2M/4M, with k, M or G"
        raise BadRateLimit(f"the {field} {whole!r} is not {kind}")
    number = int(read[1]) * _UNITS[read[2]]
    if number > MOST:
        raise BadRateLimit(f"the {field} {whole!r} is too high")
    return number


def _priority(text: str) -> int:
    if len(text) != 1 or text not in "12345678":
        raise BadRateLimit(f"the priority {text!r} is not 1 to 8")
    return int(text)
