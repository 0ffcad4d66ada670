"""A policy: what a set of params comes to. Services with the same params and plan share one. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from aaa.debit.controls.debit_control import DebitControl
from aaa.debit.controls.definitions import (
    DEBIT_CONTROL,
    FINISH_RULE,
    FUP_POLICY,
    OVERDUE_POLICY,
    SUSPEND_POLICY,
    Definitions,
)
from aaa.debit.controls.finish_rule import DENY, FINISH_CAUSES, Action, Deny, FinishRule
from aaa.debit.controls.fup_policy import FupPolicy
from aaa.debit.controls.overdue_policy import OverduePolicy
from aaa.debit.controls.suspend_policy import SuspendPolicy
from aaa.debit.params import (
    ALLOWED_METHODS,
    ALLOWED_NAS,
    CALLER_ID_LOCK,
    GIGABYTE,
    LOCK_OFF,
    LOGIN_TIME,
    SIMULTANEOUS_USE,
    BadParam,
    Effective,
    is_reply,
    of_plan,
    require_currency,
    resolve,
)
from aaa.debit.reply import (
    ADDRESS,
    ADDRESSING,
    DEFAULT_INTERIM,
    FRAMED_IP,
    FRAMED_POOL,
    INTERIM,
    RATE_LIMIT,
    is_ipv6,
)
from aaa.domain.login_time import LoginTime
from aaa.domain.method import mask
from aaa.domain.service import Param
from aaa.domain.settings import DEFAULTS, Settings
from aaa.domain.timeline import AttributeValue, Cause, Profile, Verdict, profile

NO_LEASES: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Grant:
    """A verdict and what the router is told with it.

    `profile` is for a service without a static address; for one with it, the address goes between the two parts of
    `around` (None: the verdict sends no static address). With an `ip_pool` the address from that pool goes there
    instead, and without one none (R3.3).
    """

    verdict: Verdict
    profile: Profile
    around: tuple[Profile, Profile] | None = None
    ip_pool: str = ""

    def profile_with(self, static_ip: str | None, leased: Mapping[str, str] = NO_LEASES) -> Profile:
        """The profile for a service with this static address, or without one, and with these addresses by pool."""
        address = leased.get(self.ip_pool) if self.ip_pool else static_ip
        if address is None or self.around is None:
            return self.profile
        before, after = self.around
        return (*before, (FRAMED_IP, address), *after)

    def with_attribute(self, name: str, value: AttributeValue) -> "Grant":
        """The same with one attribute set anew, which is not part of an address."""

        def changed(pairs: Profile) -> Profile:
            return profile([*(pair for pair in pairs if pair[0] != name), (name, value)])

        if self.around is None:
            return Grant(self.verdict, changed(self.profile))
        before, after = self.around
        if name < FRAMED_IP:
            return Grant(self.verdict, changed(self.profile), (changed(before), after), self.ip_pool)
        return Grant(self.verdict, changed(self.profile), (before, changed(after)), self.ip_pool)


REFUSED: Final = Grant(Verdict.DENY, ())


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides access apart from the service itself, its account's standing, its usage and the time.

    Each control in force has the scope it was set on beside it. `blocked` has a grant for every cause that a FinishRule
    can name, and `suspended` those for suspensions of single reasons. `gigabyte` is in octets. `simultaneous_use` 0 is
    no limit; `allowed_methods` are bits of aaa.domain.method, 0 for any; `allowed_nas` names of routers, empty for any;
    `caller_id_lock` is off, learn, a MAC address, or empty.
    """

    allow: Grant
    blocked: Mapping[Cause, Grant]
    suspended: Mapping[str, Grant]
    debit: DebitControl | None = None
    debit_scope: str = ""
    suspend: SuspendPolicy | None = None
    suspend_scope: str = ""
    overdue: OverduePolicy | None = None
    overdue_scope: str = ""
    fup: FupPolicy | None = None
    fup_scope: str = ""
    login_time: LoginTime | None = None
    login_time_scope: str = ""
    gigabyte: int = 10**9
    simultaneous_use: int = 0
    allowed_methods: int = 0
    allowed_nas: tuple[str, ...] = ()
    caller_id_lock: str = ""

    def caller_lock(self, mac: str | None) -> str:
        """The only device that may log in, for a service with this `mac` of its own: its MAC address, LOCK_LEARN while
        the first to come is yet to be learnt, or empty for any. The service's own goes before the param, but for
        LOCK_OFF.
        """
        if self.caller_id_lock == LOCK_OFF:
            return ""
        return mac or self.caller_id_lock

    def grant(self, cause: Cause | None, kind: str = "") -> Grant:
        """What a service gets for a cause; None: no cause holds. `kind` is the reason of a suspension."""
        if cause is None:
            return self.allow
        if cause is Cause.SUSPENDED and kind in self.suspended:
            return self.suspended[kind]
        return self.blocked.get(cause, REFUSED)

    def reduced(self, rate: str) -> Grant:
        """The internet, at this Mikrotik-Rate-Limit (R6.1)."""
        return self.allow.with_attribute(RATE_LIMIT, rate)


