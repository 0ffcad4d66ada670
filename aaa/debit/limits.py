"""What limits logins whatever the verdict: devices, routers, methods and how many at once (R1.4, R1.5). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aaa.debit.params import (
    ALLOWED_METHODS,
    ALLOWED_NAS,
    CALLER_ID_LOCK,
    LOCK_LEARN,
    LOCK_OFF,
    SIMULTANEOUS_USE,
    Effective,
)
from aaa.domain.service import Level, Scope

_ASKED: Final = (CALLER_ID_LOCK, ALLOWED_NAS, ALLOWED_METHODS, SIMULTANEOUS_USE)


@dataclass(frozen=True, slots=True)
class LoginLimit:
    """A limit in force; `name` and `value` are those of its param, `scope` is where that was set."""

    name: str
    value: Any
    scope: str

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "value": self.value, "scope": self.scope}

    def line(self) -> str:
        """The same for people."""
        value = self.value if not isinstance(self.value, list | tuple) else ", ".join(self.value)
        told = "the first device that comes online" if value == LOCK_LEARN else value
        return f"{self.name}: {told} ({self.scope})"


def login_limits(effective: Mapping[str, Effective], username: str, mac: str | None) -> list[LoginLimit]:
    """The limits of a service with these params and this `mac` of its own, in the order in which a login meets them.

    Its own device goes before what the param says, but for `off` (as in Policy.caller_lock).
    """
    found = {name: LoginLimit(name, one.value, str(one.scope)) for name in _ASKED if (one := effective.get(name))}
    lock = found.pop(CALLER_ID_LOCK, None)
    if mac is not None and (lock is None or lock.value != LOCK_OFF):
        lock = LoginLimit(CALLER_ID_LOCK, mac, str(Scope(Level.USER, username)))
    return [*([] if lock is None else [lock]), *found.values()]
