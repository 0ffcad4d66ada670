"""What `compile` works on: services with their standing, and the params and controls that reach them (shell)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, Table, func, select

from aaa.debit.params import of_plan
from aaa.domain.service import SERVER, Level, Param, Scope, Service, Status
from aaa.domain.standing import Due, Standing
from aaa.domain.suspension import Repeat, Suspension
from aaa.domain.timeline import Profile
from aaa.domain.usage import DayUsage, Usage
from aaa.store import dialect
from aaa.store.tables import (
    access,
    account,
    center,
    control,
    param,
    plan,
    reseller,
    service,
    service_class,
    suspension,
    usage_day,
    visp,
)

Place = tuple[tuple[Level, int], ...]
"""Where a service hangs in the tree of scopes: (level, id) pairs, weakest first, without the server and the user."""


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """One service as stored: policy's view of it, its account's standing, its place, its sealed password, its present
    access row.
    """

    service: Service
    standing: Standing
    place: Place
    sealed: bytes
    visp_id: int
    stored_version: int
    stored_record: bytes | None
    stored_due: int | None


class Catalogue(NamedTuple):
    """Rows of VISPs and plans by id, apart from the transaction that they were read in."""

    visps: Mapping[int, Any]
    plans: Mapping[int, Any]


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """Every param above the user level by (level, id), and every control object by (kind, name)."""

    params: Mapping[tuple[Level, int], tuple[Param, ...]]
    controls: Mapping[tuple[str, str], Any]

    def along(self, place: Place) -> tuple[Param, ...]:
        """The params that a service in `place` meets, weakest scope first."""
        found = list(self.params.get((Level.SERVER, 0), ()))
        for scope in place:
            found.extend(self.params.get(scope, ()))
        return tuple(found)


def standing_of(account_id: int, row: Any) -> Standing:
    """The Standing in a row with `account`'s columns of it."""
    return Standing(
        account_id=account_id,
        currency=row.currency,
        seq=row.seq,
        debt=row.debt,
        credit=row.credit,
        last_payment_at=row.last_payment_at,
        debt_since=row.debt_since,
        dues=tuple([Due(*due) for due in row.dues]),
        promise_until=row.promise_until,
    )


def standing_values(standing: Standing) -> dict[str, Any]:
    """The column values of `account` that hold a Standing."""
    return {
        "seq": standing.seq,
        "debt": standing.debt,
        "credit": standing.credit,
        "last_payment_at": standing.last_payment_at,
        "debt_since": standing.debt_since,
        "dues": [[due.id, due.due_at, due.remaining] for due in standing.dues],
        "promise_until": standing.promise_until,
    }


_SERVICES: Final = (
    select(
        service,
        account.c.currency,
        account.c.seq,
        account.c.debt,
        account.c.credit,
        account.c.last_payment_at,
        account.c.debt_since,
        account.c.dues,
        account.c.promise_until,
        account.c.billing_day,
        account.c.acknowledged_at,
        access.c.version,
        access.c.record,
        access.c.next_due,
    )
    .join(account, service.c.account_id == account.c.id)
    .outerjoin(access, access.c.service_id == service.c.id)
)
_LEVEL_COLUMNS: Final = {
    Level.CENTER: "center_id",
    Level.VISP: "visp_id",
    Level.RESELLER: "reseller_id",
    Level.PLAN: "plan_id",
    Level.CLASS: "class_id",
    Level.USER: "id",
}
SCOPE_COLUMNS: Final = frozenset(_LEVEL_COLUMNS.values()) - {"id"}
"""The columns of `service` that say which scopes it is in."""


def read_catalogue(conn: Connection) -> Catalogue:
    """Every VISP and plan."""
    return Catalogue(*({row.id: row for row in conn.execute(select(table))} for table in (visp, plan)))


