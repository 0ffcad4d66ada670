"""An acknowledgement is a claim: what would prove it, what disproves it, and what is tried then. Pure.

A Disconnect is proven by the session's end, a CoA by what the router's API shows, or by what the session uses from one
interim record to the next. What had no effect is followed by the next rung: a Disconnect by RADIUS, then one over the
API, and then all over again, less and less often. Instants are UTC microseconds.
"""

from typing import Final, Literal, NamedTuple

from aaa.coa.plan import SECOND, CoA, Disconnect, Nothing, Plan, plan
from aaa.coa.wish import Awaited, Wish
from aaa.debit.reply import ADDRESS_LIST, RATE_LIMIT
from aaa.domain.rate_limit import BadRateLimit, Pair, RateLimit, parse
from aaa.domain.timeline import Profile
from aaa.routeros.online import Seen

COA: Final = 0
DISCONNECT: Final = 1
API: Final = 2
FAILED: Final = 3

FIRST_LOOK: Final = 2 * SECOND
"""How long after an ACK its effect is looked for: a Stop takes a moment, and so does a queue."""
NEXT_LOOK: Final = 10 * SECOND
"""How long after an interim record is due it is looked for."""
SLACK: Final = 5 * SECOND
"""A record whose event is not later than that may have been on its way, or be of a clock that differs."""
ALLOWANCE: Final = 1.5
"""By how much what is used may exceed the limit: bursts, headers, and seconds that are counted in whole."""

Finding = Literal["proven", "disproven", "open"]


class Standing(NamedTuple):
    """A session as accounting knows it: event time of its newest record, when that was heard, octets, and whether it
    has ended."""

    recorded_at: int
    heard_at: int
    up: int
    down: int
    ended: bool


class First(NamedTuple):
    """The first record after an ACK: event time and octets."""

    at: int
    up: int
    down: int


def wants(wish: Wish, now: int) -> Plan:
    """What to tell a wish's session, by RADIUS or in its place."""
    if wish.ended:
        return Nothing()
    if wish.crowded:
        return Disconnect("too many sessions")
    if wish.locked_out:
        return Disconnect("bound to another device")
    wanted = plan(wish.session, wish.wanted, wish.router.base, now, wish.router.lever)
    if isinstance(wanted, CoA) and wish.rung >= DISCONNECT:
        return Disconnect("the CoA had no effect")
    return wanted


def awaited(wish: Wish, told: CoA | Disconnect | None, now: int) -> Awaited | None:
    """What is to be proven of a thing that was acknowledged at `now`; None: nothing can be. `told` None is an end over
    the API."""
    if not isinstance(told, CoA):
        return Awaited(API if told is None else DISCONNECT, now, now + FIRST_LOOK)
    names = {name for name, _ in told.attributes}
    if wish.router.has_api and names & {RATE_LIMIT, ADDRESS_LIST}:
        return Awaited(COA, now, now + FIRST_LOOK)
    return Awaited(COA, now, now + wish.interim + NEXT_LOOK) if RATE_LIMIT in names else None


def limit_of(profile: Profile) -> RateLimit | None:
    """The rate limit of a profile; None: it has none that can be read."""
    told = dict(profile).get(RATE_LIMIT)
    try:
        return parse(told) if isinstance(told, str) else None
    except BadRateLimit:
        return None


def seen_at(standing: Standing, told_at: int) -> First | None:
    """The newest record, if it is of after the ACK."""
    if standing.recorded_at <= told_at + SLACK or standing.heard_at <= told_at:
        return None
    return First(standing.recorded_at, standing.up, standing.down)


def of_end(standing: Standing, told_at: int, seen: Seen | None) -> Finding:
    """Whether a session has ended that was to: by accounting, or by what its router shows."""
    if standing.ended:
        return "proven"
    if seen is not None:
        return "disproven" if seen.online else "proven"
    return "disproven" if seen_at(standing, told_at) is not None else "open"


def of_router(profile: Profile, seen: Seen, *, lists_by_coa: bool) -> Finding:
    """Whether a router shows that a session has `profile`; one that it does not have any more has no need."""
    if not seen.online:
        return "proven"
    limit = limit_of(profile)
    if limit is not None and seen.rate is not None and seen.rate != limit.max_limit:
        return "disproven"
    told = dict(profile).get(ADDRESS_LIST, ()) if lists_by_coa else ()
    lists = set(map(str, told)) if isinstance(told, tuple) else {str(told)}
    if not lists <= seen.lists:
        return "disproven"
    return "proven" if lists or (limit is not None and seen.rate is not None) else "open"


def of_use(limit: RateLimit, first: First, standing: Standing) -> Finding:
    """Whether what a session used since the `first` record fits its limit: it cannot, by far, if it has another."""
    seconds = (standing.recorded_at - first.at) / SECOND
    if seconds < 1:
        return "open"
    used = Pair(standing.up - first.up, standing.down - first.down)
    most = [_most(limit, way, seconds) for way in (0, 1)]
    too_much = any(limit.max_limit[way] and used[way] * 8 > most[way] for way in (0, 1))
    return "disproven" if too_much else "proven"


def next_rung(rung: int, has_api: bool) -> int:
    """What is tried once this had no effect."""
    if rung == COA:
        return DISCONNECT
    return API if rung == DISCONNECT and has_api else FAILED


def _most(limit: RateLimit, way: int, seconds: float) -> float:
    """Bits that fit into a limit."""
    most = limit.max_limit[way] * seconds
    if limit.burst_limit is not None and limit.burst_time is not None:
        most += limit.burst_limit[way] * limit.burst_time[way]
    return ALLOWANCE * most
