"""Params: which there are, how a value is checked when it is set, and which one counts for a service (R1). Pure."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aaa.debit.controls.debit_control import DebitControl
from aaa.debit.controls.definitions import DEBIT_CONTROL, KINDS, Definitions
from aaa.debit.reply import AttributeCheck, BadValue, attribute_value
from aaa.domain.login_time import MOST_WINDOWS, BadLoginTime, LoginTime
from aaa.domain.mac import normalise
from aaa.domain.method import BITS
from aaa.domain.service import Level, Param, Scope, Status
from aaa.domain.timeline import Profile

SIMULTANEOUS_USE: Final = "simultaneous-use"
ALLOWED_METHODS: Final = "allowed-methods"
ALLOWED_NAS: Final = "allowed-nas"
LOGIN_TIME: Final = "login-time"
CALLER_ID_LOCK: Final = "caller-id-lock"
GIGABYTE: Final = "gigabyte"

AUTH: Final = frozenset((SIMULTANEOUS_USE, ALLOWED_METHODS, ALLOWED_NAS, LOGIN_TIME, CALLER_ID_LOCK))
ACCT: Final = frozenset((GIGABYTE,))
HELPER: Final = frozenset(KINDS)
# Every other name is of the group `reply`: a RADIUS attribute (R1.4).

GIGABYTES: Final = (10**9, 2**30)
"""What a gigabyte may be, in octets."""
LOCK_OFF: Final = "off"
LOCK_LEARN: Final = "learn"
MOST_SESSIONS: Final = 65_535
MOST_NAS: Final = 200
"""Of names of 64 characters so many fit an access record."""

_Named = TypeVar("_Named")


class BadParam(BadValue):
    """A param that cannot be set, or that cannot be applied to a service."""


@dataclass(frozen=True, slots=True)
class Effective:
    """A param's value that counts for a service, the scope it came from, and what it hid, weakest first (R1.5).

    A `status` of passthrough-no may have hidden values of stronger scopes too.
    """

    name: str
    value: Any
    scope: Scope
    hidden: tuple[Param, ...] = ()
    status: Status = Status.PASSTHROUGH_YES

    def to_json(self) -> dict[str, object]:
        """What `ledgate params --json` prints for it."""
        return {
            "name": self.name,
            "group": group(self.name),
            "value": self.value,
            "scope": str(self.scope),
            "status": self.status.value,
            "hides": [{"value": one.value, "scope": str(one.scope), "status": one.status.value} for one in self.hidden],
        }

    def line(self) -> str:
        """The same for people: `Idle-Timeout = 60 from plan:home20, hides 300 of server`."""
        final = " (final)" if self.status is Status.PASSTHROUGH_NO else ""
        hidden = ", ".join(f"{_spell(one.value)} of {one.scope}" for one in self.hidden)
        return f"{self.name} = {_spell(self.value)} from {self.scope}{final}{', hides ' if hidden else ''}{hidden}"


def is_reply(name: str) -> bool:
    """Whether a param of this name is a reply attribute."""
    return name not in AUTH and name not in HELPER and name not in ACCT


def group(name: str) -> str:
    """The group of a param of this name: helper, auth, acct or reply (R1.4)."""
    for word, names in (("helper", HELPER), ("auth", AUTH), ("acct", ACCT)):
        if name in names:
            return word
    return "reply"


def of_plan(plan: str | None, reply: Profile) -> tuple[Param, ...]:
    """A plan's own reply attributes as params on its scope: they come before those set there, which win."""
    scope = Scope(Level.PLAN, plan or "")
    return tuple(Param(scope, name, value) for name, value in reply)


