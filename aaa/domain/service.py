"""Services, scopes and params: the facts that policy is applied to."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from aaa.domain.suspension import Suspension
from aaa.domain.timeline import AttributeValue


class Level(IntEnum):
    """The seven scope levels, weakest first (R1). Stored by name."""

    SERVER = 0
    CENTER = 1
    VISP = 2
    RESELLER = 3
    PLAN = 4
    CLASS = 5
    USER = 6


@dataclass(frozen=True, slots=True)
class Scope:
    """A place a param is attached to: `server`, `visp:tehran`, `user:ali`, …"""

    level: Level
    name: str = ""

    def __str__(self) -> str:
        return f"{self.level.name.lower()}:{self.name}" if self.name else self.level.name.lower()


SERVER = Scope(Level.SERVER)


class Status(StrEnum):
    """How a param is inherited (R1.3)."""

    PASSTHROUGH_YES = "passthrough-yes"
    PASSTHROUGH_NO = "passthrough-no"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Param:
    """A named setting on a scope. `value` was checked against the param's type when it was set (R1.4)."""

    scope: Scope
    name: str
    value: Any
    status: Status = Status.PASSTHROUGH_YES


@dataclass(frozen=True, slots=True)
class Service:
    """One login on one plan. `static_ip` is a Framed-IP-Address, `mac` the caller-id lock (normalised, see
    `aaa.domain.mac`), `active_to` the instant the service ends (UTC microseconds; None: no end), `suspensions` those
    that nobody lifted, `exempt_until` the end of an exemption from automatic suspension (R4.9). Of its account are
    `billing_day`, on which its periods begin (1 to 31), and `acknowledged_at`, the last OK to a reminder (R5.2).
    """

    id: int
    account_id: int
    username: str
    visp: str
    currency: str
    timezone: str
    plan: str | None = None
    plan_reply: tuple[tuple[str, AttributeValue], ...] = ()
    static_ip: str | None = None
    mac: str | None = None
    mac_auth: bool = False
    active_to: int | None = None
    suspensions: tuple[Suspension, ...] = ()
    exempt_until: int | None = None
    dont_show_overdue: bool = False
    billing_day: int = 1
    acknowledged_at: int | None = None