def resolve_policy(
    params: Iterable[Param],
    definitions: Definitions,
    *,
    currency: str,
    plan: str | None = None,
    plan_reply: Profile = (),
    settings: Settings = DEFAULTS,
) -> Policy:
    """The policy of every service with these params (those on all its scopes), this plan and this VISP's currency.

    A plan's reply attributes act as params on the plan's scope. No OverduePolicy is in force where reminders cannot be
    shown (R5.1). Raises BadParam if a control that counts does not exist, or counts in another currency.
    """
    effective = resolve((*of_plan(plan, plan_reply), *params))

    def scope(name: str) -> str:
        return str(effective[name].scope) if name in effective else ""

    def value(name: str, default: Any) -> Any:
        return effective[name].value if name in effective else default

    debit: DebitControl | None = _definition(effective, DEBIT_CONTROL, definitions)
    if debit is not None:
        require_currency(debit, currency, f"{scope(DEBIT_CONTROL)} {DEBIT_CONTROL}")
    rule: FinishRule | None = _definition(effective, FINISH_RULE, definitions)
    overdue: OverduePolicy | None = _definition(effective, OVERDUE_POLICY, definitions)
    login_time = value(LOGIN_TIME, None)
    reply: dict[str, AttributeValue] = {name: found.value for name, found in effective.items() if is_reply(name)}
    return Policy(
        allow=_granted(Verdict.ALLOW, reply),
        blocked={cause: _finish(rule.action(cause) if rule else DENY, reply) for cause in FINISH_CAUSES},
        suspended={reason: _finish(action, reply) for reason, action in rule.suspended.items()} if rule else {},
        debit=debit,
        debit_scope=scope(DEBIT_CONTROL),
        suspend=_definition(effective, SUSPEND_POLICY, definitions),
        suspend_scope=scope(SUSPEND_POLICY),
        overdue=overdue if settings.reminders else None,
        overdue_scope=scope(OVERDUE_POLICY),
        fup=_definition(effective, FUP_POLICY, definitions),
        fup_scope=scope(FUP_POLICY),
        login_time=None if login_time is None else LoginTime(tuple(login_time)),
        login_time_scope=scope(LOGIN_TIME),
        gigabyte=value(GIGABYTE, 10**9),
        simultaneous_use=value(SIMULTANEOUS_USE, 0),
        allowed_methods=mask(value(ALLOWED_METHODS, ())),
        allowed_nas=tuple(value(ALLOWED_NAS, ())),
        caller_id_lock=value(CALLER_ID_LOCK, ""),
    )


def _definition(effective: Mapping[str, Effective], kind: str, known: Definitions) -> Any:
    found = effective.get(kind)
    if found is None:
        return None
    if found.value not in known.of(kind):
        raise BadParam(f"{found.scope} {kind}", f"there is no {kind} called {found.value!r}")
    return known.of(kind)[found.value]


def _finish(action: Action, reply: Mapping[str, AttributeValue]) -> Grant:
    """What remains of an allowed service's reply, and what the action puts in its place (R3.3).

    IPv6 goes, and so do routes to other networks: only the session's own address would enter an address-list, so a
    routed network would leak. An address or pool of the action replaces the service's own, else the service keeps it.
    All else stays unless the action sets it.
    """
    if isinstance(action, Deny):
        return REFUSED
    given = action.attributes()
    moves = action.ip_pool is not None or any(name in ADDRESS for name, _ in given)
    gone = ADDRESSING if moves else ADDRESSING - ADDRESS
    kept = {name: value for name, value in reply.items() if not is_ipv6(name) and name not in gone}
    return _granted(Verdict.RESTRICT, {**kept, **dict(given)}, moves, action.ip_pool or "")


def _granted(verdict: Verdict, reply: Mapping[str, AttributeValue], moved: bool = False, ip_pool: str = "") -> Grant:
    sent = dict(reply)
    if sent.get(INTERIM, 0) in (0, "0"):
        sent[INTERIM] = DEFAULT_INTERIM
    if FRAMED_IP in sent:
        # RouterOS would let the address override the pool; one of them says it more clearly.
        sent.pop(FRAMED_POOL, None)
    whole = profile(sent.items())
    if moved and not ip_pool:
        return Grant(verdict, whole)
    rest = [pair for pair in whole if pair[0] not in ADDRESS]
    before = tuple(pair for pair in rest if pair[0] < FRAMED_IP)
    after = tuple(pair for pair in rest if pair[0] > FRAMED_IP)
    return Grant(verdict, whole, (before, after), ip_pool)
