"""Params: which there are, how a value is checked when it is set, and which one counts for a service (R1). Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aaa.debit.controls import DebitControl, Definitions
from aaa.debit.reply import AttributeCheck, BadValue, attribute_value
from aaa.domain.service import Param, Scope, Status

SIMULTANEOUS_USE: Final = "simultaneous-use"
DEBIT_CONTROL: Final = "DebitControl"
FINISH_RULE: Final = "FinishRule"

AUTH: Final = frozenset((SIMULTANEOUS_USE,))
HELPER: Final = frozenset((DEBIT_CONTROL, FINISH_RULE))
# Every other name is of the group `reply`: a RADIUS attribute (R1.4).

MOST_SESSIONS: Final = 65_535

_Named = TypeVar("_Named")


class BadParam(BadValue):
    """A param that cannot be set, or that cannot be applied to a service."""


@dataclass(frozen=True, slots=True)
class Effective:
    """A param's value that counts for a service, the scope it came from, and what it hid, weakest first (R1.5)."""

    name: str
    value: Any
    scope: Scope
    hidden: tuple[Param, ...] = ()


def is_reply(name: str) -> bool:
    """Whether a param of this name is a reply attribute."""
    return name not in AUTH and name not in HELPER


def check(
    name: str,
    value: object,
    definitions: Definitions,
    check_attribute: AttributeCheck,
    currencies: Collection[str] = (),
    path: str = "value",
) -> Any:
    """The value of a param as it is to be stored. Raises BadParam with `path`.

    `currencies` are those of every VISP under the scope the param is set on: a DebitControl of another currency is
    refused (R2.8).
    """
    if name == SIMULTANEOUS_USE:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST_SESSIONS:
            raise BadParam(path, f"{name} must be an integer from 1 to {MOST_SESSIONS}")
        return value
    if name == DEBIT_CONTROL:
        control = _named(definitions.debit_controls, name, value, path)
        for currency in currencies:
            require_currency(control, currency, path)
        return control.name
    if name == FINISH_RULE:
        return _named(definitions.finish_rules, name, value, path).name
    try:
        return attribute_value(name, value, path, check_attribute)
    except BadValue as error:
        raise BadParam(error.path, error.message) from None


def require_currency(control: DebitControl, currency: str, path: str) -> None:
    """Raise BadParam if `control` counts in another currency than `currency` (R2.8)."""
    if control.currency is not None and control.currency != currency:
        raise BadParam(path, f"{DEBIT_CONTROL} {control.name} counts in {control.currency}, the VISP in {currency}")


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
    return Effective(winner.name, winner.value, winner.scope, (*chain[:chosen], *chain[chosen + 1 :]))


def _level(param: Param) -> int:
    return param.scope.level


def _named(known: Mapping[str, _Named], kind: str, name: object, path: str) -> _Named:
    found = known.get(name) if isinstance(name, str) else None
    if found is None:
        raise BadParam(path, f"there is no {kind} called {name!r}")
    return found
