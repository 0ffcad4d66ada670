"""FUP: who used more than his limit in a billing period is slowed down or blocked until the next (R6). Pure."""

from collections.abc import Iterable

from aaa.debit.controls.fup_policy import FupLevel
from aaa.debit.rules.case import Case, Window
from aaa.domain.billing_period import midnight, period_of
from aaa.domain.local_day import local_day
from aaa.domain.timeline import Cause, Figures, Reason
from aaa.domain.usage import DayUsage


def windows(case: Case) -> list[Window]:
    """For every billing period the level in force: the highest that is exceeded (R6.1)."""
    policy, zone = case.policy.fup, case.service.timezone
    if policy is None:
        return []
    found: list[Window] = []
    day = local_day(case.now, zone)
    while (begins := midnight((period := period_of(day, case.service.billing_day))[0], zone)) < case.horizon:
        used = [one for one in case.usage if period[0] <= one.day < period[1]]
        ends = midnight(period[1], zone)
        for number in range(len(policy.levels), 0, -1):
            level = policy.levels[number - 1]
            if used_of(level, used) > limit_of(level, case.policy.gigabyte):
                found.append(_window(case, number, begins, ends))
                break
        day = period[1]
    return found


def used_of(level: FupLevel, days: Iterable[DayUsage]) -> int:
    """What counts for a level: octets in its direction, or seconds."""
    if level.hours is not None:
        return sum(one.seconds for one in days)
    if level.direction == "download":
        return sum(one.down for one in days)
    if level.direction == "upload":
        return sum(one.up for one in days)
    return sum(one.up + one.down for one in days)


def limit_of(level: FupLevel, gigabyte: int) -> int:
    """A level's limit, in octets or seconds; more than that exceeds it."""
    if level.hours is not None:
        return level.hours * 3_600
    assert level.thousandths is not None
    return level.thousandths * gigabyte // 1_000


def _window(case: Case, number: int, begins: int, ends: int) -> Window:
    policy = case.policy.fup
    assert policy is not None
    level = policy.levels[number - 1]
    limit = limit_of(level, case.policy.gigabyte)
    figures: Figures = (("policy", policy.name), ("level", number))
    if level.hours is not None:
        figures += (("limit_seconds", limit),)
    else:
        figures += (("direction", level.direction), ("limit_octets", limit))
    figures += (("reduce", level.reduce), ("period_end_at", ends))
    cause = Cause.TRAFFIC if level.hours is None else Cause.TIME
    reason = Reason(cause, figures, case.policy.fup_scope)
    return Window(begins, ends, reason, blocks=level.reduce is None, rate=level.reduce)
