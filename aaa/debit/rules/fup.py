"""FUP: who used more than his limit in a billing period is slowed down or blocked until the next (R6). Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from aaa.debit.controls.fup_policy import FupLevel
from aaa.debit.rules.case import Case, Window
from aaa.domain.billing_period import midnight, period_of
from aaa.domain.instant import iso
from aaa.domain.local_day import local_day
from aaa.domain.timeline import Cause, Figures, Reason
from aaa.domain.usage import Kind, Quota, Threshold, used

_UNITS: Final = {10**9: "GB", 2**30: "GiB"}


def windows(case: Case) -> list[Window]:
    """For every billing period the level in force (R6.1)."""
    found: list[Window] = []
    for period in _periods(case):
        number = _in_force(case, period)
        if number:
            found.append(_window(case, number, period))
    return found


def thresholds(case: Case) -> tuple[Threshold, ...]:
    """What must be noticed for the level to be right at any time: for every billing period that the timeline reaches
    into, the next limit of each kind among the levels above the one in force.
    """
    policy = case.policy.fup
    if policy is None:
        return ()
    found: list[Threshold] = []
    for period in _periods(case):
        least: dict[Kind, int] = {}
        for level in policy.levels[_in_force(case, period) :]:
            least.setdefault(level.kind, level.limit(case.policy.gigabyte))
        found.extend(Threshold(kind, *period, limit) for kind, limit in sorted(least.items()))
    return tuple(found)


def quotas(case: Case) -> tuple[Quota, ...]:
    """What routers may be told: for every billing period that the timeline reaches into, the next limit of each kind
    among the levels above the one in force, if that level suspends (R6.3).
    """
    policy, zone = case.policy.fup, case.service.timezone
    if policy is None:
        return ()
    found: list[Quota] = []
    for since, until in _periods(case):
        days = [one for one in case.usage if since <= one.day < until]
        following: dict[Kind, FupLevel] = {}
        for level in policy.levels[_in_force(case, (since, until)) :]:
            following.setdefault(level.kind, level)
        found.extend(
            Quota(
                kind,
                midnight(since, zone),
                midnight(until, zone),
                since,
                until,
                level.limit(case.policy.gigabyte),
                used(kind, days),
            )
            for kind, level in sorted(following.items())
            if level.reduce is None
        )
    return tuple(found)


def told(figures: Mapping[str, int | str | None]) -> str:
    """A window's figures in words: `used more than 100 GB (total) since …: level 1 reduces to 5M/5M until …`."""
    since, until = (iso(int(figures[name] or 0)) for name in ("period_start_at", "period_end_at"))
    if "limit_seconds" in figures:
        over = f"online for more than {int(figures['limit_seconds'] or 0) // 3_600} hours"
    else:
        octets, gigabyte = int(figures["limit_octets"] or 0), int(figures["gigabyte"] or 1)
        over = f"used more than {in_gigabytes(octets, gigabyte)} ({figures['direction']})"
    rate = figures["reduce"]
    does = "suspends" if rate is None else f"reduces to {rate}"
    return f"{over} since {since}: level {figures['level']} {does} until {until}"


def in_gigabytes(octets: int, gigabyte: int) -> str:
    """Octets as `1.5 GB` or, where a gigabyte is 2³⁰ of them, `1.5 GiB`: to a thousandth."""
    shown = (Decimal(octets) / gigabyte).quantize(Decimal("0.001")).normalize()
    return f"{shown:f} {_UNITS.get(gigabyte, 'GB')}"


def _periods(case: Case) -> Iterable[tuple[int, int]]:
    """The billing periods, as days `[first, next)`, that reach into `[now, horizon)`; none without a policy."""
    if case.policy.fup is None:
        return []
    zone = case.service.timezone
    found: list[tuple[int, int]] = []
    period = period_of(local_day(case.now, zone), case.service.billing_day)
    while midnight(period[0], zone) < case.horizon:
        found.append(period)
        period = period_of(period[1], case.service.billing_day)
    return found


def _in_force(case: Case, period: tuple[int, int]) -> int:
    """The number of the highest level that is exceeded, from 1; 0: none is (R6.1)."""
    assert case.policy.fup is not None
    days = [one for one in case.usage if period[0] <= one.day < period[1]]
    levels = case.policy.fup.levels
    for number in range(len(levels), 0, -1):
        level = levels[number - 1]
        if used(level.kind, days) > level.limit(case.policy.gigabyte):
            return number
    return 0


def _window(case: Case, number: int, period: tuple[int, int]) -> Window:
    policy, zone = case.policy.fup, case.service.timezone
    assert policy is not None
    level = policy.levels[number - 1]
    begins, ends = midnight(period[0], zone), midnight(period[1], zone)
    figures: Figures = (("policy", policy.name), ("level", number), *_limit(level, case.policy.gigabyte))
    figures += (("reduce", level.reduce), ("period_start_at", begins), ("period_end_at", ends))
    cause = Cause.TRAFFIC if level.hours is None else Cause.TIME
    reason = Reason(cause, figures, case.policy.fup_scope)
    return Window(begins, ends, reason, blocks=level.reduce is None, rate=level.reduce)


def _limit(level: FupLevel, gigabyte: int) -> Figures:
    limit = level.limit(gigabyte)
    if level.hours is not None:
        return (("limit_seconds", limit),)
    return ("direction", level.direction), ("limit_octets", limit), ("gigabyte", gigabyte)