def check(
    name: str,
    value: object,
    definitions: Definitions,
    check_attribute: AttributeCheck,
    path: str = "value",
    routers: Collection[str] = (),
) -> Any:
    """The value of a param as it is to be stored. Raises BadParam with `path`.

    `routers` are the names of all there are, for allowed-nas. Whether a DebitControl counts in the currency of every
    VISP that it reaches is for `require_currency` to say, when all is known (R2.8).
    """
    if name == SIMULTANEOUS_USE:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_SESSIONS:
            raise BadParam(path, f"{name} must be an integer from 1 to {MOST_SESSIONS}")
        return value
    if name == ALLOWED_METHODS:
        return _listed(name, value, BITS, len(BITS), path)
    if name == ALLOWED_NAS:
        return _listed(name, value, routers, MOST_NAS, path)
    if name == LOGIN_TIME:
        return _login_time(value, path)
    if name == CALLER_ID_LOCK:
        return _caller_id_lock(value, path)
    if name == GIGABYTE:
        if value not in GIGABYTES or isinstance(value, float):
            raise BadParam(path, f"{name} must be {' or '.join(map(str, GIGABYTES))}")
        return value
    if name in KINDS:
        return _named(definitions.of(name), name, value, path).name
    try:
        return attribute_value(name, value, path, check_attribute)
    except BadValue as error:
        raise BadParam(error.path, error.message) from None


def require_currency(control: DebitControl, currency: str, path: str, visp: str = "the VISP") -> None:
    """Raise BadParam if `control` counts in another currency than `visp`, which counts in `currency` (R2.8)."""
    if control.currency is not None and control.currency != currency:
        raise BadParam(path, f"{DEBIT_CONTROL} {control.name} counts in {control.currency}, {visp} in {currency}")


def resolve(params: Iterable[Param]) -> dict[str, Effective]:
    """Which of a service's params count, by name (R1.2, R1.3); `params` are those on every scope the service is in.

    From the weakest scope on, the last one that may speak wins: a passthrough-no ends the walk, a disabled param is not
    there at all. Of two on one scope (a plan's own reply attribute, and a param set on that plan) the later given wins.
    """
    chains: dict[str, list[Param]] = {}
    for param in sorted(params, key=_level):
        if param.status is not Status.DISABLED:
            chains.setdefault(param.name, []).append(param)
    return {name: _effective(chain) for name, chain in chains.items()}


def _effective(chain: list[Param]) -> Effective:
    chosen = len(chain) - 1
    for index, param in enumerate(chain):
        if param.status is Status.PASSTHROUGH_NO:
            chosen = index
            break
    winner = chain[chosen]
    return Effective(winner.name, winner.value, winner.scope, (*chain[:chosen], *chain[chosen + 1 :]), winner.status)


def _level(param: Param) -> int:
    return param.scope.level


def _listed(name: str, value: object, known: Collection[str], most: int, path: str) -> tuple[str, ...]:
    """A list of names that are known, in their order. Nobody could log in under an empty one: null removes a param."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= most:
        raise BadParam(path, f"{name} must be a list of 1 to {most} names")
    for index, one in enumerate(value):
        if not isinstance(one, str) or one not in known:
            what = "there is no NAS called" if name == ALLOWED_NAS else f"must be one of {', '.join(known)}, not"
            raise BadParam(f"{path}[{index}]", f"{what} {one!r}")
        if one in value[:index]:
            raise BadParam(f"{path}[{index}]", f"{one!r} is there twice")
    return tuple(value)


def _login_time(value: object, path: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_WINDOWS:
        raise BadParam(path, f"{LOGIN_TIME} must be a list of 1 to {MOST_WINDOWS} windows")
    for index, one in enumerate(value):
        try:
            LoginTime((str(one),))
        except BadLoginTime as error:
            raise BadParam(f"{path}[{index}]", str(error)) from None
    return tuple(value)


def _caller_id_lock(value: object, path: str) -> str:
    if value in (LOCK_OFF, LOCK_LEARN):
        return str(value)
    mac = normalise(value) if isinstance(value, str) else None
    if mac is None:
        raise BadParam(path, f"{CALLER_ID_LOCK} must be {LOCK_OFF}, {LOCK_LEARN} or a MAC address, not {value!r}")
    return mac


def _spell(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _named(known: Mapping[str, _Named], kind: str, name: object, path: str) -> _Named:
    found = known.get(name) if isinstance(name, str) else None
    if found is None:
        raise BadParam(path, f"there is no {kind} called {name!r}")
    return found
