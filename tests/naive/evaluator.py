"""A second evaluator, written from the rules alone: what holds at one instant, looked up in the facts as they lie.

It knows no windows, no segments and no order of changes; it looks at calendars day by day. It is slow, and meant to be.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aaa.debit.controls.definitions import Definitions
from aaa.debit.controls.finish_rule import Restrict
from aaa.debit.controls.fup_policy import FupLevel
from aaa.domain.service import Level, Param, Service, Status
from aaa.domain.settings import DEFAULTS, Settings
from aaa.domain.standing import Due, Standing
from aaa.domain.suspension import Repeat, Suspension
from aaa.domain.timeline import Cause, Verdict
from aaa.domain.usage import Usage
from tests.naive.calendar import first_shown, in_month, midnight, number, shown

SECOND = 1_000_000
DAY = 86_400 * SECOND
NEVER = -(10**18)
"""Before all that can be."""
RATE = "Mikrotik-Rate-Limit"
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Facts:
    """All that decides the access of one service. `params` are those on the scopes it is in, in any order but that a
    later one replaces an earlier one on the same scope.
    """

    service: Service
    standing: Standing
    params: tuple[Param, ...] = ()
    definitions: Definitions = field(default_factory=Definitions)
    usage: Usage = ()
    settings: Settings = DEFAULTS


@dataclass(frozen=True)
class Decision:
    """What holds at an instant. `reason` is that of a suspension, `rate` the Mikrotik-Rate-Limit if one is sent."""

    verdict: Verdict
    cause: Cause | None
    rate: Any = None
    reason: str = ""


def decide(facts: Facts, at: int) -> Decision:
    """The strongest cause that holds (R3.4), and what the service gets for it."""
    suspended = _suspension(facts, at)
    if suspended is not None:
        return _finish(facts, Cause.SUSPENDED, suspended)
    if _debit(facts, at):
        return _finish(facts, Cause.DEBIT)
    if facts.service.active_to is not None and at >= facts.service.active_to:
        return _finish(facts, Cause.EXPIRE)
    level = _fup_level(facts, at)
    cause = None if level is None else Cause.TRAFFIC if level.hours is None else Cause.TIME
    if level is not None and cause is not None and level.reduce is None:
        return _finish(facts, cause)
    if not _may_log_in(facts, at):
        return Decision(Verdict.DENY, Cause.LOGIN_TIME)
    rate = _value(facts, RATE) if level is None else level.reduce
    if _reminder(facts, at):
        return Decision(Verdict.ALLOW, Cause.OVERDUE, rate)
    return Decision(Verdict.ALLOW, cause, rate)


# R1: which param counts


def _value(facts: Facts, name: str) -> Any:
    """The value of a param: down the chain, the last scope that may speak (R1.2, R1.3); None if nobody speaks."""
    found = None
    for level in Level:
        here = [param for param in facts.params if param.scope.level is level and param.name == name]
        spoken = [param for param in here if param.status is not Status.DISABLED]
        if level is Level.PLAN and not spoken:
            found = dict(facts.service.plan_reply).get(name, found)
        if spoken:
            found = spoken[-1].value
            if spoken[-1].status is Status.PASSTHROUGH_NO:
                return found
    return found


def effective_object(facts: Facts, kind: str) -> Any:
    """The control object of a kind that counts; None if none does."""
    name = _value(facts, kind)
    return None if name is None else facts.definitions.of(kind)[name]


# R2: debit


def _promised(facts: Facts, at: int) -> bool:
    """Whether a promise to pay makes the money causes wait (R7.8)."""
    return facts.standing.promise_until is not None and at < facts.standing.promise_until


def _debit(facts: Facts, at: int) -> bool:
    control = effective_object(facts, "DebitControl")
    standing = facts.standing
    if control is None or standing.debt == 0 or _promised(facts, at):
        return False
    if control.max_debt is not None and standing.debt >= control.max_debt:
        return True
    if control.max_delay is None:
        return False
    if control.anchor == "oldest_unpaid":
        start = min(due.due_at for due in standing.dues)
    else:
        start = max(known for known in (standing.last_payment_at, standing.debt_since) if known is not None)
    return bool(at >= start + control.max_delay * SECOND)


# R3: what a blocked service gets


def _finish(facts: Facts, cause: Cause, reason: str = "") -> Decision:
    rule = effective_object(facts, "FinishRule")
    action = None
    if rule is not None:
        action = rule.actions.get(cause)
        if cause is Cause.SUSPENDED and reason in rule.suspended:
            action = rule.suspended[reason]
    if not isinstance(action, Restrict):
        return Decision(Verdict.DENY, cause, None, reason)
    rate = action.rate_limit or dict(action.reply).get(RATE) or _value(facts, RATE)
    return Decision(Verdict.RESTRICT, cause, rate, reason)


# R4: suspension


def _suspension(facts: Facts, at: int) -> str | None:
    """The reason of a suspension that holds: of the operator's own the one that began first, then the automatic one."""
    found: tuple[int, str] | None = None
    for suspension in facts.service.suspensions:
        for start, end in _times(suspension, facts.service.timezone, at):
            began = NEVER if start is None else start
            if began <= at and (end is None or at < end) and (found is None or began < found[0]):
                found = began, suspension.reason
    if found is not None:
        return found[1]
    return "non_payer" if _automatic(facts, at) else None


