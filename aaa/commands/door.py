"""The one door for every change (shell).

A change is one transaction: lock the account, then its services, in id order; write the facts; read them again under
the lock; compile; write `access`, `timeline_history` and `enforcement`; append `event`. So no stale timeline can win a
race, and what RADIUS serves is never older than the facts it was compiled from. Rows are locked for everything but
references to them, so that accounting goes on writing sessions of services that a change holds.

    with door.change(db, actor="cli:ana", now=now) as change:
        services = change.lock_account(account_id)
        ...write facts on change.conn...
        event = change.event("payment", f"account:{account_id}", before, after)
        change.touch(services, cause="payment", event=event)
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select

from aaa.commands import breaker, held
from aaa.commands.breaker import Guard, Rehearsed, look
from aaa.commands.recompile import Cause, Onlooker, recompile
from aaa.domain.service import Level
from aaa.store import dialect, facts
from aaa.store.database import Database
from aaa.store.tables import account, event, job, service

INLINE: Final = 1_000
"""A change whose scopes reach more services than this commits its facts with a job that recompiles in batches."""


@dataclass(slots=True)
class Change:
    """An open change: its transaction, who makes it, and when (UTC microseconds)."""

    conn: Connection
    actor: str
    now: int
    jobs: list[int] = field(default_factory=list)
    guard: Guard | None = None
    held: int = 0
    """How many cuts wait for a confirmation, of those that `hold_cuts` looked at."""
    _touched: dict[int, Cause] = field(default_factory=dict)
    _fresh: dict[int, Cause] = field(default_factory=dict)
    _scopes: dict[tuple[Level, int], Cause] = field(default_factory=dict)
    _scopes_locked: bool = False

    def lock_account(self, account_id: int) -> tuple[int, ...]:
        """Lock an account and its services; returns the services' ids."""
        return self.lock_accounts((account_id,))

    def lock_accounts(self, ids: Collection[int]) -> tuple[int, ...]:
        """Lock accounts, then their services, each in id order; returns the services' ids. Once in a change: whoever
        locks a second time, in whatever order, may wait for a change that waits for him.
        """
        wanted = sorted(ids)
        chunks = [wanted[at : at + INLINE] for at in range(0, len(wanted), INLINE)]
        for chunk in chunks:
            accounts = select(account.c.id).where(dialect.among(self.conn, account.c.id, chunk)).order_by(account.c.id)
            self.conn.execute(accounts.with_for_update(key_share=True)).all()
        locked: list[int] = []
        for chunk in chunks:
            owned = (
                select(service.c.id).where(dialect.among(self.conn, service.c.account_id, chunk)).order_by(service.c.id)
            )
            locked.extend(self.conn.execute(owned.with_for_update(key_share=True)).scalars())
        return tuple(locked)

    def lock_scopes(self) -> None:
        """Keep apart the changes that move services into scopes and those that change what a scope says: else each
        could miss the other. What does both, or locks accounts too, calls this first.
        """
        if not self._scopes_locked:
            dialect.lock_scopes(self.conn)
            self._scopes_locked = True

    def event(self, kind: str, subject: str, before: Any, after: Any) -> int:
        """Append to the audit log; returns the event's id."""
        row = {"at": self.now, "actor": self.actor, "kind": kind, "subject": subject, "before": before, "after": after}
        return int(self.conn.execute(event.insert().returning(event.c.id), row).scalar_one())

    def touch(self, services: Iterable[int], *, cause: str, event: int) -> None:
        """These services must be compiled anew when the change ends."""
        for service_id in services:
            if service_id not in self._fresh:
                self._touched[service_id] = Cause(cause, event)

    def touch_new(self, services: Iterable[int], *, cause: str, event: int) -> None:
        """These services were made by this change; however many they are, they are compiled in it. The scopes must have
        been locked before they were made.
        """
        for service_id in services:
            self._fresh[service_id] = Cause(cause, event)

    def touch_scope(self, level: Level, scope_id: int, *, cause: str, event: int) -> None:
        """Every service that a scope reaches must be compiled anew: at once if they are few, else by a job."""
        self.lock_scopes()
        self._scopes[level, scope_id] = Cause(cause, event)

    def hold_cuts(self, db: Database, services: Sequence[int], event: int) -> None:
        """Money was posted for these services, whose locks the change holds: if it cuts off too many of them, their cut
        waits for a confirmation (R8.4). Call it when all facts are written.
        """
        waiting = breaker.too_many(db, self.conn, services, self.now)
        held.hold(self.conn, waiting, event, self.now)
        self.held = len(waiting)

    def _finish(self) -> None:
        mass = self._mass()
        old = sorted(self._touched)
        if self.guard is None:
            self._compile(old)
        else:
            self._compile_guarded(self.guard, old, [scope for scope, _ in mass])
        self.jobs.extend(self._job(level, scope_id, cause) for (level, scope_id), cause in mass)
        recompile(self.conn, sorted(self._fresh), now=self.now, causes=self._fresh)
        dialect.notify(self.conn, "ledgate_feed")
        dialect.notify(self.conn, "ledgate_engine")

    def _mass(self) -> list[tuple[tuple[Level, int], Cause]]:
        """The scopes that are left to jobs; the services of the others are touched."""
        mass: list[tuple[tuple[Level, int], Cause]] = []
        everywhere = (Level.SERVER, 0)
        scopes = {everywhere: self._scopes[everywhere]} if everywhere in self._scopes else self._scopes
        for (level, scope_id), cause in scopes.items():
            # services made by this change are compiled with the new facts anyway
            most = INLINE + len(self._fresh) + 1
            reached = self.conn.execute(facts.services_in(level, scope_id, limit=most)).scalars()
            stored = [service_id for service_id in reached if service_id not in self._fresh]
            if len(self._touched) + len(stored) > INLINE:
                mass.append(((level, scope_id), cause))
            else:
                for service_id in stored:
                    self._touched.setdefault(service_id, cause)
        return mass

    def _compile(self, ids: Sequence[int], onlooker: Onlooker | None = None) -> None:
        lock_services(self.conn, ids)
        recompile(self.conn, ids, now=self.now, causes=self._touched, onlooker=onlooker)

    def _compile_guarded(self, guard: Guard, ids: Sequence[int], mass: Sequence[tuple[Level, int]]) -> None:
        """Compile unless too many would be cut off (R8.4). Raises CutsHeld, or Rehearsed where the guard must first see
        what a job would do.
        """
        created = len(self._fresh)
        if guard.rehearsing:
            look(self.conn, ids, self.now, guard.onlooker)
            raise Rehearsed(guard.ahead(self.conn, mass, ids, created))
        if mass and not guard.foresaw():
            raise Rehearsed(guard.ahead(self.conn, mass, ids, created))
        if not mass and not guard.could_trip(len(ids)):
            return self._compile(ids)
        self._compile(ids, guard.onlooker)
        confirmed = guard.decide(len(ids), created)
        if confirmed is not None:
            self.event("confirm-cut", "server", None, {"services": confirmed})

    def _job(self, level: Level, scope_id: int, cause: Cause) -> int:
        row = {
            "kind": cause.kind,
            "level": level.name.lower(),
            "scope_id": scope_id,
            "event_id": cause.event,
            "created_at": self.now,
        }
        return int(self.conn.execute(job.insert().returning(job.c.id), row).scalar_one())


@contextmanager
def change(db: Database, *, actor: str, now: int, guard: Guard | None = None) -> Iterator[Change]:
    """Open a change; what it touched is compiled and everything is committed at the end of the block, or nothing is.

    With a guard, it may end with CutsHeld or Rehearsed.
    """
    with db.write() as conn:
        opened = Change(conn, actor, now, guard=guard)
        if guard is not None:
            opened.lock_scopes()
            guard.open(conn)
        yield opened
        opened._finish()


def lock_services(conn: Connection, ids: Sequence[int]) -> None:
    """Lock the accounts of these services, then the services, each in id order."""
    for at in range(0, len(ids), INLINE):
        chunk = ids[at : at + INLINE]
        owners = select(service.c.account_id).where(dialect.among(conn, service.c.id, chunk))
        accounts = select(account.c.id).where(account.c.id.in_(owners)).order_by(account.c.id)
        conn.execute(accounts.with_for_update(key_share=True)).all()
        wanted = select(service.c.id).where(dialect.among(conn, service.c.id, chunk)).order_by(service.c.id)
        conn.execute(wanted.with_for_update(key_share=True)).all()
