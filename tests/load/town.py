"""The town of the simulated year: who lives there, what was set, and what each of them owes, as somebody keeps it who
only writes down what happens. Access is never computed here: that is for the naive evaluator.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from aaa.debit.controls.definitions import KINDS, Control, Definitions
from aaa.domain.instant import iso
from aaa.domain.service import Level, Param, Scope, Service, Status
from aaa.domain.settings import Settings
from aaa.domain.suspension import Suspension
from aaa.domain.usage import DayUsage
from aaa.radius.dictionary import load as load_dictionary
from aaa.store.queries import ServiceRef
from tests.naive.account import Account
from tests.naive.evaluator import DAY, Facts

ROUTER: Final = "192.0.2.1"
VISPS: Final = (
    ("prague", "CZK", "Europe/Prague"),
    ("newyork", "USD", "America/New_York"),
    ("tehran", "IRR", "Asia/Tehran"),
    ("lordhowe", "AUD", "Australia/Lord_Howe"),
    ("cairo", "EGP", "Africa/Cairo"),
    ("havana", "CUP", "America/Havana"),
)
CLERKS: Final = "clerks"
"""The few who may be online in office hours only: every day has edges for them, which takes its time."""
PLANS: Final = ("10M", "20M", "50M")
SCOPES: Final = {
    Level.CENTER: ("north", "south"),
    Level.RESELLER: ("shop", "door"),
    Level.CLASS: ("students", "owners", "nobles", CLERKS),
}
CONTROLS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "DebitControl": {
        "home": {"max_debt": 800, "max_delay": 30 * 86_400},
        "prepaid": {"max_debt": 0},
        "dated": {"max_delay": 20 * 86_400, "anchor": "oldest_unpaid"},
        "vip": {},
    },
    "FinishRule": {
        "garden": {
            "debit": {"restrict": {"pool": "finish", "rate_limit": "128k/128k"}},
            "suspended": {"profile1": "deny", "*": {"restrict": {"address_list": "suspended"}}},
        },
        "ended": {"expire": {"restrict": {"address_list": "ended", "rate_limit": "64k/64k"}}, "debit": "deny"},
    },
    "SuspendPolicy": {
        "strict": {"pozastavit_neplatice": 1, "pozastavit_po_splatnosti": 14, "pozastavit_neplatice_min_castka": 300},
        "either": {"suspend_non_payers": 1, "suspend_days_after_due": 40, "suspend_min_amount": 900, "match": "any"},
        "off": {"suspend_non_payers": 0},
    },
    "OverduePolicy": {
        "polite": {"remind_pay": 1, "remind_after_pay_day": 3, "remind_time": 2, "remind_unaccepted_pay": 100},
        "daily": {"remind_pay": 1},
        "silent": {"remind_pay": 0},
    },
    "FupPolicy": {
        "fair": {"levels": [{"gb": 2, "reduce": "5M/5M"}, {"gb": 4.5, "reduce": "1M/1M"}, {"gb": 9, "suspend": True}]},
        "down": {"direction": "download", "levels": [{"gb": 3, "reduce": "2M/2M"}, {"hours": 11, "suspend": True}]},
    },
}
VALUES: Final[dict[str, tuple[Any, ...]]] = {
    **{kind: tuple(names) for kind, names in CONTROLS.items()},
    "login-time": (["daily 00:00-24:00"], ["mon-fri 08:00-18:00", "sat,sun 10:00-24:00"], ["daily 22:00-02:30"]),
    "Mikrotik-Rate-Limit": ("2M/2M", "100M/100M"),
    "gigabyte": (10**9, 2**30),
}
"""Params that are set and removed during the year, and their values."""


@dataclass
class Person:
    """One subscriber with one service. `places` are the names of the scopes he is in, but for the server's."""

    name: str
    visp: str
    places: dict[Level, str]
    account: Account
    active_to: int | None = None
    suspensions: list[Suspension] = field(default_factory=list)
    exempt_until: int | None = None
    acknowledged_at: int | None = None
    dont_show_overdue: bool = False
    billing_day: int = 1
    usage: dict[int, DayUsage] = field(default_factory=dict)
    ref: ServiceRef | None = None

    @property
    def service(self) -> ServiceRef:
        assert self.ref is not None, f"{self.name} is not in the database yet"
        return self.ref

    def use(self, day: int, up: int, down: int, seconds: int) -> None:
        """Write down use on a day."""
        before = self.usage.get(day, DayUsage(day, 0, 0, 0))
        self.usage[day] = DayUsage(day, before.up + up, before.down + down, before.seconds + seconds)


