"""Every kind of control object, and all objects there are. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from aaa.debit.controls import debit_control, finish_rule, fup_policy, overdue_policy, suspend_policy
from aaa.debit.controls.debit_control import DebitControl
from aaa.debit.controls.finish_rule import FINISH_CAUSES, FinishRule
from aaa.debit.controls.fup_policy import FupPolicy
from aaa.debit.controls.overdue_policy import OverduePolicy
from aaa.debit.controls.suspend_policy import SuspendPolicy
from aaa.debit.reply import AttributeCheck

DEBIT_CONTROL: Final = "DebitControl"
FINISH_RULE: Final = "FinishRule"
SUSPEND_POLICY: Final = "SuspendPolicy"
OVERDUE_POLICY: Final = "OverduePolicy"
FUP_POLICY: Final = "FupPolicy"


class Control(Protocol):
    """An object that params name."""

    @property
    def name(self) -> str: ...

    def to_json(self) -> dict[str, object]: ...


class Kind(NamedTuple):
    """A kind of control object: the section of a load file it comes in, its keys there apart from `name`, and how it is
    read from them: `(name, value, check of reply attributes, path) -> object`, raising BadControl.
    """

    section: str
    keys: tuple[str, ...]
    read: Callable[[str, object, AttributeCheck, str], Control]
    aliases: Mapping[str, str] = {}
    """Other names of keys, and the keys that are stored."""

    def merged(self, stored: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
        """A stored value with the keys given in their place."""
        gone = {self.aliases.get(key, key) for key in given}
        return {**{key: value for key, value in stored.items() if key not in gone}, **given}


KINDS: Final[Mapping[str, Kind]] = {
    DEBIT_CONTROL: Kind(
        "controls",
        debit_control.KEYS,
        lambda name, value, check, path: debit_control.debit_control(name, value, path),
    ),
    FINISH_RULE: Kind("finish_rules", tuple(cause.value for cause in FINISH_CAUSES), finish_rule.finish_rule),
    SUSPEND_POLICY: Kind(
        "suspend_policies",
        suspend_policy.KEYS,
        lambda name, value, check, path: suspend_policy.suspend_policy(name, value, path),
        suspend_policy.ALIASES,
    ),
    OVERDUE_POLICY: Kind(
        "overdue_policies",
        overdue_policy.KEYS,
        lambda name, value, check, path: overdue_policy.overdue_policy(name, value, path),
    ),
    FUP_POLICY: Kind("fup_policies", fup_policy.KEYS, fup_policy.fup_policy),
}
"""By the name of the param that refers to such objects (R1.4, group `helper`)."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """The named objects that params refer to, by name; each kind under the name of its section."""

    controls: Mapping[str, DebitControl] = field(default_factory=dict)
    finish_rules: Mapping[str, FinishRule] = field(default_factory=dict)
    suspend_policies: Mapping[str, SuspendPolicy] = field(default_factory=dict)
    overdue_policies: Mapping[str, OverduePolicy] = field(default_factory=dict)
    fup_policies: Mapping[str, FupPolicy] = field(default_factory=dict)

    def of(self, kind: str) -> Mapping[str, Any]:
        """The objects of a kind, by name."""
        found: Mapping[str, Any] = getattr(self, KINDS[kind].section)
        return found


def definitions(stored: Mapping[tuple[str, str], object], check: AttributeCheck) -> Definitions:
    """The objects from their stored values, by (kind, name). Raises BadControl."""
    found: dict[str, dict[str, Any]] = {kind.section: {} for kind in KINDS.values()}
    for (kind, name), value in stored.items():
        found[KINDS[kind].section][name] = KINDS[kind].read(name, value, check, f"{kind} {name}")
    return Definitions(**found)
