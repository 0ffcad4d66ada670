"""Drawn facts about overdue charges, and an evaluator of non-payers and reminders that asks one instant at a time."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from aaa.debit.compile import compile
from aaa.debit.controls.definitions import Definitions
from aaa.debit.controls.overdue_policy import OverduePolicy
from aaa.debit.controls.suspend_policy import SuspendPolicy
from aaa.debit.policy import Policy, resolve_policy
from aaa.domain.service import SERVER, Param, Service
from aaa.domain.settings import Settings
from aaa.domain.standing import Due, Standing
from aaa.domain.timeline import Timeline
from tests.unit.debit.cases import DAY, SERVICE
from tests.unit.debit.suspensions import at

PORTAL = Settings(server_ip="203.0.113.5")
# In Cairo and Havana clocks change at midnight: it is missing in spring, and in Havana it comes twice in autumn.
ZONES = ("Europe/Prague", "Asia/Tehran", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "America/New_York")
CHANGES = [date(2024, 4, 26), date(2024, 10, 31), date(2025, 3, 9), date(2025, 3, 30), date(2025, 11, 2)]


def owing(*dues: tuple[int, int], promise: int | None = None) -> Standing:
    """A standing with these charges, given as (due at, remaining)."""
    found = tuple(Due(number, due_at, remaining) for number, (due_at, remaining) in enumerate(sorted(dues)))
    debt = sum(due.remaining for due in found)
    return Standing(7, "CZK", 1, debt, 0, None, found[0].due_at if found else None, found, promise)


def policy(
    suspend: SuspendPolicy | None = None,
    overdue: OverduePolicy | None = None,
    *more: Param,
    known: Definitions | None = None,
    settings: Settings = PORTAL,
) -> Policy:
    """A policy with these controls set on the server; `more` params name objects of `known`."""
    found = list(more)
    objects = known or Definitions()
    if suspend is not None:
        found.append(Param(SERVER, "SuspendPolicy", suspend.name))
        objects = replace(objects, suspend_policies={suspend.name: suspend})
    if overdue is not None:
        found.append(Param(SERVER, "OverduePolicy", overdue.name))
        objects = replace(objects, overdue_policies={overdue.name: overdue})
    reply = (("Mikrotik-Rate-Limit", "20M/20M"), ("Session-Timeout", 86_400))
    return resolve_policy(found, objects, currency="CZK", plan="home", plan_reply=reply, settings=settings)


@dataclass(frozen=True)
class Facts:
    suspend: SuspendPolicy
    overdue: OverduePolicy
    service: Service
    standing: Standing

    def timeline(self, now: int) -> Timeline:
        return compile(policy(self.suspend, self.overdue), self.service, self.standing, now).timeline


# --- one instant at a time -------------------------------------------------------------------------------------------


def day(instant: int, zone: str) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).astimezone(ZoneInfo(zone)).date()


def days_late(due: Due, zone: str, instant: int) -> int:
    """How many days of the calendar the charge is past due."""
    return (day(instant, zone) - day(due.due_at, zone)).days


def non_payer(facts: Facts, instant: int) -> bool:
    rule, dues, zone = facts.suspend, facts.standing.dues, facts.service.timezone
    spared = [one for one in (facts.standing.promise_until, facts.service.exempt_until) if one is not None]
    if not rule.on or any(instant < one for one in spared):
        return False
    late = any(days_late(due, zone, instant) > rule.days for due in dues)
    if rule.least is None:
        return late
    exceeded = sum(due.remaining for due in dues if days_late(due, zone, instant) > 0) > rule.least
    return late and exceeded if rule.match == "all" else late or exceeded


def reminded(facts: Facts, instant: int) -> bool:
    """Whether a reminder is due, were there no stronger cause."""
    rule, dues, zone = facts.overdue, facts.standing.dues, facts.service.timezone
    said_ok, promise = facts.service.acknowledged_at, facts.standing.promise_until
    if not rule.on or facts.service.dont_show_overdue or (promise is not None and instant < promise):
        return False
    if said_ok is not None and 0 <= instant - said_ok < rule.every * DAY:
        return False
    total = sum(due.remaining for due in dues if days_late(due, zone, instant) > 0)
    return any(days_late(due, zone, instant) > rule.after for due in dues) and total >= rule.least


# --- drawn facts -----------------------------------------------------------------------------------------------------

zones = st.sampled_from(ZONES)
change = st.shared(st.sampled_from(CHANGES), key="change")


@st.composite
def instants(draw: st.DrawFn) -> int:
    """About a local midnight near a change of the clocks, the same change for all of one example."""
    edge = at(f"{draw(change) + timedelta(days=draw(st.integers(-20, 20)))}T00:00:00+00:00")
    return edge + draw(st.integers(-56, 56)) * 900_000_000 + draw(st.sampled_from((-1, 0, 1)))


suspend_policies = st.builds(
    SuspendPolicy,
    st.just("strict"),
    st.booleans() | st.just(True),
    st.integers(0, 20),
    st.none() | st.integers(0, 900),
    st.sampled_from(("all", "any")),
)
overdue_policies = st.builds(
    OverduePolicy,
    st.just("polite"),
    st.booleans() | st.just(True),
    st.integers(0, 12),
    st.integers(1, 5),
    st.integers(0, 900),
)
standings = st.builds(
    lambda dues, promise: owing(*dues, promise=promise),
    st.lists(st.tuples(instants(), st.integers(1, 500)), max_size=3),
    st.none() | instants(),
)
services = st.builds(
    lambda zone, exempt, opted_out, said_ok: replace(
        SERVICE, timezone=zone, exempt_until=exempt, dont_show_overdue=opted_out, acknowledged_at=said_ok
    ),
    zones,
    st.none() | instants(),
    st.sampled_from((False, False, True)),
    st.none() | instants(),
)
facts = st.builds(Facts, suspend_policies, overdue_policies, services, standings)
