"""Every rule, and why it does or does not decide at an instant (R8.3). Pure.

It asks the rules themselves, of the facts as they are: what it says of an instant to come is what those lead to.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from aaa.debit.compile import strength
from aaa.debit.rules import debit, expire, fup, login_time, overdue, suspension
from aaa.debit.rules.case import DAY, Case, Window
from aaa.debit.wording import NO_NAMES, Names, why
from aaa.domain.billing_period import period_of
from aaa.domain.instant import iso
from aaa.domain.local_day import local_day
from aaa.domain.money import format_amount
from aaa.domain.usage import SECONDS, used


class State(StrEnum):
    """What came of a rule."""

    DECIDES = "decides"
    WEAKER = "weaker"  # it holds, but a stronger one does too
    HELD = "held"  # it would hold, but its cut waits for a confirmation (R8.4)
    LATER = "later"  # it will hold, should the facts stay as they are
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Considered:
    """A rule at an instant. `rule` is the setting or the fact it comes from, `scope` where that was set, if it was."""

    rule: str
    scope: str
    state: State
    why: str

    def to_json(self) -> dict[str, object]:
        return {"rule": self.rule, "scope": self.scope or None, "state": self.state.value, "why": self.why}

    def line(self) -> str:
        return f"{self.rule}: {self.why}"


class _Rule(NamedTuple):
    name: str
    windows: Callable[[Case], list[Window]]
    scope: Callable[[Case], str]
    silence: Callable[[Case], str]
    money: bool = False


def considered(case: Case, names: Names = NO_NAMES, *, held: bool = False) -> list[Considered]:
    """All rules at `case.now`, in the order in which they are asked; `names` as for `why`. `held`: what money would cut
    off waits for a confirmation.
    """
    ahead = replace(case, horizon=case.now + 400 * DAY)
    found = [(rule, rule.windows(ahead)) for rule in _RULES]
    acting = [(rule, windows) for rule, windows in found if not (held and rule.money)]
    now = [(window, rule) for rule, windows in acting for window in windows if window.start <= case.now < window.end]
    decides = min(now, key=lambda pair: strength(pair[0]))[1] if now else None
    return [_considered(rule, windows, case, decides, names, waits=held and rule.money) for rule, windows in found]


def _considered(
    rule: _Rule, windows: list[Window], case: Case, decides: _Rule | None, names: Names, *, waits: bool
) -> Considered:
    holding = next((one for one in windows if one.start <= case.now < one.end), None)
    if holding is not None and waits:
        told = f"{why(holding.reason, names)}, but this waits for a confirmation"
        return Considered(rule.name, holding.reason.scope, State.HELD, told)
    if holding is not None and rule is decides:
        return Considered(rule.name, holding.reason.scope, State.DECIDES, f"{why(holding.reason, names)}: this decides")
    if holding is not None and decides is not None:
        told = f"{why(holding.reason, names)}, but {decides.name} is stronger"
        return Considered(rule.name, holding.reason.scope, State.WEAKER, told)
    coming = min((one for one in windows if one.start > case.now), key=lambda one: one.start, default=None)
    if coming is not None:
        told = f"from {iso(coming.start)}: {why(coming.reason, names)}"
        return Considered(rule.name, coming.reason.scope, State.LATER, told)
    return Considered(rule.name, rule.scope(case), State.SILENT, rule.silence(case))


def _of_user(case: Case) -> str:
    return f"user:{case.service.username}"


def _no_suspension(case: Case) -> str:
    return "every suspension has ended" if case.service.suspensions else "no operator suspended it"


def _no_automatic(case: Case) -> str:
    policy = case.policy.suspend
    if policy is None:
        return "no SuspendPolicy is set"
    if not policy.on:
        return f"{policy.name} is switched off"
    if not case.standing.dues:
        return "nothing is owed"
    assert policy.least is not None
    return f"{_owed(case)} does not exceed {_amount(case, policy.least)} ({policy.name})"


def _no_debit(case: Case) -> str:
    control = case.policy.debit
    if control is None:
        return "no DebitControl is set"
    if case.standing.debt <= 0:
        return "nothing is owed"
    if control.max_debt is None:
        return f"{control.name} sets no limit that applies"
    return f"{_owed(case)} has not reached {_amount(case, control.max_debt)} ({control.name})"


def _no_end(_case: Case) -> str:
    return "the service has no end"


def _no_fup(case: Case) -> str:
    policy = case.policy.fup
    if policy is None:
        return "no FupPolicy is set"
    first, following = period_of(local_day(case.now, case.service.timezone), case.service.billing_day)
    days = [one for one in case.usage if first <= one.day < following]
    told = []
    for level in policy.levels:
        limit, amount = level.limit(case.policy.gigabyte), used(level.kind, days)
        if level.kind == SECONDS:
            told.append(f"{amount // 3_600} of {limit // 3_600} hours")
        else:
            spelled = (fup.in_gigabytes(octets, case.policy.gigabyte) for octets in (amount, limit))
            told.append(f"{' of '.join(spelled)} ({level.direction})")
    return f"used {', '.join(told)} ({policy.name})"


def _no_login_time(case: Case) -> str:
    return "login-time allows every hour" if case.policy.login_time is not None else "no login-time is set"


def _no_reminder(case: Case) -> str:
    policy = case.policy.overdue
    if policy is None:
        return "no OverduePolicy is set, or reminders cannot be shown"
    if not policy.on:
        return f"{policy.name} is switched off"
    if case.service.dont_show_overdue:
        return "it is not to be shown to this subscriber"
    if not case.standing.dues:
        return "nothing is owed"
    return f"{_owed(case)} has not reached {_amount(case, policy.least)} ({policy.name})"


def _owed(case: Case) -> str:
    return f"the debt of {_amount(case, case.standing.debt)}"


def _amount(case: Case, amount: int) -> str:
    return format_amount(amount, case.standing.currency)


_RULES: Final = (
    _Rule("suspension", suspension.manual, _of_user, _no_suspension),
    _Rule("SuspendPolicy", suspension.automatic, lambda case: case.policy.suspend_scope, _no_automatic, money=True),
    _Rule("DebitControl", debit.windows, lambda case: case.policy.debit_scope, _no_debit, money=True),
    _Rule("active_to", expire.windows, _of_user, _no_end),
    _Rule("FupPolicy", fup.windows, lambda case: case.policy.fup_scope, _no_fup),
    _Rule("login-time", login_time.windows, lambda case: case.policy.login_time_scope, _no_login_time),
    _Rule("OverduePolicy", overdue.windows, lambda case: case.policy.overdue_scope, _no_reminder),
)
