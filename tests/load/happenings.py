"""What may happen in the simulated year: one entry in a table each. It happens in the store through the very functions
that operators use, and is written down in the town's own books.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from random import Random
from typing import Any, Final, NamedTuple

import pytest
from sqlalchemy import select

from aaa.coa import boundaries
from aaa.commands import leniency, suspensions
from aaa.commands.breaker import CutsHeld
from aaa.debit.controls.definitions import KINDS
from aaa.domain.service import Level, Status
from aaa.domain.session import SECOND, STOP, Record
from aaa.domain.suspension import REASONS, Repeat, Suspension
from aaa.radius.accounting import session_key
from aaa.store.accounting import Accounting
from aaa.store.database import Database
from aaa.store.seal import Sealer
from aaa.store.tables import nas
from billing import commands as billing
from ledgate.load import load
from tests.load.town import CLERKS, CONTROLS, ROUTER, SCOPES, VALUES, VISPS, Person, Town, entry
from tests.naive.calendar import shown
from tests.naive.evaluator import DAY, decide, effective_object

ACTOR: Final = "year"
SEALER: Final = Sealer([bytes(range(32))])


@dataclass
class Year:
    """A town and its database, at a moment of the year (UTC microseconds)."""

    db: Database
    town: Town
    chance: Random
    now: int
    payments: int = 0
    sessions: int = 0

    def __post_init__(self) -> None:
        self.accounting = Accounting(self.db)

    @cached_property
    def router(self) -> int:
        with self.db.read() as conn:
            return int(conn.execute(select(nas.c.id)).scalar_one())

    def load(self, **sections: Any) -> None:
        """Load sections of a file; where that cuts off many, as many as the preview says (R8.4)."""
        try:
            load(self.db, sections, SEALER, actor=ACTOR, now=self.now)
        except CutsHeld as held:
            load(self.db, sections, SEALER, actor=ACTOR, now=self.now, confirmed=held.preview.cut)

    def anybody(self) -> Person:
        return self.chance.choice(self.town.people)


def charge(year: Year) -> list[Person]:
    """Somebody is charged. What would bring the debt above `max_debt` is refused, unless overridden (R2.7)."""
    person, chance = year.anybody(), year.chance
    account, amount = person.account, chance.choice((1, 100, 300, 800, 801))
    due_at, override = year.now + chance.randrange(-20 * DAY, 30 * DAY), chance.random() < 0.5
    control = effective_object(year.town.facts(person), "DebitControl")
    ceiling = None if control is None else control.max_debt
    refused = ceiling is not None and not override and account.debt - account.credit + amount > ceiling

    def post() -> None:
        billing.charge(year.db, person.service, amount, due_at=due_at, override=override, actor=ACTOR, now=year.now)

    if refused:
        with pytest.raises(billing.Refused):
            post()
        return [person]
    post()
    account.charge(amount, year.now, due_at)
    return [person]


def pay(year: Year) -> list[Person]:
    """Somebody pays a part, all, or more than he owes."""
    owing = [one for one in year.chance.choices(year.town.people, k=20) if one.account.debt] or [year.anybody()]
    person = owing[0]
    amount = year.chance.choice((1, 100, max(1, person.account.debt), person.account.debt + 300))
    year.payments += 1
    billing.pay(year.db, person.service, amount, external_id=f"p{year.payments}", actor=ACTOR, now=year.now)
    person.account.pay(amount, year.now)
    return [person]


def suspend(year: Year) -> list[Person]:
    """An operator suspends somebody, for a while, for good, or again and again."""
    person, chance, now = year.anybody(), year.chance, year.now
    repeat = chance.choice((Repeat.NONE, *Repeat))
    start: int | None = now + chance.randrange(-10 * DAY, 40 * DAY)
    longest = {Repeat.NONE: 60, Repeat.WEEKLY: 7, Repeat.MONTHLY: 31, Repeat.YEARLY: 366}[repeat]
    assert start is not None
    end: int | None = start + chance.choice((1, DAY // 24, DAY, longest * DAY // 2, longest * DAY))
    if repeat is Repeat.NONE:
        start, end = chance.choice(((start, end), (None, end), (start, None)))
    wanted = Suspension(chance.choice(REASONS), start, end, repeat)
    suspensions.suspend(year.db, person.service.service_id, person.service.account_id, wanted, actor=ACTOR, now=now)
    person.suspensions.append(wanted)
    return [person]


def unsuspend(year: Year) -> list[Person]:
    """All of somebody's suspensions are lifted."""
    suspended = [one for one in year.chance.choices(year.town.people, k=200) if one.suspensions] or [year.anybody()]
    person = suspended[0]
    suspensions.unsuspend(year.db, person.service.service_id, person.service.account_id, actor=ACTOR, now=year.now)
    person.suspensions.clear()
    return [person]


