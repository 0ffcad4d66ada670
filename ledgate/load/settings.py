"""The section `settings` of a load file, and what must fit it (R5.1) (shell)."""

from collections.abc import Sequence
from typing import Any, Final

from aaa.commands.door import Change
from aaa.commands.settings import put_settings
from aaa.debit.controls.definitions import KINDS, OVERDUE_POLICY, Definitions
from aaa.domain.settings import Settings
from aaa.domain.suspension import PROFILES
from ledgate.load import fields
from ledgate.load.fields import BadLoad, Reader

KEYS: Final = (
    "server_ip",
    "mikrotik_nat_disable_users",
    "cut_off_limit_percent",
    "cut_off_limit_least",
    "profile_names",
    "allowed_pages",
    "radius_ip",
    "router_radius",
    "router_drift",
    "router_check_minutes",
)
MOST_SERVICES: Final = 2**31 - 1


def put(change: Change, reader: Reader) -> Settings:
    """Set what the section gives, null restores a default; returns all that count now. Raises BadLoad."""
    reads = (
        ("server_ip", fields.host_ipv4),
        ("mikrotik_nat_disable_users", fields.zero_or_one),
        ("cut_off_limit_percent", fields.whole(0, 100)),
        ("cut_off_limit_least", fields.whole(0, MOST_SERVICES)),
        ("profile_names", _profile_names),
        ("allowed_pages", _allowed_pages),
        ("radius_ip", fields.host_ipv4),
        ("router_radius", fields.switch),
        ("router_drift", fields.one_of("repair", "report")),
        ("router_check_minutes", fields.whole(1, 24 * 60)),
    )
    return put_settings(change, {key: reader.take(key, read) for key, read in reads if reader.has(key)})


def check_reminders(settings: Settings, known: Definitions, policies: Sequence[Any], given: Reader) -> None:
    """No OverduePolicy may remind while no router knows where to send people (R5.1). Raises BadLoad.

    `policies` and `given` are what the file has in its sections of policies and settings.
    """
    if settings.server_ip is not None:
        return
    reminding = {name for name, policy in known.overdue_policies.items() if policy.on}
    section = KINDS[OVERDUE_POLICY].section
    for index, one in enumerate(policies):
        if one["name"] in reminding and "remind_pay" in one:
            raise BadLoad(f"{section}[{index}].remind_pay", "needs the setting server_ip, to which people are sent")
    if reminding:
        raise BadLoad(given.at("server_ip"), f"cannot be removed: {', '.join(sorted(reminding))} has remind_pay 1")


def _profile_names(value: Any, path: str) -> dict[str, str]:
    """What profiles are called, all of them: who is not in it has no name (R4.1)."""
    if not isinstance(value, dict):
        raise BadLoad(path, "must be an object")
    for profile, name in value.items():
        if profile not in PROFILES:
            raise BadLoad(f"{path}.{profile}", f"is no profile; they are {PROFILES[0]} to {PROFILES[-1]}")
        fields.name(name, f"{path}.{profile}")
    return value


def _allowed_pages(value: Any, path: str) -> list[str]:
    """Addresses, prefixes and DNS names, all of them (R4.11)."""
    if not isinstance(value, list):
        raise BadLoad(path, "must be a list")
    pages = [fields.page(one, f"{path}[{index}]") for index, one in enumerate(value)]
    return list(dict.fromkeys(pages))
