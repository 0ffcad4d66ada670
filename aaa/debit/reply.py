"""Reply attributes as policy sees them: checked when they are set, replaced and stripped by verdict. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from aaa.domain.timeline import AttributeValue, Profile, profile

FRAMED_IP: Final = "Framed-IP-Address"
FRAMED_POOL: Final = "Framed-Pool"
ADDRESS_LIST: Final = "Mikrotik-Address-List"
RATE_LIMIT: Final = "Mikrotik-Rate-Limit"
SESSION_TIMEOUT: Final = "Session-Timeout"
INTERIM: Final = "Acct-Interim-Interval"
DEFAULT_INTERIM: Final = 300
"""Seconds between interim records: RouterOS falls back to none at all when it is sent nothing, or 0."""

ADDRESS: Final = frozenset((FRAMED_IP, FRAMED_POOL))
ADDRESSING: Final = ADDRESS | {"Framed-IP-Netmask", "Framed-Route"}
"""IPv4 addresses, pools and the routes that lead to them; see `is_ipv6` for the rest."""

AttributeCheck = Callable[[str, object], None]
"""Raises ValueError, naming the attribute, unless a reply may carry it with that value."""


def as_stored(_name: str, _value: object) -> None:
    """The check of what was checked when it was set: whatever an older version took goes on."""


class BadValue(ValueError):
    """A setting that cannot be accepted: where it is (`params[2].value`), and what is wrong with it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


def under(path: str, key: str) -> str:
    """The path of `key` within the object at `path`."""
    return f"{path}.{key}" if path else key


def attribute_value(name: str, value: object, path: str, check: AttributeCheck) -> AttributeValue:
    """A reply attribute's value from JSON: text, an integer, or a list that repeats the attribute. Raises BadValue."""
    try:
        check(name, value)
    except ValueError as error:
        raise BadValue(path, str(error)) from None
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    if isinstance(value, list | tuple) and value and name != FRAMED_IP:
        return tuple(value)
    raise BadValue(path, f"{name}: must be one value" if name == FRAMED_IP else f"{name}: must not be empty")


def attributes(value: object, path: str, check: AttributeCheck) -> Profile:
    """Reply attributes from a JSON object, as a plan or a finish rule gives them. Raises BadValue."""
    if not isinstance(value, Mapping):
        raise BadValue(path, "must be an object of reply attributes")
    return profile((name, attribute_value(name, one, under(path, name), check)) for name, one in value.items())


def attributes_json(pairs: Profile) -> dict[str, object]:
    """The inverse of `attributes`."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in pairs}


def is_ipv6(name: str) -> bool:
    """Whether an attribute gives an IPv6 address, prefix, pool, route or interface identifier (R3.3)."""
    return "IPv6" in name or name == "Framed-Interface-Id"


def for_hotspot(pairs: Iterable[tuple[str, AttributeValue]]) -> Profile:
    """What a hotspot session is told: all but addressing, which would force a new login there (R3.3)."""
    return tuple(pair for pair in pairs if pair[0] not in ADDRESSING and not is_ipv6(pair[0]))