def move(year: Year) -> list[Person]:
    """Somebody changes his plan, his scopes, or the end of his service."""
    person, chance = year.anybody(), year.chance
    what = chance.choice((Level.PLAN, *SCOPES, None))
    if what is None:
        person.active_to = chance.choice((None, year.now, year.now + chance.randrange(90) * DAY))
    elif what is Level.PLAN:
        person.places[what] = chance.choice([one for one in year.town.replies if one.startswith(f"{person.visp}-")])
    else:
        name = chance.choice((None, *SCOPES[what]))
        person.places.pop(what, None)
        if name is not None:
            person.places[what] = name
    year.load(subscribers=[entry(person)])
    return [person]


def change_card(year: Year) -> list[Person]:
    """Somebody's billing day changes, or whether he is reminded."""
    person = year.anybody()
    if year.chance.random() < 0.7:
        person.billing_day = year.chance.choice((1, 15, 28, 29, 30, 31))
    else:
        person.dont_show_overdue = not person.dont_show_overdue
    year.load(subscribers=[entry(person)])
    return [person]


def use(year: Year) -> list[Person]:
    """A session of somebody ends, and accounting tells what he used; the engine does what it asks for (R6.3)."""
    chance, now = year.chance, year.now
    limited = [
        one for one in chance.choices(year.town.people, k=20) if one.places.get(Level.CLASS) in ("students", "owners")
    ]
    person = (limited or [year.anybody()])[0]
    seconds, up = chance.choice((60, 3_600, 40_000)), chance.choice((0, 10**6, 2 * 10**9, 10**9 - 1))
    down = chance.choice((1, 10**9, 5 * 10**9, 11 * 10**9))
    year.sessions += 1
    told = stop(person.name, f"{year.sessions:08x}", year.router, now, seconds, up, down)
    assert not year.accounting.commit([told], now).poison
    boundaries.recompile_requested(year.db, now)
    today = shown(now, year.town.zones[person.visp]).date()
    person.use((today - date(1970, 1, 1)).days, up, down, seconds)
    return [person]


def stop(username: str, session: str, router: int, now: int, seconds: int, up: int, down: int) -> Record:
    """The one record of a session, whose Start was lost."""
    return Record(
        status=STOP,
        key=session_key(ROUTER.encode(), b"mt1", session.encode(), username.encode()),
        nas_id=router,
        source=ROUTER,
        identifier="mt1",
        acct_session_id=session,
        username=username,
        calling_station_id="",
        called_station_id="",
        nas_port_id="",
        framed_protocol="ppp",
        framed_ip=None,
        framed_ipv6=None,
        delegated_ipv6=None,
        event_at=now,
        started_at=now - seconds * SECOND,
        heard_at=now,
        seconds=seconds,
        up=up,
        down=down,
        terminate_cause=None,
        authorisation=None,
    )


def exempt(year: Year) -> list[Person]:
    """Somebody is spared automatic suspension until a date, or is not any more (R4.9)."""
    person, chance = year.anybody(), year.chance
    person.exempt_until = chance.choice((None, year.now + chance.randrange(60 * DAY)))
    one = person.service
    leniency.exempt(year.db, one.service_id, one.account_id, person.exempt_until, actor=ACTOR, now=year.now)
    return [person]


