"""DebitControl (R2) and FinishRule (R3): what they say, from JSON and back. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from aaa.debit.reply import (
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

Anchor = Literal["last_payment", "oldest_unpaid"]

MOST_DEBT: Final = 2**63 - 1
MOST_DELAY: Final = 100 * 366 * 86_400
MOST_SESSION_TIMEOUT: Final = 2**32 - 1

FINISH_CAUSES: Final = (Cause.DEBIT, Cause.EXPIRE, Cause.SUSPENDED, Cause.TRAFFIC, Cause.TIME)
"""The causes that a FinishRule has actions for (R3.1)."""

OTHER_REASONS: Final = "*"
"""Stands for the reasons of suspension that have no action of their own (R3.1)."""

WALLED_GARDEN: Final = "walled-garden"
WALLED_GARDEN_JSON: Final[dict[str, object]] = {
    "suspended": {"restrict": {"address_list": "suspended"}},
    "traffic": {"restrict": {"address_list": "suspended"}},
    "expire": {"restrict": {"address_list": "suspended"}},
}
"""The FinishRule that a fresh installation has at server scope (R3.2)."""


class BadControl(BadValue):
    """A DebitControl or FinishRule that cannot be accepted."""


@dataclass(frozen=True, slots=True)
class DebitControl:
    """How much an account may owe, and how long. `max_debt` is in minor units, `max_delay` in seconds, None no limit.

    `currency`, if given, is the only one the control may be used with (R2.8).
    """

    name: str
    max_debt: int | None = None
    max_delay: int | None = None
    anchor: Anchor = "last_payment"
    currency: str | None = None

    def to_json(self) -> dict[str, object]:
        """The value as stored: all but the name."""
        return {
            "max_debt": self.max_debt,
            "max_delay": self.max_delay,
            "anchor": self.anchor,
            "currency": self.currency,
        }


@dataclass(frozen=True, slots=True)
class Deny:
    """Access-Reject."""


@dataclass(frozen=True, slots=True)
class Restrict:
    """The walled garden: what of the reply changes. `session_timeout` is in seconds; None changes nothing.

    With both `pool` and `ip` only the address is sent: RouterOS lets it override the pool.
    """

    pool: str | None = None
    ip: str | None = None
    address_list: str | None = None
    rate_limit: str | None = None
    session_timeout: int | None = None
    reply: Profile = ()

    def attributes(self) -> Profile:
        """The reply attributes that the action sets."""
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


@dataclass(frozen=True, slots=True)
class Definitions:
    """The named objects that params refer to, by name."""

    debit_controls: Mapping[str, DebitControl]
    finish_rules: Mapping[str, FinishRule]


def debit_control(name: str, value: object, path: str = "") -> DebitControl:
    """A DebitControl from its JSON form (all keys optional, null is no limit). Raises BadControl."""
    fields = _object(value, path, ("max_debt", "max_delay", "anchor", "currency"))
    anchor = fields.get("anchor")
    if anchor not in (None, "last_payment", "oldest_unpaid"):
        raise BadControl(under(path, "anchor"), f"must be last_payment or oldest_unpaid, not {anchor!r}")
    currency = fields.get("currency")
    if currency is not None and not (
        isinstance(currency, str) and len(currency) == 3 and currency.isascii() and currency.isupper()
    ):
        raise BadControl(under(path, "currency"), f"must be a currency code such as IRR, not {currency!r}")
    return DebitControl(
        name,
        _integer(fields, "max_debt", path, 0, MOST_DEBT),
        _integer(fields, "max_delay", path, 0, MOST_DELAY),
        "last_payment" if anchor is None else anchor,
        currency,
    )


def finish_rule(name: str, value: object, check_attribute: AttributeCheck, path: str = "") -> FinishRule:
    """A FinishRule from its JSON form: an action per cause, null or absent for none. `suspended` may have an action per
    reason instead: `{"non_payer": …, "*": …}`. Raises BadControl.
    """
    fields = dict(_object(value, path, [cause.value for cause in FINISH_CAUSES]))
    suspended: dict[str, Action] = {}
    given = fields.get(Cause.SUSPENDED.value)
    try:
        if isinstance(given, Mapping) and given and list(given) != ["restrict"]:
            where = under(path, Cause.SUSPENDED.value)
            suspended = _actions(_object(given, where, (*REASONS, OTHER_REASONS)), where, check_attribute)
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
    fields = _object(value["restrict"], path, (*_ATTRIBUTE_OF, "reply"))
    reply = fields.get("reply")
    action = Restrict(
        _text(fields, "pool", path, check),
        _text(fields, "ip", path, check),
        _text(fields, "address_list", path, check),
        _text(fields, "rate_limit", path, check),
        _integer(fields, "session_timeout", path, 1, MOST_SESSION_TIMEOUT),
        () if reply is None else attributes(reply, under(path, "reply"), check),
    )
    for field, name in _ATTRIBUTE_OF.items():
        if fields.get(field) is not None and any(name == given for given, _ in action.reply):
            raise BadControl(under(under(path, "reply"), name), f"is already set by {field}")
    if action == Restrict():
        raise BadControl(path, f"restricts nothing: needs one of {', '.join(_ATTRIBUTE_OF)}, reply")
    return action


def _action_json(action: Action) -> object:
    if isinstance(action, Deny):
        return "deny"
    fields: dict[str, object] = {
        field: getattr(action, field) for field in _ATTRIBUTE_OF if getattr(action, field) is not None
    }
    if action.reply:
        fields["reply"] = attributes_json(action.reply)
    return {"restrict": fields}


def _object(value: object, path: str, known: Sequence[str]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise BadControl(path, "must be an object")
    for key in value:
        if key not in known:
            raise BadControl(under(path, str(key)), f"unknown key; known are {', '.join(known)}")
    return value


def _integer(fields: Mapping[str, object], key: str, path: str, least: int, most: int) -> int | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadControl(under(path, key), f"must be an integer from {least} to {most}, or null")
    return value


def _text(fields: Mapping[str, object], key: str, path: str, check: AttributeCheck) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise BadControl(under(path, key), "must be text, or null")
    attribute_value(_ATTRIBUTE_OF[key], value, under(path, key), check)
    return value
