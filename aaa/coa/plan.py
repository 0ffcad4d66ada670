"""What a live session must be told so that it has what its timeline wants now. Pure.

RouterOS takes only some attributes by CoA; all else needs a Disconnect, after which the redial meets the new verdict.
Instants are UTC microseconds.
"""

from dataclasses import dataclass
from typing import Final, Literal

from aaa.debit.reply import ADDRESS_LIST, INTERIM, RATE_LIMIT, SESSION_TIMEOUT, for_hotspot
from aaa.domain.grace import grace
from aaa.domain.router import ListLever
from aaa.domain.timeline import AttributeValue, Profile, Verdict

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
FAR: Final = 35 * 24 * HOUR
"""The end pushed to a session that has no end any more: RADIUS cannot take a Session-Timeout back."""

# RouterOS manual, RADIUS, "CoA": what it changes in a running session. Session-Timeout too, which is computed here.
TAKEN_BY_COA: Final = frozenset(
    (
        "Ascend-Data-Rate",
        "Ascend-Xmit-Rate",
        "Filter-Id",
        "Idle-Timeout",
        "Mikrotik-Advertise-Interval",
        "Mikrotik-Advertise-URL",
        "Mikrotik-Group",
        "Mikrotik-Mark-Id",
        RATE_LIMIT,
        "Mikrotik-Recv-Limit",
        "Mikrotik-Xmit-Limit",
        "Port-Limit",
    )
)
# RouterOS heeds them only where there is no Mikrotik-Rate-Limit.
_BENEATH_RATE_LIMIT: Final = frozenset(("Ascend-Data-Rate", "Ascend-Xmit-Rate"))
# A running session keeps these as it got them: not worth cutting anybody off. Session-Timeout goes its own way.
_SET_ASIDE: Final = frozenset((INTERIM, "Class", SESSION_TIMEOUT))

TimeoutBase = Literal["from_start", "from_now"]
"""What a router counts the Session-Timeout of a CoA from: the session's start, or the CoA's arrival."""


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session as the router has it, as far as we know.

    `profile` and `address` (Framed-IP-Address as an integer, 0: none) are what it was last told; None: not known.
    `given_end` is the verdict's end it was given, None if it was given none. `doubtful` names the attributes of CoAs
    that got no answer, which the router may or may not have applied. `ppp` is False on a hotspot. `limit_seconds` is
    the time quota's rest that it was told, counted from its start, 0: none. `cut_early`: it was told a limit of volume
    that it will soon reach, and that has been raised since.
    """

    service_id: int
    started_at: int
    ppp: bool
    profile: Profile | None
    address: int | None
    given_end: int | None
    doubtful: frozenset[str] = frozenset()
    limit_seconds: int = 0
    cut_early: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """The segment in force: verdict and its end, profile without Framed-IP-Address, and that address (0: none).
    `limit_seconds` is what a session that was told a time quota's rest may last in all, 0: there is no quota any more.
    """

    verdict: Verdict
    profile: Profile
    address: int = 0
    end: int | None = None
    limit_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Nothing:
    """The session has what is wanted."""


@dataclass(frozen=True, slots=True)
class Later:
    """Only a later end is to be told, and not before `at`: nearer the old end, many such changes become one."""

    at: int


@dataclass(frozen=True, slots=True)
class CoA:
    """Change these attributes; `given_end` is what the session will have been given once the router says ACK."""

    attributes: Profile
    given_end: int | None


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the session; `why` is for the log and the attempt."""

    why: str


Plan = Nothing | Later | CoA | Disconnect


def plan(
    session: LiveSession, wanted: Wanted, timeout_base: TimeoutBase, now: int, lever: ListLever = "disconnect"
) -> Plan:
    """What to tell `session` at `now` by RADIUS. With the lever `api` address-lists are none of it; what the router is
    told of those is in aaa.routeros.lists.
    """
    if wanted.verdict is Verdict.DENY:
        return Disconnect("denied")
    if session.profile is None:
        # Authorised by somebody else, before our time: an allowed one may go on, a restricted one must prove it is.
        return Nothing() if wanted.verdict is Verdict.ALLOW else Disconnect("not known what it was told")
    if session.ppp and session.address is not None and session.address != wanted.address:
        return Disconnect("Framed-IP-Address changes")
    if session.cut_early:
        return Disconnect("its limit of volume is raised")
    aside = _SET_ASIDE | {ADDRESS_LIST} if lever == "api" else _SET_ASIDE
    told = _comparable(session.profile, session.ppp, aside)
    asked = _comparable(wanted.profile, session.ppp, aside)
    taken = TAKEN_BY_COA | {ADDRESS_LIST} if lever == "coa" else TAKEN_BY_COA
    changes: list[tuple[str, AttributeValue]] = []
    for name in sorted({*told, *asked, *(session.doubtful - aside)}):
        if name in told and told[name] == asked.get(name) and name not in session.doubtful:
            continue
        if name in _BENEATH_RATE_LIMIT and RATE_LIMIT in asked:
            continue
        if name not in asked:
            return Disconnect(f"{name} is removed")
        if name not in taken:
            return Disconnect(f"{name} changes")
        changes.append((name, asked[name]))
    return _with_end(session, wanted, timeout_base, now, changes)


