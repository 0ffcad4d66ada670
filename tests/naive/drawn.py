"""Facts drawn at random, all that decides access: for properties that the compiler must have. Local midnights, changes
of clocks and their neighbours are drawn more often than chance would.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from aaa.debit.controls.debit_control import DebitControl
from aaa.debit.controls.definitions import KINDS, Definitions
from aaa.debit.controls.finish_rule import DENY, FINISH_CAUSES, FinishRule, Restrict
from aaa.debit.controls.fup_policy import FupLevel, FupPolicy
from aaa.debit.controls.overdue_policy import OverduePolicy
from aaa.debit.controls.suspend_policy import SuspendPolicy
from aaa.debit.policy import Policy, resolve_policy
from aaa.domain.service import SERVER, Level, Param, Scope, Service, Status
from aaa.domain.settings import Settings
from aaa.domain.standing import Due, Standing
from aaa.domain.suspension import REASONS, Repeat, Suspension
from aaa.domain.usage import DayUsage
from tests.naive.calendar import EPOCH, first_shown, in_month, midnight, number, shown
from tests.naive.evaluator import DAY, RATE, SECOND, WEEK, Facts

ZONES = ("Europe/Prague", "America/New_York", "Asia/Tehran", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana")
GB = 10**9
STATUSES = (*[Status.PASSTHROUGH_YES] * 4, Status.PASSTHROUGH_NO, Status.DISABLED)

SCOPES = (
    SERVER,
    Scope(Level.CENTER, "c1"),
    Scope(Level.VISP, "isp"),
    Scope(Level.RESELLER, "r1"),
    Scope(Level.PLAN, "p1"),
    Scope(Level.CLASS, "students"),
    Scope(Level.USER, "ali"),
)


@dataclass(frozen=True)
class Drawn:
    """Facts, and the instant at which they are compiled; everything in them was known by then."""

    facts: Facts
    now: int

    @property
    def policy(self) -> Policy:
        service = self.facts.service
        return resolve_policy(
            self.facts.params,
            self.facts.definitions,
            currency=service.currency,
            plan=service.plan,
            plan_reply=service.plan_reply,
            settings=self.facts.settings,
        )


@cache
def changes_of_clocks(timezone: str) -> tuple[int, ...]:
    """When the clocks of a zone change from 2020 to 2027, to the quarter of an hour."""
    zone = ZoneInfo(timezone)
    found = []
    day, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
    while day < end:
        moment, day = day, day + timedelta(days=1)
        if moment.astimezone(zone).utcoffset() != day.astimezone(zone).utcoffset():
            while moment.astimezone(zone).utcoffset() == (moment - timedelta(minutes=15)).astimezone(zone).utcoffset():
                moment += timedelta(minutes=15)
            found.append((moment - EPOCH) // timedelta(microseconds=1))
    return tuple(found)


@st.composite
def near(draw: st.DrawFn, anchor: int, timezone: str, before: int, after: int) -> int:
    """An instant so many days about another one: at a local midnight, at a round distance, or anywhere."""
    at = anchor + draw(st.integers(-before, after)) * DAY
    kind = draw(st.sampled_from(("midnight", "round", "any")))
    if kind == "midnight":
        at = midnight(shown(at, timezone).date(), timezone) + draw(st.sampled_from((-1, 0, 0, 1)))
    elif kind == "any":
        at += draw(st.integers(-DAY // 2, DAY // 2))
    return min(at, anchor) if not after else at


@st.composite
def suspensions(draw: st.DrawFn, now: int, timezone: str) -> Suspension:
    reason, repeat = draw(st.sampled_from(REASONS)), draw(st.sampled_from(Repeat))
    if repeat is Repeat.NONE:
        start = draw(st.none() | near(now, timezone, 20, 30))
        end = draw(st.none() | near(now if start is None else start, timezone, 0, 20))
        return Suspension(reason, start, None if end is None or (start is not None and end <= start) else end)
    longest = {Repeat.WEEKLY: 7, Repeat.MONTHLY: 31, Repeat.YEARLY: 366}[repeat]
    years = draw(st.integers(0, 3)) * 365
    start = draw(near(now - years * DAY, timezone, 40, 20))
    if draw(st.booleans()):  # the days that other months do not have
        begins = shown(start, timezone)
        start = first_shown(datetime.combine(in_month(begins.year, begins.month, 31), begins.time()), timezone)
    length = draw(st.integers(1, longest * DAY) | st.integers(1, longest).map(lambda days: days * DAY))
    return Suspension(reason, start, start + length, repeat)


remaining = st.sampled_from((1, 300, 300, 300, 600)) | st.integers(1, 900)
"""What is left of a charge; often just as much as a limit."""


@st.composite
def standings(draw: st.DrawFn, now: int, timezone: str) -> Standing:
    dues = sorted(draw(st.lists(st.tuples(near(now, timezone, 60, 30), remaining), min_size=1, max_size=3)))
    debt = sum(remaining for _, remaining in dues)
    return Standing(
        7,
        "CZK",
        1,
        debt,
        0 if debt else draw(st.sampled_from((0, 500))),
        draw(near(now, timezone, 60, 0)) if draw(st.integers(0, 3)) else None,
        draw(near(now, timezone, 60, 0)) if debt else None,
        tuple(Due(place, at, remaining) for place, (at, remaining) in enumerate(dues)),
        draw(near(now, timezone, 5, 20)) if draw(st.integers(0, 3)) == 3 else None,
    )


@st.composite
def usages(draw: st.DrawFn, now: int, timezone: str) -> tuple[DayUsage, ...]:
    today = number(shown(now, timezone).date())
    days = draw(st.sets(st.sampled_from((*range(10), 20, 30, 31, 40)), min_size=1, max_size=4))
    amount = st.sampled_from((0, 0, 0, 1, GB // 2, GB // 2, GB, GB, GB + 1, 2**30, 2**30 + 1))
    return tuple(
        DayUsage(today - back, draw(amount), draw(amount), draw(st.sampled_from((0, 1800, 3600, 3601, 7200))))
        for back in draw(st.permutations(sorted(days)))
    )


@st.composite
def login_times(draw: st.DrawFn) -> tuple[str, ...]:
    clock = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from((0, 15, 30, 59)))
    ends = st.one_of(clock, st.just("24:00"))
    days = st.sampled_from(("daily", "mon-fri", "sat,sun", "fri", "mon,wed-fri", *WEEK))
    windows = st.tuples(days, clock, ends).filter(lambda one: one[1] != one[2])
    return tuple("{} {}-{}".format(*one) for one in draw(st.lists(windows, min_size=1, max_size=3)))


actions = st.one_of(
    st.just(DENY),
    st.just(Restrict(address_list="finish")),
    st.just(Restrict(pool="finish", rate_limit="64k/64k")),
    st.just(Restrict(ip="10.99.0.1", reply=((RATE, "32k/32k"),))),
)
controls = st.builds(
    DebitControl,
    st.just("d"),
    st.sampled_from((None, None, None, 0, 1, 300, 600, 2000)),
    st.sampled_from((None, 0, 1, 86_400, 20 * 86_400, 45 * 86_400)),
    st.sampled_from(("last_payment", "oldest_unpaid")),
)
finish_rules = st.builds(
    FinishRule,
    st.just("f"),
    st.dictionaries(st.sampled_from(FINISH_CAUSES), actions, min_size=2, max_size=5),
    st.dictionaries(st.sampled_from(REASONS), actions, max_size=3),
)
amounts = st.sampled_from((0, 300, 300, 600, 900))
suspend_policies = st.builds(
    SuspendPolicy,
    st.just("s"),
    st.sampled_from((True, True, True, True, False)),
    st.sampled_from((0, 1, 14, 30)),
    st.none() | amounts,
    st.sampled_from(("all", "any")),
)
overdue_policies = st.builds(
    OverduePolicy,
    st.just("o"),
    st.sampled_from((True, True, True, True, False)),
    st.sampled_from((0, 1, 10)),
    st.integers(1, 9),
    amounts,
)


@st.composite
def fup_policies(draw: st.DrawFn) -> FupPolicy:
    """Up to four levels; those that suspend come last."""
    levels: list[FupLevel] = []
    limits: dict[str, int] = {}
    for place in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(("total", "download", "upload", "hours")))
        limits[kind] = limits.get(kind, 0) + draw(st.sampled_from((1, 500, 1000) if kind != "hours" else (1, 2)))
        suspends = draw(st.booleans())
        if levels and levels[-1].reduce is None:
            suspends = True
        reduce = None if suspends else f"{9 - place}M/{9 - place}M"
        if kind == "hours":
            levels.append(FupLevel(None, limits[kind], "total", reduce))
        else:
            levels.append(FupLevel(limits[kind], None, kind, reduce))  # type: ignore[arg-type]
    return FupPolicy("u", tuple(levels))


@st.composite
def params(draw: st.DrawFn, values: dict[str, st.SearchStrategy[Any]]) -> tuple[Param, ...]:
    """Of every name at most one on a scope, in any order; most are on one or two scopes."""
    found = []
    for name, value in values.items():
        for scope in draw(st.sets(st.sampled_from(SCOPES), min_size=1, max_size=3)):
            found.append(Param(scope, name, draw(value), draw(st.sampled_from(STATUSES))))
    return tuple(draw(st.permutations(found)))


def few(objects: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(objects, min_size=1, max_size=2)


def named(drawn: list[Any]) -> dict[str, Any]:
    """Objects under names of their own."""
    return {f"{one.name}{place}": replace(one, name=f"{one.name}{place}") for place, one in enumerate(drawn)}


THEMES = {
    "suspension": (),
    "automatic": ("SuspendPolicy",),
    "debit": ("DebitControl",),
    "expire": (),
    "fup": ("FupPolicy", "gigabyte"),
    "hours": ("login-time",),
    "reminder": ("OverduePolicy",),
}
"""What facts may be about, and the params that belong to it. A few at a time: else the stronger hide the weaker."""


@st.composite
def drawn(draw: st.DrawFn) -> Drawn:
    zone = draw(st.sampled_from(ZONES))
    now = draw(near(draw(st.sampled_from(changes_of_clocks(zone))), zone, 40, 5))
    count = draw(st.sampled_from((1, 1, 2, 3)))
    themes = draw(st.sets(st.sampled_from(sorted(THEMES)), min_size=count, max_size=count))
    wanted = {name for theme in sorted(themes) for name in THEMES[theme]}
    wanted |= draw(st.sampled_from(({"FinishRule"}, {"FinishRule", RATE}, {RATE}, set())))
    objects: dict[str, st.SearchStrategy[Any]] = {
        "DebitControl": controls,
        "FinishRule": finish_rules,
        "SuspendPolicy": suspend_policies,
        "OverduePolicy": overdue_policies,
        "FupPolicy": fup_policies(),
    }
    made = {kind: named(draw(few(one))) for kind, one in objects.items() if kind in wanted}
    definitions = Definitions(**{KINDS[kind].section: those for kind, those in made.items()})
    values: dict[str, st.SearchStrategy[Any]] = {
        "login-time": login_times(),
        "gigabyte": st.sampled_from((10**9, 2**30)),
        RATE: st.sampled_from(("20M/20M", "50M/50M")),
        **{kind: st.sampled_from(sorted(those)) for kind, those in made.items()},
    }
    service = Service(
        1,
        7,
        "ali",
        "isp",
        "CZK",
        zone,
        "p1",
        draw(st.sampled_from(((), ((RATE, "10M/10M"),), (("Framed-Pool", "pool1"), (RATE, "10M/10M"))))),
        draw(st.sampled_from((None, "192.0.2.7"))),
        active_to=draw(near(now, zone, 10, 40)) if "expire" in themes else None,
        suspensions=tuple(draw(few(suspensions(now, zone)))) if "suspension" in themes else (),
        exempt_until=draw(near(now, zone, 5, 30)) if draw(st.integers(0, 3)) == 3 else None,
        dont_show_overdue=draw(st.integers(0, 5)) == 5,
        billing_day=draw(st.sampled_from((1, 2, 15, 28, 29, 30, 31)) | st.integers(1, 31)),
        acknowledged_at=draw(st.none() | near(now, zone, 10, 0)),
    )
    settings = Settings(draw(st.sampled_from((*["203.0.113.5"] * 5, None))), draw(st.integers(0, 5)) < 5)
    owes = not themes.isdisjoint(("automatic", "debit", "reminder"))
    standing = draw(standings(now, zone)) if owes else Standing(7, "CZK", credit=draw(st.sampled_from((0, 500))))
    usage = draw(usages(now, zone)) if "fup" in themes else ()
    set_params = draw(params({name: values[name] for name in sorted(wanted)}))
    return Drawn(Facts(service, standing, set_params, definitions, usage, settings), now)


def edges(facts: Facts) -> list[int]:
    """Instants about which something of these facts could change, and nothing else should."""
    standing, service = facts.standing, facts.service
    starts = [standing.last_payment_at, standing.debt_since, *(due.due_at for due in standing.dues)]
    delays = [one.max_delay for one in facts.definitions.controls.values() if one.max_delay is not None]
    found = [start + delay * SECOND for start in starts if start is not None for delay in delays]
    found += [at for one in service.suspensions for at in (one.start, one.end) if at is not None]
    for at in (standing.promise_until, service.active_to, service.exempt_until, service.acknowledged_at):
        found += [] if at is None else [at]
    return found
