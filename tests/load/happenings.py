"""What may happen in the simulated year: one entry in a table each. It happens in the store through the very functions
that operators use, and is written down in the town's own books.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final, NamedTuple

import pytest

from aaa.commands import suspensions
from aaa.debit.controls.definitions import KINDS
from aaa.domain.service import Level, Status
from aaa.domain.suspension import REASONS, Repeat, Suspension
from aaa.store.database import Database
from aaa.store.seal import Sealer
from billing import commands as billing
from ledgate.load import load
from tests.load.town import CLERKS, CONTROLS, SCOPES, VALUES, VISPS, Person, Town, entry
from tests.naive.evaluator import DAY, effective_object

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

    def load(self, **sections: Any) -> None:
        load(self.db, sections, SEALER, actor=ACTOR, now=self.now)

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
)
"""What happens to one subscriber."""
MASS_HAPPENINGS: Final = (
    Happening(6, set_param),
    Happening(3, change_control),
    Happening(2, change_plan),
    Happening(2, change_timezone),
)
"""What happens to many at once."""