def read_services(conn: Connection, ids: Sequence[int], catalogue: Catalogue | None = None) -> list[ServiceFacts]:
    """The services with these ids, in id order; call it under their locks. `catalogue`: VISPs and plans other than
    those of the database.
    """
    rows = conn.execute(_SERVICES.where(dialect.among(conn, service.c.id, ids)).order_by(service.c.id)).all()
    # few VISPs and plans for many services
    visps, plans = catalogue or Catalogue(
        _by_id(conn, visp, {row.visp_id for row in rows}),
        _by_id(conn, plan, {row.plan_id for row in rows if row.plan_id is not None}),
    )
    suspensions = read_suspensions(conn, ids)
    replies = {plan_id: _reply(one.reply) for plan_id, one in plans.items()}
    return [
        _service_facts(
            row,
            visps[row.visp_id],
            plans.get(row.plan_id),
            replies.get(row.plan_id, ()),
            tuple(suspensions.get(row.id, {}).values()),
        )
        for row in rows
    ]


def read_suspensions(conn: Connection, ids: Collection[int]) -> dict[int, dict[int, Suspension]]:
    """The suspensions of these services that nobody lifted, in the order they were made: service id -> id -> it."""
    unlifted = select(suspension).where(suspension.c.lifted_at.is_(None))
    found: dict[int, dict[int, Suspension]] = {}
    for row in conn.execute(
        unlifted.where(dialect.among(conn, suspension.c.service_id, ids)).order_by(suspension.c.id)
    ):
        one = Suspension(row.reason, row.from_at, row.to_at, Repeat(row.repeat), row.suspend_invoicing)
        found.setdefault(row.service_id, {})[row.id] = one
    return found


def read_usage(conn: Connection, since: Mapping[int, int]) -> dict[int, Usage]:
    """The use of these services from a day on, by service id; `since` gives that day of each."""
    if not since:
        return {}
    within = select(usage_day).where(
        dialect.among(conn, usage_day.c.service_id, since), usage_day.c.day >= min(since.values())
    )
    found: dict[int, list[DayUsage]] = {}
    for service_id, day, up, down, seconds in conn.execute(within):
        if day >= since[service_id]:
            found.setdefault(service_id, []).append(DayUsage(day, up, down, seconds))
    return {service_id: tuple(days) for service_id, days in found.items()}


def _by_id(conn: Connection, table: Table, ids: Collection[int]) -> dict[int, Any]:
    return {row.id: row for row in conn.execute(select(table).where(dialect.among(conn, table.c.id, ids)))}


def _reply(stored: Mapping[str, Any]) -> Profile:
    return tuple((name, _value(value)) for name, value in stored.items())


def _value(stored: Any) -> Any:
    """A list as a tuple: values are parts of profiles, which are hashed."""
    return tuple(stored) if isinstance(stored, list) else stored


def _service_facts(
    row: Any, its_visp: Any, its_plan: Any, reply: Profile, suspensions: tuple[Suspension, ...]
) -> ServiceFacts:
    found = Service(
        id=row.id,
        account_id=row.account_id,
        username=row.username,
        visp=its_visp.name,
        currency=row.currency,
        timezone=its_visp.timezone,
        plan=its_plan.name if its_plan is not None else None,
        plan_reply=reply,
        static_ip=row.static_ip,
        mac=row.mac,
        mac_auth=row.mac_auth,
        active_to=row.active_to,
        suspensions=suspensions,
        exempt_until=row.exempt_until,
        dont_show_overdue=row.dont_show_overdue,
        billing_day=row.billing_day,
        acknowledged_at=row.acknowledged_at,
    )
    scopes = (
        (Level.CENTER, row.center_id),
        (Level.VISP, row.visp_id),
        (Level.RESELLER, row.reseller_id),
        (Level.PLAN, row.plan_id),
        (Level.CLASS, row.class_id),
    )
    return ServiceFacts(
        service=found,
        standing=standing_of(row.account_id, row),
        place=tuple([scope for scope in scopes if scope[1] is not None]),
        sealed=row.password,
        visp_id=row.visp_id,
        stored_version=row.version or 0,
        stored_record=row.record,
        stored_due=row.next_due,
    )


