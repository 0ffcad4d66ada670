"""The compiler: a policy and the facts of a service become the timeline of verdicts (R2 to R6, R7.8). Pure.

Each rule says in which windows it would hold and why, whatever the other rules say; one sweep over the windows' edges
then takes, at every instant, the strongest that holds (R3.4). Windows and figures come from the facts alone; from `now`
only which of them reach into the timeline. So a later compile of the same facts says the same.
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aaa.debit.params import LOCK_LEARN
from aaa.debit.policy import NO_LEASES, Grant, Policy
from aaa.debit.rules import debit, expire, fup, login_time, overdue, suspension
from aaa.debit.rules.case import DAY, Case, Window
from aaa.domain.service import Service
from aaa.domain.standing import Standing
from aaa.domain.timeline import Cause, Reason, Segment, Timeline, build
from aaa.domain.usage import Quota, Threshold, Usage

HORIZON: Final = 35 * DAY
"""How far ahead a timeline reaches."""
MOST_SEGMENTS: Final = 128

RULES: Final[tuple[Callable[[Case], list[Window]], ...]] = (
    suspension.manual,
    suspension.automatic,
    debit.windows,
    expire.windows,
    fup.windows,
    login_time.windows,
    overdue.windows,
)
_STRENGTH: Final = {cause: place for place, cause in enumerate(Cause)}


@dataclass(frozen=True, slots=True)
class Compiled:
    """What access needs to know of a service beyond its credentials; the limits are those of its policy.

    `caller_lock` is a MAC address or empty; with `learns_caller` the first device that logs in becomes it. `ip_pools`
    names the pools that the timeline wants addresses from. With `thresholds` accounting notices that the timeline no
    longer holds; `quotas` are what routers may be told of them.
    """

    timeline: Timeline
    simultaneous_use: int
    allowed_methods: int
    allowed_nas: tuple[str, ...]
    caller_lock: str
    learns_caller: bool
    ip_pools: frozenset[str]
    thresholds: tuple[Threshold, ...]
    quotas: tuple[Quota, ...]


def compile(
    policy: Policy,
    service: Service,
    standing: Standing,
    now: int,
    usage: Usage = (),
    leased: Mapping[str, str] = NO_LEASES,
) -> Compiled:
    """The timeline over `[now, now + HORIZON)`, shorter if it would take more than MOST_SEGMENTS segments.

    `policy` is that of the service's params (`resolve_policy`), `standing` that of its account, `usage` its use in at
    least the billing period that holds `now`, `leased` its addresses by pool (R3.3).
    """
    case = Case(policy, service, standing, usage, now, now + HORIZON)
    windows = sorted((window for rule in RULES for window in rule(case)), key=strength)
    timeline, ip_pools = _sweep(case, windows, leased)
    lock = policy.caller_lock(service.mac)
    return Compiled(
        timeline,
        policy.simultaneous_use,
        policy.allowed_methods,
        policy.allowed_nas,
        caller_lock="" if lock == LOCK_LEARN else lock,
        learns_caller=lock == LOCK_LEARN,
        ip_pools=frozenset(ip_pools),
        thresholds=fup.thresholds(case),
        quotas=fup.quotas(case),
    )


def strength(window: Window) -> tuple[bool, int]:
    """What blocks comes before what does not, then in the order of causes; a rule's own order stays (R3.4).

    A reminder comes before a lower rate, which it does not change: only one of them can be the cause.
    """
    place = _STRENGTH[window.reason.cause]
    return not window.blocks, place if window.blocks else -place


def _sweep(case: Case, windows: list[Window], leased: Mapping[str, str]) -> tuple[Timeline, set[str]]:
    """`windows` are in order of strength. Also the pools that are wanted."""
    moves: list[tuple[int, int]] = []  # when a window begins or ends, and its place
    for place, window in enumerate(windows):
        if case.now < window.end and window.start < min(window.end, case.horizon):
            moves.append((max(window.start, case.now), place))
            if window.end < case.horizon:
                moves.append((window.end, place))
    moves.sort()
    holding: list[int] = []
    steps: list[Segment] = []
    ip_pools: set[str] = set()
    different = 0
    done = 0
    end = case.now
    while end < case.horizon:
        start = end
        while done < len(moves) and moves[done][0] == start:
            _toggle(holding, moves[done][1])
            done += 1
        end = moves[done][0] if done < len(moves) else case.horizon
        grant, reason = _granted(case.policy, [windows[place] for place in holding])
        step = Segment(start, end, grant.verdict, grant.profile_with(case.service.static_ip, leased), reason)
        if not steps or not step.same_step(steps[-1]):
            different += 1
            if different > MOST_SEGMENTS:
                break
        steps.append(step)
        if grant.ip_pool:
            ip_pools.add(grant.ip_pool)
    return build(steps), ip_pools


def _toggle(places: list[int], place: int) -> None:
    """Put a place into a list in order, or take it out."""
    at = bisect_left(places, place)
    if at < len(places) and places[at] == place:
        del places[at]
    else:
        places.insert(at, place)


def _granted(policy: Policy, holding: list[Window]) -> tuple[Grant, Reason | None]:
    """What a service gets while these windows hold, the strongest first."""
    if not holding:
        return policy.allow, None
    first = holding[0]
    if first.blocks:
        return policy.grant(first.reason.cause, first.kind), first.reason
    rate = next((window.rate for window in holding if window.rate is not None), None)
    return policy.allow if rate is None else policy.reduced(rate), first.reason
