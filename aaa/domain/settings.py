"""Settings: what an operator sets once for the whole installation, in the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Settings:
    """`server_ip` is the portal's address as routers reach it; `mikrotik_nat_disable_users` off: no redirect anywhere
    (R5.1). More than `cut_off_limit_percent` of those allowed now, and at least `cut_off_limit_least`, are not cut off
    without a confirmation (R8.4). `profile_names` is what the operator calls profiles of suspension (R4.1).

    `allowed_pages` are addresses, prefixes and DNS names that everybody may reach (R4.11). `radius_ip` is the server's
    address as routers reach RADIUS; None: `server_ip`. With `router_radius` routers are told so over their API. What is
    found changed on a router, looked for every `router_check_minutes`, is mended or only reported (`router_drift`).
    """

    server_ip: str | None = None
    mikrotik_nat_disable_users: bool = True
    cut_off_limit_percent: int = 5
    cut_off_limit_least: int = 20
    profile_names: Mapping[str, str] = field(default_factory=dict)
    allowed_pages: Sequence[str] = ()
    radius_ip: str | None = None
    router_radius: bool = True
    router_drift: Literal["repair", "report"] = "repair"
    router_check_minutes: int = 15

    @property
    def reminders(self) -> bool:
        """Whether a reminder can be shown at all."""
        return self.server_ip is not None and self.mikrotik_nat_disable_users


DEFAULTS = Settings()