def acknowledge(year: Year) -> list[Person]:
    """Somebody says OK to a reminder; where none is due nothing is recorded (R5.4)."""
    reminded = [
        one
        for one in year.chance.choices(year.town.people, k=200)
        if decide(year.town.facts(one), year.now).cause == "overdue"
    ]
    person = (reminded or [year.anybody()])[0]
    due = decide(year.town.facts(person), year.now).cause == "overdue"
    assert leniency.acknowledge(year.db, person.service.account_id, actor=ACTOR, now=year.now) == due
    if due:
        person.acknowledged_at = year.now
    return [person]


def set_own_param(year: Year) -> list[Person]:
    """A param on one service."""
    person = year.anybody()
    _set_param(year, Level.USER, person.name, sorted(VALUES))
    return [person]


def set_param(year: Year) -> list[Person]:
    """A param on a scope that many are in."""
    town, chance = year.town, year.chance
    level, names = chance.choice(
        [
            (Level.SERVER, [""]),
            (Level.VISP, sorted(town.zones)),
            (Level.PLAN, sorted(town.replies)),
            *((level, list(names)) for level, names in SCOPES.items()),
        ]
    )
    scope = chance.choice(names)
    _set_param(year, level, scope, sorted(VALUES.keys() - {"login-time"}) if scope != CLERKS else ["login-time"])
    return town.within(level, scope)


def _set_param(year: Year, level: Level, scope: str, names: list[str]) -> None:
    chance = year.chance
    name = chance.choice(names)
    status = chance.choice((*[Status.PASSTHROUGH_YES] * 6, Status.PASSTHROUGH_NO, Status.DISABLED))
    value = chance.choice((None, *VALUES[name]))
    year.load(params=[year.town.put_param(level, scope, name, value, status)])


def change_control(year: Year) -> list[Person]:
    """A control becomes another one: everybody whose param names it has that from now on."""
    kind = year.chance.choice(sorted(CONTROLS))
    target, source = year.chance.choices(sorted(CONTROLS[kind]), k=2)
    current = year.town.controls[kind][source]
    year.town.controls[kind][target] = replace(current, name=target)
    found = KINDS[kind]
    cleared = {key: None for key in found.keys if key not in found.aliases}
    year.load(**{found.section: [{"name": target, **cleared, **current.to_json()}]})
    return year.town.people


def change_plan(year: Year) -> list[Person]:
    """A plan gets another rate."""
    name = year.chance.choice(sorted(year.town.replies))
    year.town.replies[name] = rate = year.chance.choice(("10M/10M", "20M/20M", "200M/200M"))
    visp = name.partition("-")[0]
    year.load(plans=[{"name": name, "visp": visp, "reply": {"Mikrotik-Rate-Limit": rate}}])
    return year.town.within(Level.PLAN, name)


def change_timezone(year: Year) -> list[Person]:
    """A VISP moves its clocks."""
    visp = year.chance.choice(sorted(year.town.zones))
    year.town.zones[visp] = zone = year.chance.choice([zone for _, _, zone in VISPS])
    year.load(visps=[{"name": visp, "timezone": zone}])
    return year.town.within(Level.VISP, visp)


def switch_reminders(year: Year) -> list[Person]:
    """No reminder can be shown any more, or they can again (R5.1)."""
    settings = year.town.settings
    year.town.settings = replace(settings, mikrotik_nat_disable_users=not settings.mikrotik_nat_disable_users)
    year.load(settings={"mikrotik_nat_disable_users": int(year.town.settings.mikrotik_nat_disable_users)})
    return year.town.people


class Happening(NamedTuple):
    """How often something happens, against the others; it returns whose access it may have changed."""

    weight: float
    happen: Callable[[Year], list[Person]]


HAPPENINGS: Final = (
    Happening(40, charge),
    Happening(40, pay),
    Happening(8, suspend),
    Happening(5, unsuspend),
    Happening(8, move),
    Happening(5, set_own_param),
    Happening(3, change_card),
    Happening(25, use),
    Happening(4, exempt),
    Happening(6, acknowledge),
)
"""What happens to one subscriber."""
MASS_HAPPENINGS: Final = (
    Happening(6, set_param),
    Happening(3, change_control),
    Happening(2, change_plan),
    Happening(2, change_timezone),
    Happening(1, switch_reminders),
)
"""What happens to many at once."""
