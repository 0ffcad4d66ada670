"""Wishes and jobs for tests of what becomes of them."""

from dataclasses import replace

from aaa.clock import SECOND
from aaa.coa.job import Job
from aaa.coa.messages import Target
from aaa.coa.plan import CoA, Disconnect, LiveSession, Wanted
from aaa.coa.wish import Router, Wish
from aaa.domain.rank import NEITHER
from aaa.domain.timeline import Profile, Verdict, profile
from aaa.radius.integrity import Secret

NOW = 1_000_000 * SECOND
ROUTER = Router(
    1, "mt1", "10.0.0.1", ("10.0.0.1", 3799), (Secret(b"x"),), "from_start", "disconnect", SECOND // 20, False, False
)
HOME: Profile = profile([("Mikrotik-Rate-Limit", "20M/20M")])
SLOW: Profile = profile([("Mikrotik-Rate-Limit", "1M/2M")])


def wish(
    number: int = 1,
    *,
    rank: int = NEITHER,
    requested_at: int = NOW,
    rung: int = 0,
    has: Profile = HOME,
    wanted: Profile = SLOW,
    verdict: Verdict = Verdict.ALLOW,
    router: Router = ROUTER,
    given_end: int | None = None,
) -> Wish:
    return Wish(
        number,
        None,
        1,
        "load",
        requested_at,
        requested_at,
        0,
        LiveSession(number, NOW - 3_600 * SECOND, True, has, 0, given_end),
        Wanted(verdict, wanted, 0, given_end),
        Target("10.0.0.1", "mt1", f"user{number}", f"8150{number:04x}", "10.1.0.1"),
        router,
        None,
        300 * SECOND,
        False,
        False,
        True,
        0,
        rank=rank,
        rung=rung,
    )


def job(number: int, *, cuts: bool = False, rank: int = NEITHER, requested_at: int = NOW) -> Job:
    made = Job(wish(number, rank=rank, requested_at=requested_at))
    made.plan = Disconnect("denied") if cuts else CoA(SLOW, None)
    return made


def with_api(router: Router = ROUTER) -> Router:
    return replace(router, has_api=True)