def read_policy(conn: Connection) -> PolicyFacts:
    """The params above the user level, and the controls: few rows, read once for a whole batch."""
    names = {level: _names(conn, table) for level, table in _NAMED_LEVELS.items()}
    rows = conn.execute(select(param).where(param.c.level != Level.USER.name.lower())).mappings()
    found: dict[tuple[Level, int], list[Param]] = {}
    for row in rows:
        level = Level[row["level"].upper()]
        name = names[level][row["scope_id"]] if level in names else ""
        found.setdefault((level, row["scope_id"]), []).append(_param(row, Scope(level, name)))
    controls = {(row.kind, row.name): row.value for row in conn.execute(select(control))}
    return PolicyFacts({scope: tuple(params) for scope, params in found.items()}, controls)


def read_user_params(conn: Connection, usernames: Mapping[int, str]) -> dict[int, tuple[Param, ...]]:
    """The params set on single services, by service id; `usernames` maps the ids wanted to their scope names."""
    rows = conn.execute(
        select(param).where(param.c.level == Level.USER.name.lower(), dialect.among(conn, param.c.scope_id, usernames))
    ).mappings()
    found: dict[int, list[Param]] = {}
    for row in rows:
        found.setdefault(row["scope_id"], []).append(_param(row, Scope(Level.USER, usernames[row["scope_id"]])))
    return {service_id: tuple(params) for service_id, params in found.items()}


def read_params(conn: Connection, service_id: int) -> tuple[Param, ...]:
    """Every param on the scopes that one service is in, its plan's own reply attributes among them."""
    [found] = read_services(conn, [service_id])
    one = found.service
    own = read_user_params(conn, {service_id: one.username}).get(service_id, ())
    return (*of_plan(one.plan, one.plan_reply), *read_policy(conn).along(found.place), *own)


_NAMED_LEVELS: Final[Mapping[Level, Table]] = {
    Level.CENTER: center,
    Level.VISP: visp,
    Level.RESELLER: reseller,
    Level.PLAN: plan,
    Level.CLASS: service_class,
}


def scope_name(conn: Connection, level: Level, scope_id: int) -> str:
    """A scope above the user as params name it: `server`, `visp:tehran`, …"""
    if level is Level.SERVER:
        return str(SERVER)
    table = _NAMED_LEVELS[level]
    return str(Scope(level, conn.execute(select(table.c.name).where(table.c.id == scope_id)).scalar_one()))


def _names(conn: Connection, table: Table) -> dict[int, str]:
    return {row.id: row.name for row in conn.execute(select(table.c.id, table.c.name))}


def _param(row: Mapping[Any, Any], scope: Scope) -> Param:
    return Param(scope, row["name"], _value(row["value"]), Status(row["status"]))


def services_in(level: Level, scope_id: int, *, after: int = 0, limit: int | None = None) -> Any:
    """A SELECT of the ids of the services that a scope reaches, above `after`, in order."""
    found = _within(select(service.c.id).where(service.c.id > after), level, scope_id).order_by(service.c.id)
    return found.limit(limit) if limit is not None else found


def count_services_in(conn: Connection, level: Level, scope_id: int, *, to: int | None = None) -> int:
    """How many services a scope reaches; `to`: of those up to this id."""
    counted = _within(select(func.count()).select_from(service), level, scope_id)
    return int(conn.execute(counted if to is None else counted.where(service.c.id <= to)).scalar_one())


def _within(found: Select[Any], level: Level, scope_id: int) -> Select[Any]:
    return found if level is Level.SERVER else found.where(service.c[_LEVEL_COLUMNS[level]] == scope_id)


def controls_used(params: Iterable[Param]) -> set[tuple[str, str]]:
    """The (kind, name) of the control objects that params name."""
    return {(one.name, one.value) for one in params if isinstance(one.value, str)}