def without_lists(profile: Profile) -> Profile:
    """What a router was told that is told its address-lists by the API."""
    return tuple(pair for pair in profile if pair[0] != ADDRESS_LIST)


def anything(told: Profile | None, wanted: Profile) -> frozenset[str]:
    """What is doubtful of a session that may have been told anything: `doubtful` of LiveSession."""
    return frozenset({name for name, _ in (*(told or ()), *wanted)} & TAKEN_BY_COA | {SESSION_TIMEOUT})


def after(session: LiveSession, wanted: Wanted, sent: CoA) -> LiveSession:
    """The session once the router acknowledged `sent`, which was planned for `wanted`."""
    retold = any(name == SESSION_TIMEOUT for name, _ in sent.attributes)
    return LiveSession(
        session.service_id,
        session.started_at,
        session.ppp,
        wanted.profile,
        wanted.address,
        sent.given_end,
        limit_seconds=wanted.limit_seconds if retold else session.limit_seconds,
    )


def prolong(session: LiveSession, until: int, timeout_base: TimeoutBase, now: int) -> CoA | None:
    """What keeps a router from ending a session by itself before the engine does that at `until`; None: it will not.
    As ever it does so, a grace later, if the engine does not.
    """
    if session.profile is None:
        return None
    spared = grace(session.service_id) * SECOND
    strikes = _strike(session.started_at, session.profile, session.given_end, spared, session.limit_seconds)
    if strikes is None or strikes >= until + spared // 2:
        return None
    since = session.started_at if timeout_base == "from_start" else now
    return CoA(((SESSION_TIMEOUT, max(1, -((since - until - spared) // SECOND))),), until)


def _comparable(profile: Profile, ppp: bool, aside: frozenset[str]) -> dict[str, AttributeValue]:
    sent = profile if ppp else for_hotspot(profile)
    return {name: value for name, value in sent if name not in aside}


def _with_end(
    session: LiveSession, wanted: Wanted, timeout_base: TimeoutBase, now: int, changes: list[tuple[str, AttributeValue]]
) -> Plan:
    """Add the Session-Timeout that is due: an earlier or first end at once, a later one an hour before the old end."""
    assert session.profile is not None
    spared = grace(session.service_id) * SECOND
    strikes = _strike(session.started_at, session.profile, session.given_end, spared, session.limit_seconds)
    should = _strike(session.started_at, wanted.profile, wanted.end, spared, wanted.limit_seconds)
    if _same(strikes, should) and SESSION_TIMEOUT not in session.doubtful:
        return CoA(tuple(changes), session.given_end) if changes else Nothing()
    if not changes and strikes is not None and (should is None or should > strikes):
        push_at = strikes - spared - HOUR
        if now < push_at and SESSION_TIMEOUT not in session.doubtful:
            return Later(push_at)
    given_end = wanted.end
    if should is None:
        given_end = now + FAR
        should = given_end + spared
    since = session.started_at if timeout_base == "from_start" else now
    seconds = max(1, -((since - should) // SECOND))
    return CoA(tuple(sorted((*changes, (SESSION_TIMEOUT, seconds)))), given_end)


def _strike(started_at: int, profile: Profile, end: int | None, spared: int, limit_seconds: int) -> int | None:
    """When the router ends the session by itself: by the profile's own Session-Timeout, at the end and grace, or when
    a time quota is used up.
    """
    strikes = [] if end is None else [end + spared]
    if limit_seconds:
        strikes.append(started_at + limit_seconds * SECOND)
    for name, value in profile:
        if name == SESSION_TIMEOUT and not isinstance(value, tuple):
            strikes.append(started_at + int(value) * SECOND)
    return min(strikes, default=None)


def _same(one: int | None, other: int | None) -> bool:
    """Equal to the second: Class and Session-Timeout carry whole seconds."""
    if one is None or other is None:
        return one is other
    return abs(one - other) < SECOND
