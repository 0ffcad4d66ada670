"""Who dials in at a fake router, and what becomes of it."""

from dataclasses import dataclass
from typing import Any, Final, Literal

from aaa import clock
from ledgate.lab.client import Address, Method

_GIGAWORD: Final = 1 << 32
Access = Literal["pppoe", "hotspot"]


@dataclass(frozen=True, slots=True)
class Subscriber:
    """Who dials in, and how. `address` is a hotspot client's, which it has before it logs in."""

    username: str
    password: str
    method: Method = "pap"
    mac: str = "02:00:00:00:00:01"
    access: Access = "pppoe"
    address: str = "192.168.88.10"


@dataclass(slots=True)
class Session:
    """A session on the router. `told`: attributes by name, a list where one came several times."""

    subscriber: Subscriber
    acct_session_id: str
    framed_ip: str
    told: dict[str, Any]
    classes: tuple[bytes, ...]
    started: float
    up: int = 0
    down: int = 0

    @property
    def seconds(self) -> int:
        return int(clock.monotonic() - self.started)

    @property
    def over_limit(self) -> int:
        """By how much the session is beyond the nearest limit of volume that it was told, octets; negative: it is not.
        The router receives what the subscriber sends (RouterOS manual, RADIUS).
        """
        counted = {"Recv": self.up, "Xmit": self.down, "Total": self.up + self.down}
        limits = {name: self.limit(name) for name in counted}
        return max((counted[name] - limit for name, limit in limits.items() if limit), default=-1)

    def limit(self, name: str) -> int:
        """A limit of volume that the session was told (`name`: Recv, Xmit or Total), octets; 0: none."""
        low: int = self.told.get(f"Mikrotik-{name}-Limit", 0)
        high: int = self.told.get(f"Mikrotik-{name}-Limit-Gigawords", 0)
        return low + high * _GIGAWORD

    def words(self, name: str) -> list[str]:
        """The values of an attribute that may have come several times."""
        value = self.told.get(name, [])
        return [str(one) for one in value] if isinstance(value, list) else [str(value)]


@dataclass(frozen=True, slots=True)
class Refused:
    """An Access-Reject, with its Reply-Message."""

    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """A CoA or Disconnect as the router took it: the session it met, what it asked for, the answer, and when.

    `at` is the clock's instant at which the answer left.
    """

    kind: Literal["coa", "disconnect"]
    session: Session | None
    asked: dict[str, Any]
    answer: Literal["ack", "nak"]
    at: int


@dataclass(slots=True)
class Datagram:
    """A request that reached the router, as it was."""

    data: bytes
    source: Address
    at: int