class Town:
    """Everybody, every param and every control."""

    def __init__(self, count: int, chance: Random, now: int) -> None:
        self.now = now
        self.zones = {name: zone for name, _, zone in VISPS}
        self.replies = {f"{visp}-{plan}": f"{plan}/{plan}" for visp, _, _ in VISPS for plan in PLANS}
        self.params: dict[tuple[Level, str, str], Param] = {}
        self.settings = Settings("203.0.113.5")
        self.controls: dict[str, dict[str, Any]] = {
            kind: {name: _made(kind, name, value) for name, value in those.items()} for kind, those in CONTROLS.items()
        }
        self.people = [self._newcomer(number, chance) for number in range(count)]

    def _newcomer(self, number: int, chance: Random) -> Person:
        visp, currency, _ = VISPS[number % len(VISPS)]
        name = f"user{number:05}"
        places = {Level.VISP: visp, Level.PLAN: f"{visp}-{chance.choice(PLANS)}", Level.USER: name}
        for level, names in SCOPES.items():
            if chance.random() < 0.5:
                places[level] = chance.choice([name for name in names if name != CLERKS])
        if chance.random() < 0.03:
            places[Level.CLASS] = CLERKS
        person = Person(name, visp, places, Account(currency))
        if chance.random() < 0.3:
            person.active_to = self.now + chance.randrange(400 * DAY)
        balance = chance.choice((0, 0, 500, -200, -900))
        if balance < 0:
            person.account.charge(-balance, self.now, self.now)
        else:
            person.account.credit = balance
        return person

    def facts(self, person: Person) -> Facts:
        """All that decides somebody's access."""
        plan = person.places.get(Level.PLAN)
        service = Service(
            0,
            0,
            person.name,
            person.visp,
            person.account.currency,
            self.zones[person.visp],
            plan,
            () if plan is None else (("Mikrotik-Rate-Limit", self.replies[plan]),),
            active_to=person.active_to,
            suspensions=tuple(person.suspensions),
            exempt_until=person.exempt_until,
            dont_show_overdue=person.dont_show_overdue,
            billing_day=person.billing_day,
            acknowledged_at=person.acknowledged_at,
        )
        places = {Level.SERVER: "", **person.places}
        params = tuple(one for (level, name, _), one in self.params.items() if places.get(level) == name)
        sections = {KINDS[kind].section: those for kind, those in self.controls.items()}
        usage = tuple(person.usage.values())
        return Facts(service, person.account.standing(), params, Definitions(**sections), usage, self.settings)

    def within(self, level: Level, name: str) -> list[Person]:
        """Who is in a scope."""
        return [one for one in self.people if level is Level.SERVER or one.places.get(level) == name]

    def put_param(self, level: Level, scope: str, name: str, value: Any, status: Status) -> dict[str, Any]:
        """Write down a param (None removes it); the entry of a load file that does the same."""
        if value is None:
            self.params.pop((level, scope, name), None)
        else:
            self.params[level, scope, name] = Param(Scope(level, scope), name, value, status)
        return {"scope": str(Scope(level, scope)), "name": name, "value": value, "status": status.value}

    def document(self) -> dict[str, Any]:
        """The load file that the year begins with."""
        return {
            "visps": [{"name": name, "currency": currency, "timezone": zone} for name, currency, zone in VISPS],
            **{section: [{"name": one} for one in SCOPES[level]] for section, level in _SECTIONS},
            "plans": [
                {"name": name, "visp": name.partition("-")[0], "reply": {"Mikrotik-Rate-Limit": rate}}
                for name, rate in self.replies.items()
            ],
            **{
                KINDS[kind].section: [{"name": name, **value} for name, value in those.items()]
                for kind, those in CONTROLS.items()
            },
            "settings": {"server_ip": self.settings.server_ip},
            "nas": [{"name": "mt1", "address": ROUTER, "secret": "testing123"}],
            "params": [
                self.put_param(Level.SERVER, "", "DebitControl", "home", Status.PASSTHROUGH_YES),
                # the one that a fresh database has there makes place
                self.put_param(Level.SERVER, "", "FinishRule", "garden", Status.PASSTHROUGH_YES),
                self.put_param(Level.VISP, "prague", "SuspendPolicy", "strict", Status.PASSTHROUGH_YES),
                self.put_param(Level.VISP, "havana", "SuspendPolicy", "either", Status.PASSTHROUGH_YES),
                self.put_param(Level.CENTER, "south", "FinishRule", "ended", Status.PASSTHROUGH_YES),
                self.put_param(Level.VISP, "lordhowe", "OverduePolicy", "polite", Status.PASSTHROUGH_YES),
                self.put_param(Level.VISP, "cairo", "OverduePolicy", "daily", Status.PASSTHROUGH_YES),
                self.put_param(Level.CLASS, "students", "FupPolicy", "fair", Status.PASSTHROUGH_YES),
                self.put_param(Level.CLASS, "owners", "FupPolicy", "down", Status.PASSTHROUGH_YES),
                self.put_param(Level.CLASS, CLERKS, "login-time", VALUES["login-time"][1], Status.PASSTHROUGH_YES),
                self.put_param(Level.CLASS, "nobles", "DebitControl", "vip", Status.PASSTHROUGH_NO),
            ],
            "subscribers": list(self._subscribers()),
        }

    def _subscribers(self) -> Iterator[Mapping[str, Any]]:
        for one in self.people:
            yield {
                **entry(one),
                "password": f"pw-{one.name}",
                "balance": one.account.credit - one.account.debt,
            }


_SECTIONS: Final = (("centers", Level.CENTER), ("resellers", Level.RESELLER), ("classes", Level.CLASS))


def entry(person: Person) -> dict[str, Any]:
    """What a load file says of somebody, but for his password and money."""
    ends = person.active_to
    return {
        "username": person.name,
        "visp": person.visp,
        "plan": person.places.get(Level.PLAN),
        "center": person.places.get(Level.CENTER),
        "reseller": person.places.get(Level.RESELLER),
        "class": person.places.get(Level.CLASS),
        "active_to": None if ends is None else iso(ends),
        "dont_show_overdue": person.dont_show_overdue,
        "billing_day": person.billing_day,
    }


def _made(kind: str, name: str, value: Mapping[str, Any]) -> Control:
    return KINDS[kind].read(name, value, load_dictionary().check, "")
