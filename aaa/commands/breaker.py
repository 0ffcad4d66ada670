"""The breaker: a change that would cut off too many services waits for a confirmation (R8.4) (shell).

A guarded change is looked at while it is open: what it compiles itself is shown to its guard, before it is stored. What
it would leave to a job is compiled too, but apart from the transaction: that is rolled back first, so that nobody waits
for its locks, and done again when the number is known. Between the two nobody else may have changed a rule.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, func, select

from aaa.commands.impacts import Impacts
from aaa.commands.recompile import CHUNK, Fresh, Policies, compile_services
from aaa.debit.impact import Affected, Effect, Impact, Tally, limit
from aaa.domain.service import Level
from aaa.domain.session import device_of
from aaa.domain.settings import DEFAULTS, Settings
from aaa.domain.timeline import Verdict
from aaa.store import dialect, facts, record
from aaa.store.database import Database
from aaa.store.holds import held_since
from aaa.store.leases import Leases, Pool, read_pools
from aaa.store.settings import read_settings
from aaa.store.tables import access, service, session

Progress = Callable[[int, int], None]
"""Is told how many of how many services have been looked at."""
CALLER_ID: Final = "caller-id"
"""The cause of a cut by a caller-id lock, which is not of the timeline."""
_READ: Final = 10_000


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change does: whom it affects, how many services it reaches, how many of all are allowed now, and how many
    it may cut off without a confirmation.
    """

    affected: Sequence[Affected]
    groups: Sequence[tuple[str, Effect, str, int]]
    reached: int
    created: int
    allowed: int
    limit: int

    @classmethod
    def of(cls, db: Database, tally: Tally, reached: int, created: int, settings: Settings, now: int) -> "Preview":
        """What was tallied, beside those who are allowed at `now`."""
        allowed = count_allowed(db, now)
        return cls(tally.affected, tally.groups(), reached, created, allowed, limit(allowed, settings))

    def count(self, effect: Effect) -> int:
        return sum(one.impact.effect is effect for one in self.affected)

    @property
    def cut(self) -> int:
        return self.count(Effect.CUT)

    @property
    def trips(self) -> bool:
        return self.cut > self.limit


class CutsHeld(Exception):
    """The change was not made, for it would cut off too many: it needs `preview.cut` as its confirmation."""

    def __init__(self, preview: Preview, confirmed: int | None) -> None:
        self.preview = preview
        self.confirmed = confirmed
        told = "" if confirmed is None else f", not the {confirmed} that were confirmed"
        super().__init__(
            f"this would cut off {preview.cut} services{told}; without a confirmation it may be {preview.limit}: "
            f"nothing was changed, confirm with --yes-cut {preview.cut}"
        )


class Rehearsed(Exception):
    """A guarded change was rolled back, and what is left to look at is in `ahead`."""

    def __init__(self, ahead: "Ahead") -> None:
        self.ahead = ahead


@dataclass(frozen=True, slots=True)
class Ahead:
    """The facts of a change that was rolled back: its rules, the scopes that a job would compile, and what is known
    already. `before` is what the rules were, `touched` are looked at already or will be, `last` is the newest service.
    """

    before: Any
    policies: Policies
    pools: Mapping[str, Pool]
    catalogue: facts.Catalogue
    scopes: Sequence[tuple[Level, int]]
    touched: Collection[int]
    last: int
    known: Tally
    created: int
    settings: Settings


@dataclass(slots=True)
class Guard:
    """Watches one change. `confirmed`: how many services may be cut off, if it is exactly so many. `rehearsing`: the
    change ends with Rehearsed, whatever it does.
    """

    db: Database
    now: int
    confirmed: int | None = None
    rehearsing: bool = False
    _foreseen: Tally = field(default_factory=Tally)
    _foreseen_reached: int = 0
    _seen_before: Any = None
    _before: Any = None
    _last: int = 0
    _settings: Settings = DEFAULTS
    _onlooker: "Onlooker | None" = None

    def open(self, conn: Connection) -> None:
        """Note the rules and limits that hold before the change; the scopes are locked."""
        self._before = facts.read_policy(conn), [_values(one) for one in facts.read_catalogue(conn)]
        self._last = conn.execute(select(func.max(service.c.id))).scalar() or 0
        self._settings = read_settings(conn)
        self._onlooker = Onlooker(self.now)

    def could_trip(self, reached: int) -> bool:
        """Whether so many services are more than may always be cut off."""
        return reached > self._settings.cut_off_limit_least

    def foresaw(self) -> bool:
        """Whether it was learnt what the job of this change will do, under the rules that still hold."""
        return self._seen_before is not None and self._seen_before == self._before

    def learn(self, ahead: Ahead, foreseen: Tally, reached: int) -> None:
        """Take in what the job of this change will do, as `foresee` found it."""
        self._seen_before, self._foreseen, self._foreseen_reached = ahead.before, foreseen, reached

    @property
    def onlooker(self) -> "Onlooker":
        assert self._onlooker is not None
        return self._onlooker

    def ahead(
        self, conn: Connection, scopes: Sequence[tuple[Level, int]], touched: Collection[int], created: int
    ) -> Ahead:
        """All that is needed to look at the rest when the change is rolled back."""
        return Ahead(
            self._before,
            Policies(conn),
            read_pools(conn),
            facts.read_catalogue(conn),
            scopes,
            touched,
            self._last,
            self.onlooker.tally,
            created,
            self._settings,
        )

    def decide(self, reached: int, created: int) -> int | None:
        """Raise CutsHeld if the change cuts off too many, unless so many were confirmed; returns how many had to be.

        `reached` services were shown to the onlooker, `created` are new.
        """
        tally = Tally([*self.onlooker.tally.affected, *self._foreseen.affected])
        if not self.could_trip(tally.cut):
            return None
        reached += self._foreseen_reached
        preview = Preview.of(self.db, tally, reached, created, self._settings, self.now)
        if not preview.trips:
            return None
        if preview.cut != self.confirmed:
            raise CutsHeld(preview, self.confirmed)
        return preview.cut


