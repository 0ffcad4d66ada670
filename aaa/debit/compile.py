"""The compiler: a policy, a service and a standing become the timeline of verdicts (R2, R3, R4, R7.8). Pure.

Each rule of `_RULES` says in which windows it would hold and why, whatever the other rules say; one sweep over the
windows' edges then takes, at every instant, the strongest that holds (R3.4). Windows and figures come from the facts
alone; from `now` only which of them reach into the timeline. So a later compile of the same facts says the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from aaa.debit.controls import DebitControl
from aaa.debit.policy import Policy
from aaa.domain.service import Level, Scope, Service
from aaa.domain.standing import Standing
from aaa.domain.timeline import Cause, Figures, Reason, Segment, Timeline, build

SECOND: Final = 1_000_000
HORIZON: Final = 35 * 86_400 * SECOND
"""How far ahead a timeline reaches."""
MOST_SEGMENTS: Final = 128

_ALWAYS: Final = -(1 << 62)
_FOREVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Compiled:
    """What access needs to know of a service beyond its credentials; the limits are those of its policy."""

    timeline: Timeline
    simultaneous_use: int
    allowed_methods: int
    allowed_nas: tuple[str, ...]


class Window(NamedTuple):
    """`[start, end)`, UTC microseconds, in which a rule holds."""

    start: int
    end: int
    reason: Reason
    kind: str = ""
    """Which of its cause's actions a FinishRule takes (R3.1): the reason of a suspension."""


def compile(policy: Policy, service: Service, standing: Standing, now: int) -> Compiled:
    """The timeline over `[now, now + HORIZON)`, shorter if it would take more than MOST_SEGMENTS segments.

    `policy` is that of the service's params (`resolve_policy`), `standing` that of its account.
    """
    horizon = now + HORIZON
    windows = [window for rule in _RULES for window in rule(policy, service, standing, now, horizon)]
    timeline = _sweep(policy, service, windows, now, horizon)
    return Compiled(timeline, policy.simultaneous_use, policy.allowed_methods, policy.allowed_nas)


def _suspended(policy: Policy, service: Service, standing: Standing, now: int, horizon: int) -> list[Window]:
    """Manual suspensions, whatever is owed or paid (R4.4). Of several that hold the one that began first decides."""
    scope = str(Scope(Level.USER, service.username))
    windows: list[Window] = []
    for one in service.suspensions:
        for start, end in one.windows(service.timezone, now, horizon):
            figures: Figures = (
                ("reason", one.reason),
                ("from_at", start),
                ("to_at", end),
                ("repeat", one.repeat.value),
            )
            reason = Reason(Cause.SUSPENDED, figures, scope)
            opens = _ALWAYS if start is None else start
            windows.append(Window(opens, _FOREVER if end is None else end, reason, one.reason))
    return sorted(windows, key=lambda window: window.start)


def _debit(policy: Policy, service: Service, standing: Standing, now: int, horizon: int) -> list[Window]:
    """DebitControl. Once the debt has reached `max_debt` it blocks for as long as the facts stay as they are, so the
    deadline of `max_delay` adds nothing and is not given: the reason does not change when it passes.
    """
    control = policy.debit
    if control is None or standing.debt <= 0:  # R2.4
        return []
    figures: Figures = (("control", control.name), ("currency", standing.currency), ("debt", standing.debt))
    if control.max_debt is not None and standing.debt >= control.max_debt:  # R2.2
        start = _ALWAYS
        figures += (("limit", "max_debt"), ("max_debt", control.max_debt))
    else:
        clock_start = _clock_start(control, standing)
        if control.max_delay is None or clock_start is None:
            return []
        start = clock_start + control.max_delay * SECOND  # R2.3
        figures += (
            ("limit", "max_delay"),
            ("max_delay", control.max_delay),
            ("clock_start_at", clock_start),
            ("deadline_at", start),
        )
    if standing.promise_until is not None and standing.promise_until > start:  # R7.8
        start = standing.promise_until
        figures += (("promise_until_at", start),)
    return [Window(start, _FOREVER, Reason(Cause.DEBIT, figures, policy.debit_scope))]


def _clock_start(control: DebitControl, standing: Standing) -> int | None:
    """When the delay began to count; None if the standing does not say, which never blocks."""
    if control.anchor == "oldest_unpaid":  # R2.6
        return standing.dues[0].due_at if standing.dues else None
    if standing.last_payment_at is None or standing.debt_since is None:
        return standing.debt_since
    return max(standing.last_payment_at, standing.debt_since)  # R2.5


def _expire(policy: Policy, service: Service, standing: Standing, now: int, horizon: int) -> list[Window]:
    """The service's own end."""
    if service.active_to is None:
        return []
    figures: Figures = (("active_to_at", service.active_to),)
    reason = Reason(Cause.EXPIRE, figures, str(Scope(Level.USER, service.username)))
    return [Window(service.active_to, _FOREVER, reason)]


Rule = Callable[[Policy, Service, Standing, int, int], list[Window]]
"""The windows in which a rule holds, at least those that reach into `[now, horizon)`, the strongest first."""

# Strongest first (R3.4).
_RULES: Final[tuple[Rule, ...]] = (_suspended, _debit, _expire)


def _sweep(policy: Policy, service: Service, windows: list[Window], now: int, horizon: int) -> Timeline:
    """`windows` are in order of strength: the first that holds decides."""
    edges = {now}
    for window in windows:
        edges.update(edge for edge in (window.start, window.end) if now < edge < horizon)
    starts = sorted(edges)
    steps: list[Segment] = []
    for start, end in zip(starts, (*starts[1:], horizon), strict=True):
        reason, grant = None, policy.allow
        for window in windows:
            if window.start <= start < window.end:
                reason, grant = window.reason, policy.grant(window.reason.cause, window.kind)
                break
        steps.append(Segment(start, end, grant.verdict, grant.profile_with(service.static_ip), reason))
    timeline = build(steps)
    if len(timeline.segments) > MOST_SEGMENTS:
        return Timeline(timeline.segments[:MOST_SEGMENTS])
    return timeline
