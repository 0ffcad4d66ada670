"""A year of a town on a virtual clock, through the real store; what it says of access is asked again and again, and
answered a second time by the naive evaluator from the town's own books.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from sqlalchemy import event, select

from aaa.coa import boundaries
from aaa.debit.explain import explain
from aaa.domain.timeline import Cause, Profile, Timeline
from aaa.store import dialect, record
from aaa.store.database import Database, open_database
from aaa.store.queries import ServiceRef
from aaa.store.tables import access, service, visp
from aaa.store.timelines import read_history, read_profiles, read_timeline
from ledgate.load.fields import parse_instant
from tests.load.happenings import HAPPENINGS, MASS_HAPPENINGS, Happening, Year
from tests.load.town import VISPS, Person, Town
from tests.naive.calendar import midnight, shown
from tests.naive.evaluator import DAY, RATE, Decision, decide

BEGINS: Final = parse_instant("2026-01-01T00:00:00Z", "UTC")
DAYS: Final = 365
MOST_ASKED: Final = 25
"""Of how many at most it is asked at a time what they have, but at the beginning and the end: of all."""


@dataclass
class Tally:
    """What was done, asked and found."""

    seed: int
    happened: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    remembered: list[tuple[Person, int, Decision]] = field(default_factory=list)
    causes: dict[str, int] = field(default_factory=dict)

    def told(self) -> str:
        happened = ", ".join(f"{count:,} {name}" for name, count in sorted(self.happened.items()))
        causes = ", ".join(f"{count:,} {name}" for name, count in sorted(self.causes.items()))
        return f"{happened}; {self.asked:,} verdicts asked: {causes}"


@contextmanager
def unhurried(url: str) -> Iterator[Database]:
    """A SQLite database that does not wait for the disk: nobody pulls the plug in this year."""
    opened = open_database(url)

    @event.listens_for(opened.engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    try:
        yield opened
    finally:
        opened.close()


def simulate(db: Database, seed: int, people: int, changes: int, mass_changes: int) -> Tally:
    """Live a year in an empty, migrated database; every verdict that is asked is as the naive evaluator has it."""
    chance = Random(seed)
    year = Year(db, Town(people, chance, BEGINS), chance, BEGINS)
    asking = _Asking(year, Tally(seed))
    at_once = min(MOST_ASKED, max(3, people // 20))
    year.load(**year.town.document())
    _introduce(year)
    asking.all()
    for now, happening in _calendar(chance, changes, mass_changes):
        year.now = now
        if happening is None:
            _engine(year)
            asking.about(chance.choices(year.town.people, k=at_once), remember=True)
            continue
        name = happening.happen.__name__
        asking.tally.happened[name] = asking.tally.happened.get(name, 0) + 1
        reached = happening.happen(year)
        if len(reached) > 1:
            _engine(year)
        asking.about(chance.sample(reached, min(len(reached), at_once)))
    asking.all()
    asking.past()
    return asking.tally


def _engine(year: Year) -> None:
    """What the clock makes due, and the rest of a mass change."""
    while (due := boundaries.next_due(year.db, year.now)) is not None and due <= year.now:
        boundaries.run(year.db, year.now)


def _introduce(year: Year) -> None:
    """Find everybody in the database."""
    zones = {name: zone for name, _, zone in VISPS}
    with year.db.read() as conn:
        rows = conn.execute(select(service, visp.c.name.label("visp"), visp.c.currency).join(visp)).all()
    found = {
        row.username: ServiceRef(
            row.id, row.account_id, row.username, row.visp_id, row.visp, row.currency, zones[row.visp]
        )
        for row in rows
    }
    for person in year.town.people:
        person.ref = found[person.name]


def _calendar(chance: Random, changes: int, mass_changes: int) -> list[tuple[int, Happening | None]]:
    """What happens when, in order, never two things at once; once a day nothing does, and the engine comes by."""
    drawn: list[Happening | None] = [None] * DAYS
    drawn += chance.choices(HAPPENINGS, [one.weight for one in HAPPENINGS], k=changes)
    drawn += chance.choices(MASS_HAPPENINGS, [one.weight for one in MASS_HAPPENINGS], k=mass_changes)
    times = [BEGINS + day * DAY + chance.randrange(DAY) for day in range(DAYS)]
    times += [_moment(chance) for _ in drawn[DAYS:]]
    found: list[tuple[int, Happening | None]] = []
    for at, happening in sorted(zip(times, drawn, strict=True), key=lambda one: one[0]):
        found.append((max(at, found[-1][0] + 1 if found else at), happening))
    return found


def _moment(chance: Random) -> int:
    """Some instant of the year; sometimes a local midnight or one of its neighbours."""
    at = BEGINS + chance.randrange(1, DAYS * DAY)
    if chance.random() < 0.2:
        _, _, zone = chance.choice(VISPS)
        at = max(BEGINS + 1, midnight(shown(at, zone).date(), zone) + chance.choice((-1, 0, 1)))
    return at


class _Asking:
    """Asks the store what people have."""

    def __init__(self, year: Year, tally: Tally) -> None:
        self._year = year
        self._profiles: dict[int, Profile] = {}
        self.tally = tally

    def all(self) -> None:
        people = self._year.town.people
        for at in range(0, len(people), 500):
            self.about(people[at : at + 500])

    def about(self, people: Iterable[Person], remember: bool = False) -> None:
        """What each of them has now, and what today's facts lead to: at the edges of the steps, and anywhere."""
        now, chance = self._year.now, self._year.chance
        by_id = {one.service.service_id: one for one in people}
        with self._year.db.read() as conn:
            rows = conn.execute(
                select(access.c.service_id, access.c.record).where(dialect.among(conn, access.c.service_id, by_id))
            ).all()
            timelines = {row.service_id: self._timeline(conn, row.record) for row in rows}
        assert timelines.keys() == by_id.keys()
        for service_id, person in by_id.items():
            timeline = timelines[service_id]
            assert timeline.start <= now < timeline.horizon, f"{person.name}'s timeline does not hold {now}"
            edges = [segment.start for segment in timeline.segments if segment.start > now]
            near = [edge - back for edge in chance.sample(edges, min(len(edges), 2)) for back in (0, 1)]
            instants = {now, *near, chance.randrange(now, timeline.horizon), chance.randrange(now, timeline.horizon)}
            for at in sorted(instants):
                self._compare(person, timeline, at)
            if remember:
                self.tally.remembered.append((person, now, said(timeline, now)))

    def _timeline(self, conn: Any, packed: bytes) -> Timeline:
        head = record.entry(packed)
        named = {record.step(packed, head, index).profile for index in range(head.segments)}
        if not named <= self._profiles.keys():
            self._profiles.update(read_profiles(conn, named))
        return record.timeline(packed, self._profiles)

    def _compare(self, person: Person, timeline: Timeline, at: int) -> None:
        facts = self._year.town.facts(person)
        stored, naive = said(timeline, at), decide(facts, at)
        assert stored == naive, (
            f"seed {self.tally.seed}: asked at {self._year.now} what {person.name} has at {at}, "
            f"the store says {stored}, the naive evaluator {naive} from {facts}"
        )
        cause = f"{stored.verdict.word}{f' ({stored.cause})' if stored.cause else ''}"
        self.tally.asked += 1
        self.tally.causes[cause] = self.tally.causes.get(cause, 0) + 1

    def past(self) -> None:
        """What was so in the year is still told so after it (R8.3)."""
        with self._year.db.read() as conn:
            for person, at, was in self._year.chance.sample(self.tally.remembered, 200):
                found = read_timeline(conn, person.service.service_id)
                assert found is not None
                told = explain(person.name, found[0], at, read_history(conn, person.service.service_id))
                cause = told.reason.cause if told.reason else None
                assert (told.verdict, cause) == (was.verdict, was.cause), f"{person.name} at {at}"


def said(timeline: Timeline, at: int) -> Decision:
    """What a timeline says of an instant, as the naive evaluator would say it."""
    segment = timeline.at(at)
    reason = segment.reason
    figures: dict[str, Any] = dict(reason.figures) if reason else {}
    kind = figures["reason"] if reason and reason.cause is Cause.SUSPENDED else ""
    return Decision(segment.verdict, reason.cause if reason else None, dict(segment.profile).get(RATE), kind)