class Onlooker:
    """Tallies the effects of what it is shown, as of `now`."""

    def __init__(self, now: int) -> None:
        self.tally = Tally()
        self._now = now
        self._impacts = Impacts(now)

    def __call__(self, conn: Connection, fresh: Sequence[Fresh]) -> None:
        """Look at services just compiled; `conn` has what is stored of them."""
        differing = [one for one in fresh if not one.same]
        impacts = self._impacts.of(conn, [(one.stored.stored_record, one.timeline) for one in differing])
        locked_out = self._locked_out(conn, differing)
        for one, impact in zip(differing, impacts, strict=True):
            its = one.stored.service
            if its.id in locked_out and (impact is None or impact.effect is not Effect.CUT):
                impact = Impact(Effect.CUT, CALLER_ID, self._now)
            self.tally.add(its.id, its.username, its.visp, impact)

    def _locked_out(self, conn: Connection, fresh: Sequence[Fresh]) -> set[int]:
        """The services among them that are online with a device to which their new caller-id lock does not give way."""
        locks: dict[int, str] = {}
        for one in fresh:
            packed = one.stored.stored_record
            if packed is not None:
                before, lock = record.entry(packed), record.entry(one.packed).caller_lock
                allowed = record.step_at(packed, before, self._now).verdict == Verdict.ALLOW
                if allowed and lock and lock != before.caller_lock:
                    locks[one.stored.service.id] = lock
        if not locks:
            return set()
        live = select(session.c.service_id, session.c.calling_station_id).where(
            session.c.closed_at.is_(None), dialect.among(conn, session.c.service_id, locks)
        )
        return {
            row.service_id
            for row in conn.execute(live)
            if device_of(row.calling_station_id) not in ("", locks[row.service_id])
        }


def look(conn: Connection, ids: Sequence[int], now: int, onlooker: Onlooker) -> None:
    """Show these services to an onlooker as the open transaction would compile them, without locks; store nothing."""
    policies, leases = Policies(conn), Leases(conn)
    for at in range(0, len(ids), CHUNK):
        onlooker(conn, compile_services(conn, ids[at : at + CHUNK], policies, leases, now))


def foresee(db: Database, ahead: Ahead, now: int, progress: Progress = lambda done, total: None) -> tuple[Tally, int]:
    """What a rolled back change would do to the services that its job would compile, and how many those are.

    Reads in short transactions, without locks: nobody waits, and each service is seen as it is at that moment.
    """
    onlooker = Onlooker(now)
    seen = set(ahead.touched)
    total = 0
    if ahead.scopes:
        with db.read() as conn:
            total = sum(facts.count_services_in(conn, *scope) for scope in ahead.scopes)
    done = reached = 0
    for level, scope_id in ahead.scopes:
        last = 0
        while True:
            with db.read() as conn:
                found = facts.services_in(level, scope_id, after=last, limit=CHUNK)
                ids = list(conn.execute(found.where(service.c.id <= ahead.last)).scalars())
                wanted = [one for one in ids if one not in seen]
                leases = Leases(conn, ahead.pools)
                onlooker(conn, compile_services(conn, wanted, ahead.policies, leases, now, catalogue=ahead.catalogue))
            seen.update(wanted)
            done, reached = done + len(ids), reached + len(wanted)
            progress(done, total)
            if len(ids) < CHUNK:
                break
            last = ids[-1]
    return onlooker.tally, reached


def previewed(db: Database, ahead: Ahead, now: int, progress: Progress = lambda done, total: None) -> Preview:
    """The preview of a change that was rolled back with Rehearsed."""
    rest, reached = foresee(db, ahead, now, progress)
    tally = Tally([*ahead.known.affected, *rest.affected])
    return Preview.of(db, tally, reached + len(ahead.touched), ahead.created, ahead.settings, now)


def too_many(db: Database, conn: Connection, service_ids: Sequence[int], now: int) -> list[int]:
    """Those of these services that an open change would cut off, if they are too many; else none (R8.4)."""
    settings = read_settings(conn)
    if len(service_ids) <= settings.cut_off_limit_least:
        return []
    onlooker = Onlooker(now)
    look(conn, service_ids, now, onlooker)
    cut = [one.service_id for one in onlooker.tally.affected if one.impact.effect is Effect.CUT]
    if len(cut) <= settings.cut_off_limit_least or len(cut) <= limit(count_allowed(db, now), settings):
        return []
    return cut


def count_allowed(db: Database, now: int) -> int:
    """How many services are allowed by what is committed. In a transaction of its own, so that an open change, which
    may have stored what it would do, does not count.
    """
    allowed = 0
    with db.read() as conn:
        since = held_since(conn)
        stored = select(access.c.record).where(access.c.record.is_not(None))
        for packed in conn.execute(stored, execution_options={"yield_per": _READ}).scalars():
            if packed is not None:
                head = record.entry(packed)
                step = record.step_held(packed, head, now, since) if since else record.step_at(packed, head, now)
                allowed += int(step.verdict == Verdict.ALLOW)
    return allowed


def _values(rows: Any) -> dict[int, tuple[Any, ...]]:
    return {row_id: tuple(row) for row_id, row in rows.items()}
