"""From facts to what RADIUS serves: compile timelines and store what changed (shell).

A timeline that says what is stored already writes nothing. A replaced one is kept in `timeline_history` with the event
that replaced it, and every live session of the service gets an `enforcement` row: "plan this session again".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, select

from aaa.clock import DAY, SECOND
from aaa.commands import held
from aaa.debit.compile import HORIZON, Compiled, compile
from aaa.debit.controls.definitions import definitions
from aaa.debit.impact import HOUR
from aaa.debit.policy import NO_LEASES, Policy, resolve_policy
from aaa.debit.reply import as_stored
from aaa.debit.rules import money
from aaa.debit.rules.case import Case
from aaa.domain.billing_period import period_of
from aaa.domain.local_day import local_day
from aaa.domain.rank import rank
from aaa.domain.service import Param, Service
from aaa.domain.timeline import Profile, Timeline
from aaa.domain.usage import Threshold
from aaa.radius.dictionary import load
from aaa.store import dialect, facts, record
from aaa.store.holds import held_since
from aaa.store.leases import Leases
from aaa.store.settings import read_settings
from aaa.store.tables import access, enforcement, profile, session, timeline_history
from aaa.store.thresholds import store_thresholds

CHUNK: Final = 1_000
_REFRESH: Final = (
    access.update()
    .where(access.c.service_id == bindparam("of"))
    .values(record=bindparam("now"), feed=dialect.feed_mark())
)


class Cause(NamedTuple):
    """Why services are compiled: a word for logs, and the event."""

    kind: str
    event: int


class Fresh(NamedTuple):
    """A service compiled: what is stored of it, the timeline of its facts, the record of it and the profiles that the
    record names. `same`: the stored record says so already; `refreshed` is that with what its quotas say was used by
    now, None if it is up to date. `thresholds` are what accounting must notice. `released`: its cut need not wait any
    longer.
    """

    stored: facts.ServiceFacts
    timeline: Timeline
    packed: bytes
    profiles: Mapping[int, Profile]
    same: bool
    refreshed: bytes | None
    thresholds: tuple[Threshold, ...]
    released: bool


Onlooker = Callable[[Connection, Sequence[Fresh]], None]
"""Is shown what changes, while the database still has what was stored."""


def recompile(
    conn: Connection,
    service_ids: Sequence[int],
    *,
    now: int,
    causes: Mapping[int, Cause],
    onlooker: Onlooker | None = None,
) -> int:
    """Compile these services, which the caller holds locked; returns how many timelines changed."""
    if not service_ids:
        return 0
    policies = Policies(conn)
    leases = Leases(conn)
    changed = 0
    for at in range(0, len(service_ids), CHUNK):
        fresh = compile_services(conn, service_ids[at : at + CHUNK], policies, leases, now, settling=True)
        held.release(conn, [one.stored.service.id for one in fresh if one.released])
        due = [one for one in fresh if not one.same or _at_horizon(one.stored, now)]
        if onlooker is not None:
            onlooker(conn, due)
        store_thresholds(conn, {one.stored.service.id: one.thresholds for one in fresh})
        _store(conn, due, now, causes)
        _refresh(conn, [one for one in fresh if one.same and not _at_horizon(one.stored, now)])
        changed += len(due)
    return changed


class Policies:
    """Resolved policies, one for each set of params met; good for one transaction. So is `held_since`, since when cuts
    are held (0: they are not): services are compiled as of that instant then, the last that a clock vouches for (R8.4).
    """

    def __init__(self, conn: Connection) -> None:
        self.held_since = held_since(conn)
        self._facts = facts.read_policy(conn)
        self._definitions = definitions(self._facts.controls, as_stored)
        self._settings = read_settings(conn)
        self._resolved: dict[facts.Place, Policy] = {}

    def of(self, found: facts.ServiceFacts, own: tuple[Param, ...]) -> Policy:
        """The policy of one service; `own` are the params set on itself."""
        if not own and found.place in self._resolved:
            return self._resolved[found.place]
        params = (*self._facts.along(found.place), *own)
        one = found.service
        policy = resolve_policy(
            params,
            self._definitions,
            currency=one.currency,
            plan=one.plan,
            plan_reply=one.plan_reply,
            settings=self._settings,
        )
        if not own:
            self._resolved[found.place] = policy
        return policy


def compile_services(
    conn: Connection,
    ids: Sequence[int],
    policies: Policies,
    leases: Leases,
    now: int,
    *,
    settling: bool = False,
    catalogue: facts.Catalogue | None = None,
    confirmed: bool = False,
) -> list[Fresh]:
    """Compile these services as their facts are now, under `policies`, and store no timeline; those that are gone are
    left out. They have the addresses that `leases` has for them; `settling` gives them those that they want.
    `catalogue` has VISPs and plans other than those of the database. Where a cut waits for a confirmation money does
    not count, unless they are `confirmed`; all other rules do (R8.4).
    """
    now = policies.held_since or now
    found = facts.read_services(conn, ids, catalogue)
    own = facts.read_user_params(conn, {one.service.id: one.service.username for one in found})
    resolved = {one.service.id: policies.of(one, own.get(one.service.id, ())) for one in found}
    limited = [one.service for one in found if resolved[one.service.id].fup is not None]
    usage = facts.read_usage(conn, {one.id: _period_since(one, now) for one in limited})
    leased = leases.read([one.service.id for one in found])
    waiting = set() if confirmed else held.held_among(conn, ids)
    spared = {
        one.service.id
        for one in found
        if one.service.id in waiting
        and money.blocks(Case(resolved[one.service.id], one.service, one.standing, (), now, now + HOUR))
    }

    def one_of(one: facts.ServiceFacts, addresses: Mapping[str, str]) -> Compiled:
        number = one.service.id
        standing = money.spared(one.standing) if number in spared else one.standing
        return compile(resolved[number], one.service, standing, now, usage.get(number, ()), addresses)

    compiled = {one.service.id: one_of(one, leased.get(one.service.id, NO_LEASES)) for one in found}
    if settling:
        given = leases.settle({number: its.ip_pools for number, its in compiled.items()}, now)
        compiled |= {one.service.id: one_of(one, given[one.service.id]) for one in found if one.service.id in given}
    released = waiting - spared
    return [_fresh(one, compiled[one.service.id], now, one.service.id in released) for one in found]


def _fresh(one: facts.ServiceFacts, compiled: Compiled, now: int, released: bool) -> Fresh:
    packed, named = record.pack(
        one.service.id,
        one.stored_version + 1,
        compiled.timeline,
        sealed=one.sealed,
        simultaneous_use=compiled.simultaneous_use,
        caller_lock=compiled.caller_lock,
        mac_auth=one.service.mac_auth,
        allowed_methods=compiled.allowed_methods,
        allowed_nas=compiled.allowed_nas,
        learns_caller=compiled.learns_caller,
        quotas=compiled.quotas,
    )
    same = one.stored_record is not None and record.agrees(one.stored_record, packed, now)
    refreshed = record.refreshed(one.stored_record, packed) if same and one.stored_record is not None else None
    return Fresh(one, compiled.timeline, packed, named, same, refreshed, compiled.thresholds, released)


def case_of(conn: Connection, service_id: int, at: int) -> Case:
    """One service as it is now, for its rules to be asked of `at`."""
    [one] = facts.read_services(conn, [service_id])
    own = facts.read_user_params(conn, {service_id: one.service.username}).get(service_id, ())
    policy = Policies(conn).of(one, own)
    usage = facts.read_usage(conn, {service_id: _period_since(one.service, at)} if policy.fup is not None else {})
    return Case(policy, one.service, one.standing, usage.get(service_id, ()), at, at + HORIZON)


def _period_since(one: Service, now: int) -> int:
    """The first day of the billing period that holds `now`."""
    return period_of(local_day(now, one.timezone), one.billing_day)[0]


def _store(conn: Connection, changed: Sequence[Fresh], now: int, causes: Mapping[int, Cause]) -> None:
    if not changed:
        return
    profiles: dict[int, Profile] = {}
    for one in changed:
        profiles.update(one.profiles)
    rows = [
        {
            "service_id": one.stored.service.id,
            "visp_id": one.stored.visp_id,
            "username": one.stored.service.username,
            "version": one.stored.stored_version + 1,
            "record": one.packed,
            "next_due": next_due(one.timeline, one.stored.service.id, now),
        }
        for one in changed
    ]
    _store_profiles(conn, profiles)
    _store_history(conn, [one.stored for one in changed if one.stored.stored_record is not None], now, causes)
    _store_access(conn, rows, fresh=all(one.stored.stored_version == 0 for one in changed))
    request_enforcement(
        conn,
        {one.stored.service.id: one.stored.stored_version + 1 for one in changed},
        {one.stored.service.id: one.timeline.at(now).verdict for one in changed},
        now=now,
        causes=causes,
    )


def _refresh(conn: Connection, same: Sequence[Fresh]) -> None:
    """What was used of a quota is no new verdict: the record keeps its version, and nobody online is planned again."""
    rows = [{"of": one.stored.service.id, "now": one.refreshed} for one in same if one.refreshed is not None]
    if rows:
        conn.execute(_REFRESH, rows)


def next_due(timeline: Timeline, service_id: int, now: int) -> int:
    """When the engine must look again: the next step, or the renewal of the horizon."""
    renewal = renewal_at(timeline.start, timeline.horizon, service_id)
    change = timeline.next_change(now)
    return renewal if change is None else min(change, renewal)


def renewal_at(start: int, horizon: int, service_id: int) -> int:
    """When a timeline over [start, horizon) is compiled anew: 5 to 10 days ahead of its horizon, by service, and never
    in its first half.
    """
    ahead = 5 * DAY + (service_id * 2_654_435_761 % 432_000) * SECOND
    return max(horizon - ahead, (start + horizon) // 2)


def _at_horizon(one: facts.ServiceFacts, now: int) -> bool:
    """Whether the stored timeline is due to be renewed even if it would say the same again."""
    if one.stored_record is None:
        return True
    head = record.entry(one.stored_record)
    return now >= renewal_at(record.step(one.stored_record, head, 0).start, head.horizon, one.service.id)


def _store_profiles(conn: Connection, profiles: Mapping[int, Profile]) -> None:
    known = set(conn.execute(select(profile.c.id).where(dialect.among(conn, profile.c.id, profiles))).scalars())
    dictionary = load()
    rows = [
        {"id": name, "attributes": record.profile_json(pairs), "encoded": dictionary.encode_profile(pairs)}
        for name, pairs in sorted(profiles.items())
        if name not in known
    ]
    if rows:
        conn.execute(dialect.upsert(conn, profile).on_conflict_do_nothing(), rows)


def _store_history(
    conn: Connection, replaced: Iterable[facts.ServiceFacts], now: int, causes: Mapping[int, Cause]
) -> None:
    rows = [
        {
            "service_id": one.service.id,
            "version": one.stored_version,
            "record": one.stored_record,
            "replaced_at": now,
            "event_id": causes[one.service.id].event,
        }
        for one in replaced
    ]
    dialect.insert_many(conn, timeline_history, rows)


def _store_access(conn: Connection, rows: Sequence[Mapping[str, Any]], *, fresh: bool) -> None:
    if fresh:
        dialect.insert_many(conn, access, rows)
        return
    insert = dialect.upsert(conn, access)
    new = insert.excluded
    conn.execute(
        insert.on_conflict_do_update(
            index_elements=[access.c.service_id],
            set_={
                "version": new.version,
                "record": new.record,
                "next_due": new.next_due,
                "username": new.username,
                "visp_id": new.visp_id,
                "feed": dialect.feed_mark(),
            },
        ),
        rows,
    )


def request_enforcement(
    conn: Connection, versions: Mapping[int, int], verdicts: Mapping[int, int], *, now: int, causes: Mapping[int, Cause]
) -> int:
    """Ask that the live sessions of these services (id -> wanted version) be planned again; returns how many there are.
    Their `verdicts` now say who comes first.

    A newer wish overwrites an unsent one.
    """
    live = conn.execute(
        select(session.c.id, session.c.service_id, session.c.applied_verdict, session.c.lists)
        .where(session.c.closed_at.is_(None), dialect.among(conn, session.c.service_id, versions))
        .order_by(session.c.id)
    ).all()
    rows = [
        {
            "session_id": one.id,
            "service_id": one.service_id,
            "event_id": causes[one.service_id].event,
            "wanted_version": versions[one.service_id],
            "cause": causes[one.service_id].kind,
            "requested_at": now,
            "not_before": now,
            "tries": 0,
            "rank": rank(one.applied_verdict, verdicts[one.service_id], listed=one.lists is not None),
        }
        for one in live
    ]
    if rows:
        insert = dialect.upsert(conn, enforcement)
        conn.execute(
            insert.on_conflict_do_update(
                index_elements=[enforcement.c.session_id],
                set_={
                    name: insert.excluded[name]
                    for name in ("event_id", "wanted_version", "cause", "requested_at", "not_before", "tries", "rank")
                }
                | {"feed": dialect.feed_mark()},
            ),
            rows,
        )
    return len(rows)