def _times(suspension: Suspension, timezone: str, at: int) -> Iterator[tuple[int | None, int | None]]:
    """Its window, and each time it comes again that could have begun at `at` (R4.3)."""
    yield suspension.start, suspension.end
    if suspension.repeat is Repeat.NONE or suspension.start is None or suspension.end is None:
        return
    first, last = shown(suspension.start, timezone), shown(suspension.end, timezone)
    time = 1
    while True:
        begins, ends = _again(first, suspension.repeat, time), _again(last, suspension.repeat, time)
        if begins > shown(at, timezone) + timedelta(days=2):
            return
        if ends > shown(at, timezone) - timedelta(days=2):
            yield first_shown(begins, timezone), first_shown(ends, timezone)
        time += 1


def _again(local: datetime, repeat: Repeat, time: int) -> datetime:
    if repeat is Repeat.WEEKLY:
        return local + timedelta(days=7 * time)
    months = time * (12 if repeat is Repeat.YEARLY else 1)
    day = in_month(local.year, local.month + months, local.day)
    return datetime.combine(day, local.time())


def _automatic(facts: Facts, at: int) -> bool:
    policy = effective_object(facts, "SuspendPolicy")
    exempt = facts.service.exempt_until is not None and at < facts.service.exempt_until
    if policy is None or not policy.on or exempt or _promised(facts, at):
        return False
    late = any(_past_due_by_more_than(policy.days, due, facts, at) for due in facts.standing.dues)
    if policy.least is None:
        return late
    much = _overdue_total(facts, at) > policy.least
    return (late and much) if policy.match == "all" else (late or much)


def _past_due_by_more_than(days: int, due: Due, facts: Facts, at: int) -> bool:
    """Day N after the due date is still a day to pay; the next is not, from its 00:00 on (R4.7)."""
    timezone = facts.service.timezone
    return at >= midnight(shown(due.due_at, timezone).date() + timedelta(days=days + 1), timezone)


def _overdue_total(facts: Facts, at: int) -> int:
    """What was due and is not paid; what is not due yet never counts (R4.6)."""
    return sum(due.remaining for due in facts.standing.dues if _past_due_by_more_than(0, due, facts, at))


# R5: the reminder


def _reminder(facts: Facts, at: int) -> bool:
    policy = effective_object(facts, "OverduePolicy")
    shows = facts.settings.server_ip is not None and facts.settings.mikrotik_nat_disable_users
    if policy is None or not policy.on or not shows or facts.service.dont_show_overdue or _promised(facts, at):
        return False
    said_ok = facts.service.acknowledged_at
    if said_ok is not None and said_ok <= at < said_ok + policy.every * DAY:
        return False
    late = any(_past_due_by_more_than(policy.after, due, facts, at) for due in facts.standing.dues)
    return late and _overdue_total(facts, at) >= policy.least


# R6: FUP


def _fup_level(facts: Facts, at: int) -> FupLevel | None:
    """The highest level whose limit is exceeded in the billing period that holds the instant (R6.1, R6.2)."""
    policy = effective_object(facts, "FupPolicy")
    if policy is None:
        return None
    first, following = _period(facts, at)
    days = [row for row in facts.usage if first <= row.day < following]
    used: dict[str, Callable[[], int]] = {
        "download": lambda: sum(row.down for row in days),
        "upload": lambda: sum(row.up for row in days),
        "total": lambda: sum(row.down + row.up for row in days),
    }
    gigabyte = _value(facts, "gigabyte") or 10**9
    in_force = None
    for level in policy.levels:
        if level.hours is not None:
            exceeded = sum(row.seconds for row in days) > level.hours * 3600
        else:
            exceeded = used[level.direction]() * 1000 > level.thousandths * gigabyte
        if exceeded:
            in_force = level
    return in_force


def _period(facts: Facts, at: int) -> tuple[int, int]:
    """The first day of the period that holds the instant, and that of the next one, counted from 1970-01-01."""
    service = facts.service
    today = shown(at, service.timezone)
    begins = [in_month(today.year, today.month + month, service.billing_day) for month in (-2, -1, 0, 1, 2)]
    begun = [day for day in begins if midnight(day, service.timezone) <= at]
    return number(begun[-1]), number(begins[len(begun)])


# R1.4: login-time


def _may_log_in(facts: Facts, at: int) -> bool:
    windows = _value(facts, "login-time")
    if windows is None:
        return True
    timezone = facts.service.timezone
    today = shown(at, timezone).replace(hour=0, minute=0, second=0, microsecond=0)
    for window in windows:
        weekdays, hours = window.split()
        opens, closes = (_minutes(text) for text in hours.split("-"))
        if closes <= opens:
            closes += 24 * 60  # it runs into the next day
        for back in (2, 1, 0, -1):
            day = today - timedelta(days=back)
            if _listed(day.weekday(), weekdays):
                start = first_shown(day + timedelta(minutes=opens), timezone)
                end = first_shown(day + timedelta(minutes=closes), timezone)
                if start <= at < end:
                    return True
    return False


def _minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _listed(weekday: int, text: str) -> bool:
    """Whether a weekday is in a list such as `daily` or `mon,wed-fri`."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        if part == "daily" or WEEK.index(first) <= weekday <= WEEK.index(last or first):
            return True
    return False
