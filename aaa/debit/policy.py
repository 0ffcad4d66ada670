"""A policy: what a set of params comes to. Services with the same params and plan share one. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aaa.debit.controls import DENY, FINISH_CAUSES, Action, DebitControl, Definitions, Deny, FinishRule
from aaa.debit.params import (
    ALLOWED_METHODS,
    ALLOWED_NAS,
    DEBIT_CONTROL,
    FINISH_RULE,
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
    is_ipv6,
)
from aaa.domain.method import mask
from aaa.domain.service import Param
from aaa.domain.timeline import AttributeValue, Cause, Profile, Verdict, profile


@dataclass(frozen=True, slots=True)
class Grant:
    """A verdict and what the router is told with it.

    `profile` is for a service without a static address; for one with it, the address goes between the two parts of
    `around` (None: the verdict sends no static address).
    """

    verdict: Verdict
    profile: Profile
    around: tuple[Profile, Profile] | None = None

    def profile_with(self, static_ip: str | None) -> Profile:
        """The profile for a service with this static address, or without one."""
        if static_ip is None or self.around is None:
            return self.profile
        before, after = self.around
        return (*before, (FRAMED_IP, static_ip), *after)


REFUSED: Final = Grant(Verdict.DENY, ())


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that decides access apart from the service itself, its account's standing and the time.

    `debit` is the DebitControl in force and `debit_scope` where it was set; `blocked` has a grant for every cause that
    a FinishRule can name, and `suspended` those for suspensions of single reasons. `simultaneous_use` 0 is no limit;
    `allowed_methods` are bits of aaa.domain.method, 0 for any; `allowed_nas` names of routers, empty for any.
    """

    debit: DebitControl | None
    debit_scope: str
    allow: Grant
    blocked: Mapping[Cause, Grant]
    suspended: Mapping[str, Grant]
    simultaneous_use: int
    allowed_methods: int = 0
    allowed_nas: tuple[str, ...] = ()

    def grant(self, cause: Cause | None, kind: str = "") -> Grant:
        """What a service gets for a cause; None: no cause holds. `kind` is the reason of a suspension."""
        if cause is None:
            return self.allow
        if cause is Cause.SUSPENDED and kind in self.suspended:
            return self.suspended[kind]
        return self.blocked.get(cause, REFUSED)


def resolve_policy(
    params: Iterable[Param],
    definitions: Definitions,
    *,
    currency: str,
    plan: str | None = None,
    plan_reply: Profile = (),
) -> Policy:
    """The policy of every service with these params (those on all its scopes), this plan and this VISP's currency.

    A plan's reply attributes act as params on the plan's scope. Raises BadParam if the DebitControl or FinishRule that
    counts does not exist, or counts in another currency.
    """
    effective = resolve((*of_plan(plan, plan_reply), *params))
    debit = _definition(effective, DEBIT_CONTROL, definitions.debit_controls)
    if debit is not None:
        require_currency(debit, currency, f"{effective[DEBIT_CONTROL].scope} {DEBIT_CONTROL}")
    rule: FinishRule | None = _definition(effective, FINISH_RULE, definitions.finish_rules)
    reply: dict[str, AttributeValue] = {name: found.value for name, found in effective.items() if is_reply(name)}
    limit = effective.get(SIMULTANEOUS_USE)
    methods = effective.get(ALLOWED_METHODS)
    routers = effective.get(ALLOWED_NAS)
    return Policy(
        debit,
        str(effective[DEBIT_CONTROL].scope) if debit is not None else "",
        _granted(Verdict.ALLOW, reply),
        {cause: _finish(rule.action(cause) if rule else DENY, reply) for cause in FINISH_CAUSES},
        {reason: _finish(action, reply) for reason, action in rule.suspended.items()} if rule else {},
        limit.value if limit else 0,
        mask(methods.value) if methods else 0,
        routers.value if routers else (),
    )


def _definition(effective: Mapping[str, Effective], name: str, known: Mapping[str, Any]) -> Any:
    found = effective.get(name)
    if found is None:
        return None
    if found.value not in known:
        raise BadParam(f"{found.scope} {name}", f"there is no {name} called {found.value!r}")
    return known[found.value]


def _finish(action: Action, reply: Mapping[str, AttributeValue]) -> Grant:
    """What remains of an allowed service's reply, and what the action puts in its place (R3.3).

    IPv6 goes, and so do routes to other networks: only the session's own address would enter an address-list, so a
    routed network would leak. An address or pool of the action replaces the service's own, else the service keeps it.
    All else stays unless the action sets it.
    """
    if isinstance(action, Deny):
        return REFUSED
    given = action.attributes()
    moves = any(name in ADDRESS for name, _ in given)
    gone = ADDRESSING if moves else ADDRESSING - ADDRESS
    kept = {name: value for name, value in reply.items() if not is_ipv6(name) and name not in gone}
    return _granted(Verdict.RESTRICT, {**kept, **dict(given)}, moves)


def _granted(verdict: Verdict, reply: Mapping[str, AttributeValue], moved: bool = False) -> Grant:
    sent = dict(reply)
    if sent.get(INTERIM, 0) in (0, "0"):
        sent[INTERIM] = DEFAULT_INTERIM
    if FRAMED_IP in sent:
        # RouterOS would let the address override the pool; one of them says it more clearly.
        sent.pop(FRAMED_POOL, None)
    whole = profile(sent.items())
    if moved:
        return Grant(verdict, whole)
    rest = [pair for pair in whole if pair[0] not in ADDRESS]
    before = tuple(pair for pair in rest if pair[0] < FRAMED_IP)
    after = tuple(pair for pair in rest if pair[0] > FRAMED_IP)
    return Grant(verdict, whole, (before, after))
