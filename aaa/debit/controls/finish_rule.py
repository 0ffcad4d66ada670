"""FinishRule: what a blocked service gets instead of the internet (R3). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aaa.debit.controls.fields import BadControl, fields_of, integer
from aaa.debit.reply import (
    ADDRESS,
    ADDRESS_LIST,
    FRAMED_IP,
    FRAMED_POOL,
    RATE_LIMIT,
    SESSION_TIMEOUT,
    AttributeCheck,
    BadValue,
    attribute_value,
    attributes,
    attributes_json,
    under,
)
from aaa.domain.suspension import REASONS
from aaa.domain.timeline import AttributeValue, Cause, Profile, profile

MOST_SESSION_TIMEOUT: Final = 2**32 - 1

FINISH_CAUSES: Final = (Cause.DEBIT, Cause.EXPIRE, Cause.SUSPENDED, Cause.TRAFFIC, Cause.TIME)
"""The causes that a FinishRule has actions for (R3.1)."""

OTHER_REASONS: Final = "*"
"""Stands for the reasons of suspension that have no action of their own (R3.1)."""

IP_POOL: Final = "ip_pool"

WALLED_GARDEN: Final = "walled-garden"
WALLED_GARDEN_JSON: Final[dict[str, object]] = {
    "suspended": {"restrict": {"address_list": "suspended"}},
    "traffic": {"restrict": {"address_list": "suspended"}},
    "expire": {"restrict": {"address_list": "suspended"}},
}
"""The FinishRule that a fresh installation has at server scope (R3.2)."""


@dataclass(frozen=True, slots=True)
class Deny:
    """Access-Reject."""


@dataclass(frozen=True, slots=True)
class Restrict:
    """The walled garden: what of the reply changes. `session_timeout` is in seconds; None changes nothing.

    With both `pool` and `ip` only the address is sent: RouterOS lets it override the pool. `ip_pool` names a pool of
    our own, which gives every service an address that stays while the action may come: see aaa.store.leases.
    """

    pool: str | None = None
    ip: str | None = None
    address_list: str | None = None
    rate_limit: str | None = None
    session_timeout: int | None = None
    reply: Profile = ()
    ip_pool: str | None = None

    def attributes(self) -> Profile:
        """The reply attributes that the action sets, but for the address from `ip_pool`."""
        pairs: list[tuple[str, AttributeValue]] = list(self.reply)
        for field, name in _ATTRIBUTE_OF.items():
            value: AttributeValue | None = getattr(self, field)
            if value is not None and not (name == FRAMED_POOL and self.ip is not None):
                pairs.append((name, value))
        return profile(pairs)


Action = Deny | Restrict

DENY: Final = Deny()

_ATTRIBUTE_OF: Final[dict[str, str]] = {
    "pool": FRAMED_POOL,
    "ip": FRAMED_IP,
    "address_list": ADDRESS_LIST,
    "rate_limit": RATE_LIMIT,
    "session_timeout": SESSION_TIMEOUT,
}


@dataclass(frozen=True, slots=True)
class FinishRule:
    """What a blocked service gets, by cause; a cause without an action is denied (R3.2).

    `suspended` has the reasons of suspension with an action of their own; the others get that of the cause (R3.1).
    """

    name: str
    actions: Mapping[Cause, Action]
    suspended: Mapping[str, Action]

    def action(self, cause: Cause, reason: str = "") -> Action:
        """What a cause gets; `reason` is that of a suspension."""
        if cause is Cause.SUSPENDED and reason in self.suspended:
            return self.suspended[reason]
        return self.actions.get(cause, DENY)

    def to_json(self) -> dict[str, object]:
        """The value as stored: all but the name."""
        stored = {cause.value: _action_json(action) for cause, action in self.actions.items()}
        if self.suspended:
            by_reason = {reason: _action_json(action) for reason, action in self.suspended.items()}
            if Cause.SUSPENDED in self.actions:
                by_reason[OTHER_REASONS] = stored[Cause.SUSPENDED.value]
            stored[Cause.SUSPENDED.value] = by_reason
        return stored


def finish_rule(name: str, value: object, check_attribute: AttributeCheck, path: str = "") -> FinishRule:
    """A FinishRule from its JSON form: an action per cause, null or absent for none. `suspended` may have an action per
    reason instead: `{"non_payer": …, "*": …}`. Raises BadControl.
    """
    fields = dict(fields_of(value, path, [cause.value for cause in FINISH_CAUSES]))
    suspended: dict[str, Action] = {}
    given = fields.get(Cause.SUSPENDED.value)
    try:
        if isinstance(given, Mapping) and given and list(given) != ["restrict"]:
            where = under(path, Cause.SUSPENDED.value)
            suspended = _actions(fields_of(given, where, (*REASONS, OTHER_REASONS)), where, check_attribute)
            del fields[Cause.SUSPENDED.value]
        others = suspended.pop(OTHER_REASONS, None)
        actions = {Cause(cause): action for cause, action in _actions(fields, path, check_attribute).items()}
    except BadValue as error:
        raise BadControl(error.path, error.message) from None
    if others is not None:
        actions[Cause.SUSPENDED] = others
    return FinishRule(name, actions, suspended)


def _actions(fields: Mapping[str, object], path: str, check: AttributeCheck) -> dict[str, Action]:
    return {key: _action(action, under(path, key), check) for key, action in fields.items() if action is not None}


def _action(value: object, path: str, check: AttributeCheck) -> Action:
    if value == "deny":
        return DENY
    if not isinstance(value, Mapping) or list(value) != ["restrict"]:
        raise BadControl(path, 'must be "deny" or {"restrict": {…}}')
    path = under(path, "restrict")
    fields = fields_of(value["restrict"], path, (*_ATTRIBUTE_OF, IP_POOL, "reply"))
    reply = fields.get("reply")
    action = Restrict(
        _text(fields, "pool", path, check),
        _text(fields, "ip", path, check),
        _text(fields, "address_list", path, check),
        _text(fields, "rate_limit", path, check),
        integer(fields, "session_timeout", path, 1, MOST_SESSION_TIMEOUT),
        () if reply is None else attributes(reply, under(path, "reply"), check),
        _ip_pool(fields, path),
    )
    for field, name in _ATTRIBUTE_OF.items():
        if fields.get(field) is not None and any(name == given for given, _ in action.reply):
            raise BadControl(under(under(path, "reply"), name), f"is already set by {field}")
    if action.ip_pool is not None:
        for name, _ in action.reply:
            if name in ADDRESS:
                raise BadControl(under(under(path, "reply"), name), f"is already set by {IP_POOL}")
    if action == Restrict():
        raise BadControl(path, f"restricts nothing: needs one of {', '.join(_ATTRIBUTE_OF)}, {IP_POOL}, reply")
    return action


def _action_json(action: Action) -> object:
    if isinstance(action, Deny):
        return "deny"
    fields: dict[str, object] = {
        field: getattr(action, field) for field in _ATTRIBUTE_OF if getattr(action, field) is not None
    }
    if action.ip_pool is not None:
        fields[IP_POOL] = action.ip_pool
    if action.reply:
        fields["reply"] = attributes_json(action.reply)
    return {"restrict": fields}


def _ip_pool(fields: Mapping[str, object], path: str) -> str | None:
    name = fields.get(IP_POOL)
    if name is None:
        return None
    if not isinstance(name, str) or not name:
        raise BadControl(under(path, IP_POOL), "must be the name of a pool, or null")
    for other in ("pool", "ip"):
        if fields.get(other) is not None:
            raise BadControl(under(path, IP_POOL), f"cannot go with {other}: both give an address")
    return name


def _text(fields: Mapping[str, object], key: str, path: str, check: AttributeCheck) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadControl(under(path, key), "must be text, or null")
    attribute_value(_ATTRIBUTE_OF[key], value, under(path, key), check)
    return value


def restricted_lists(value: Mapping[str, object]) -> set[str]:
    """The address-lists that a FinishRule, in its JSON form as stored, puts anybody onto."""
    found: set[str] = set()
    actions = [one for action in value.values() for one in (action, *_by_reason(action))]
    for action in actions:
        room = action.get("restrict") if isinstance(action, Mapping) else None
        if isinstance(room, Mapping):
            reply = room.get("reply")
            named = [room.get("address_list"), reply.get(ADDRESS_LIST) if isinstance(reply, Mapping) else None]
            for one in named:
                found.update([one] if isinstance(one, str) else one if isinstance(one, list) else [])
    return found


def _by_reason(action: object) -> tuple[object, ...]:
    return tuple(action.values()) if isinstance(action, Mapping) else ()
