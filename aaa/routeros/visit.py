"""A visit to one router: compare, mend or report, and write down how it stands (shell)."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

from sqlalchemy import case, select

from aaa import clock
from aaa.clock import SECOND
from aaa.domain.settings import Settings
from aaa.routeros import lease
from aaa.routeros.client import Client, LoginRefused, RouterAway, Trap
from aaa.routeros.known import Ports, read_box, read_rules
from aaa.routeros.operations import Add, Move, Operation, Remove, Set
from aaa.routeros.peer import NoApi, where
from aaa.routeros.reconcile import Comparison, NotApplied, apply, compare, compare_with_nothing
from aaa.routeros.wanted import Box, Rules
from aaa.store.database import Database
from aaa.store.seal import SealBroken, Sealer
from aaa.store.settings import read_settings
from aaa.store.tables import nas, router

_log: Final = logging.getLogger(__name__)

Work = Literal["repair", "report", "remove"]
State = Literal["in_step", "drifted", "offline", "failed", "removed"]
"""As `router.state` has them; `new` is one that was never visited, and `removed` one that is left alone."""

_LEASE: Final = 60
_RENEWED: Final = 20.0
"""Seconds; one operation takes no longer than the rest of the lease."""
_FIRST_RETRY: Final = 10
_LAST_RETRY: Final = 300
_DETAIL: Final = 1000
_SIGNS: Final = {Add: "added", Set: "set", Remove: "removed", Move: "moved"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a router stands after a visit, and what was done to it, or would have to be."""

    state: State
    detail: str
    version: str | None
    operations: Sequence[Operation] = ()


class Lost(Exception):
    """Somebody else works on the router now."""


LookAtLists = Callable[[int, bool], str]
"""Compares the entries of live sessions on a router, by nas id, and with True mends what differs; returns that, '' for
nothing. Raises RouterAway, Trap."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who visits routers: with what, in whose name routers are held meanwhile, and who looks at lists there."""

    db: Database
    keys: Sealer
    ports: Ports
    holder: str
    look_at_lists: LookAtLists

    def plan(self, nas_id: int) -> Comparison:
        """What would change. Raises RouterAway, Trap, SealBroken."""
        known = self._known(nas_id)
        client = self._connect(nas_id)
        try:
            return compare(client, *known)
        finally:
            client.close()

    def visit(self, nas_id: int, work: Work | None = None) -> Outcome | None:
        """Bring the router into step, or say how it differs: as settings have it, unless `work` says. None: another
        process is at it.
        """
        now = clock.now()
        if not lease.take(self.db, nas_id, "rules", self.holder, now, _LEASE):
            return None
        try:
            # What is changed from now on makes it due again, and this visit will not say otherwise.
            self._due(nas_id, now + _LEASE * SECOND)
            outcome = self._work(nas_id, work)
            self._note(nas_id, outcome, now + _LEASE * SECOND)
        except Lost:
            return None
        finally:
            lease.let_go(self.db, nas_id, "rules", self.holder)
        return outcome

    def _work(self, nas_id: int, work: Work | None) -> Outcome:
        version: str | None = None
        try:
            known = self._known(nas_id)
            client = self._connect(nas_id)
            try:
                chosen = work or known[0].settings.router_drift
                look = partial(compare_with_nothing, client) if work == "remove" else partial(compare, client, *known)
                found = look()
                version = found.version
                outcome = self._mend(nas_id, client, found, chosen, look)
            finally:
                client.close()
            return self._with_lists(nas_id, outcome, chosen)
        except (LoginRefused, NoApi, NotApplied, Trap, SealBroken) as error:
            return Outcome("failed", str(error), version)
        except RouterAway as error:
            return Outcome("offline", str(error), version)

    def _mend(
        self, nas_id: int, client: Client, found: Comparison, work: Work, look: Callable[[], Comparison]
    ) -> Outcome:
        operations = found.operations
        if operations and work != "report":
            apply(client, operations, _Keep(self, nas_id))
            left = look().operations
            if left:
                return Outcome("failed", f"still differs: {summary(left)}", found.version, operations)
        if work == "remove":
            return Outcome("removed", summary(operations), found.version, operations)
        state: State = "drifted" if operations and work == "report" else "in_step"
        return Outcome(state, summary(operations), found.version, operations)

    def _with_lists(self, nas_id: int, outcome: Outcome, work: Work) -> Outcome:
        if outcome.state not in ("in_step", "drifted"):
            return outcome
        lists = self.look_at_lists(nas_id, work == "repair")
        if not lists:
            return outcome
        state: State = "drifted" if work == "report" else outcome.state
        return replace(outcome, state=state, detail="; ".join(one for one in (outcome.detail, lists) if one))

    def _connect(self, nas_id: int) -> Client:
        return Client(where(self.db, self.keys, nas_id))

    def _known(self, nas_id: int) -> tuple[Rules, Box]:
        with self.db.read() as conn:
            return read_rules(conn), read_box(conn, self.keys, nas_id, self.ports)

    def _due(self, nas_id: int, at: int) -> None:
        with self.db.write() as conn:
            conn.execute(router.update().where(router.c.nas_id == nas_id).values(due_at=at))

    def _note(self, nas_id: int, outcome: Outcome, unless_due: int) -> None:
        now = clock.now()
        with self.db.write() as conn:
            settings = read_settings(conn)
            was: Any = conn.execute(
                select(router.c.state, router.c.failures, nas.c.name)
                .join(nas, nas.c.id == router.c.nas_id)
                .where(router.c.nas_id == nas_id)
            ).one()
            failed = outcome.state in ("offline", "failed")
            failures = was.failures + 1 if failed else 0
            at = now + _pause(settings, failures) * SECOND
            values: dict[str, Any] = {
                "state": outcome.state,
                "detail": outcome.detail[:_DETAIL],
                "checked_at": now,
                "failures": failures,
                "due_at": case((router.c.due_at == unless_due, at), else_=router.c.due_at),
            }
            if outcome.version is not None:
                values["version"] = outcome.version[:64]
            if outcome.state == "in_step":
                values["in_step_at"] = now
            conn.execute(router.update().where(router.c.nas_id == nas_id).values(values))
        if outcome.state != was.state or (outcome.operations and outcome.state != "drifted"):
            level = logging.INFO if outcome.state in ("in_step", "removed") else logging.WARNING
            _log.log(level, "router=%s state=%s %s", was.name, outcome.state, outcome.detail or "nothing to change")


class _Keep:
    """Holds the router while it is worked on."""

    def __init__(self, visitor: Visitor, nas_id: int) -> None:
        self._visitor = visitor
        self._nas_id = nas_id
        self._renewed = clock.monotonic()

    def __call__(self) -> None:
        if clock.monotonic() - self._renewed > _RENEWED:
            its = self._visitor
            if not lease.take(its.db, self._nas_id, "rules", its.holder, clock.now(), _LEASE):
                raise Lost
            self._renewed = clock.monotonic()


def summary(operations: Sequence[Operation]) -> str:
    """`3 added, 1 moved`; '' for nothing."""
    counts = Counter(_SIGNS[type(operation)] for operation in operations)
    return ", ".join(f"{counts[sign]} {sign}" for sign in _SIGNS.values() if counts[sign])


def _pause(settings: Settings, failures: int) -> int:
    """Seconds to the next visit."""
    if failures == 0:
        return settings.router_check_minutes * 60
    return min(_LAST_RETRY, _FIRST_RETRY << min(failures - 1, 10))
