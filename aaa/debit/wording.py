"""Reasons in words, for people and logs. Pure."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aaa.debit.rules import fup
from aaa.domain.instant import iso
from aaa.domain.money import format_amount
from aaa.domain.timeline import Cause, Reason

Figure = int | str | None

Names = Mapping[str, str]
"""What an operator calls the profiles among the reasons of suspension (R4.1)."""
NO_NAMES: Final[Names] = MappingProxyType({})
_DEEDS: Final = {"create": "the new", "update": "a change of", "delete": "the removal of"}


def why(reason: Reason, names: Names = NO_NAMES) -> str:
    """A reason as a sentence.

    `debt 812,000 IRR has reached the limit of 800,000 IRR (Home-Users, server)`, `an operator suspended it, profile3
    (Summer house) from 2026-07-01T00:00:00Z (user:ali)`
    """
    figures = dict(reason.figures)
    match reason.cause:
        case Cause.DEBIT:
            told = f"{_debit(figures)} ({figures['control']}, "
        case Cause.EXPIRE:
            told = f"the service ran until {_spell('active_to_at', figures['active_to_at'])} ("
        case Cause.SUSPENDED if "policy" in figures:
            told = f"non-payer: {_non_payer(figures)} ({figures['policy']}, "
        case Cause.SUSPENDED:
            told = f"an operator suspended it, {_suspended(figures, names)} ("
        case Cause.TRAFFIC | Cause.TIME:
            told = f"{fup.told(figures)} ({figures['policy']}, "
        case Cause.OVERDUE:
            told = f"{_overdue(figures)} ({figures['policy']}, "
        case Cause.LOGIN_TIME:
            told = f"it is outside the hours of login-time, {figures['login_time']} ("
    return f"{told}{reason.scope})"


def deed(kind: str, subject: str, param: str | None = None) -> str:
    """What an event of the audit log did; `param` is the one that it set on its subject, if it set one.

    `payment of account:2`, `a change of plan:home20`, `the new param Framed-Pool of visp:tehran`, `usage`
    """
    if subject in (kind, "services"):
        return kind
    return f"{_DEEDS.get(kind, kind + ' of')} {f'param {param} of {subject}' if param else subject}"


def named(reason: str, names: Names) -> str:
    """A reason of suspension and what the operator calls it: `profile3 (Summer house)`."""
    return f"{reason} ({names[reason]})" if reason in names else reason


def figures_json(reason: Reason) -> dict[str, Figure]:
    """A reason's figures by name; those called `…_at` are instants and become ISO 8601."""
    return {name: _spell(name, value) for name, value in reason.figures}


def _debit(figures: Mapping[str, Figure]) -> str:
    currency = str(figures["currency"])
    debt = format_amount(_number(figures["debt"]), currency)
    promised = _delays(figures)
    if figures["limit"] == "max_debt":
        return f"debt {debt} has reached the limit of {format_amount(_number(figures['max_debt']), currency)}{promised}"
    days, seconds = divmod(_number(figures["max_delay"]), 86_400)
    delay = f"{days} days" if not seconds else f"{_number(figures['max_delay'])} s"
    start, deadline = (_spell(name, figures[name]) for name in ("clock_start_at", "deadline_at"))
    return f"debt {debt} has stood past its deadline {deadline}, {delay} after {start}{promised}"


def _suspended(figures: Mapping[str, Figure], names: Names) -> str:
    told = named(str(figures["reason"]), names)
    for word in ("from", "to"):
        if figures[f"{word}_at"] is not None:
            told += f" {word} {_spell(f'{word}_at', figures[f'{word}_at'])}"
    return told if figures["repeat"] == "none" else f"{told}, {figures['repeat']}"


def _non_payer(figures: Mapping[str, Figure]) -> str:
    """`overdue 500 CZK is above 399 CZK, unpaid more than 14 days after 2025-12-31T23:00:00Z`"""
    told, limit = _owed(figures), figures["limit"]
    if limit != "days":
        told += f" is above {format_amount(_number(figures['least']), str(figures['currency']))}"
    if limit != "amount":
        told += f"{',' if limit == 'both' else ' is'} unpaid more than {_late(figures['days'], figures)}"
    return told + _delays(figures)


def _overdue(figures: Mapping[str, Figure]) -> str:
    """`overdue 500 CZK has reached 10 CZK, unpaid more than 3 days after 2025-12-31T23:00:00Z`"""
    least = _number(figures["least"])
    reached = f" has reached {format_amount(least, str(figures['currency']))}," if least else " is"
    return f"{_owed(figures)}{reached} unpaid more than {_late(figures['after_days'], figures)}{_delays(figures)}"


def _owed(figures: Mapping[str, Figure]) -> str:
    return f"overdue {format_amount(_number(figures['overdue']), str(figures['currency']))}"


def _late(days: Figure, figures: Mapping[str, Figure]) -> str:
    return f"{days} day{'' if days == 1 else 's'} after {_spell('oldest_due_at', figures['oldest_due_at'])}"


def _delays(figures: Mapping[str, Figure]) -> str:
    """What kept a cause of money waiting: a promise (R7.8), an exemption (R4.9)."""
    words = (("promise_until_at", "promised"), ("exempt_until_at", "exempt"))
    return "".join(f", {word} until {_spell(name, figures[name])}" for name, word in words if name in figures)


def _number(value: Figure) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no number")
    return value


def _spell(name: str, value: Figure) -> Figure:
    return iso(value) if name.endswith("_at") and isinstance(value, int) else value
