"""What a menu of RouterOS is: its fields and what kind of list it keeps. Pure.

Facts are from the RouterOS manual and from what routers are known to print; what a version does not know, it refuses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from ledgate.lab.routeros.trap import Trap, invalid_value, no_such_value, unknown_parameter
from ledgate.lab.routeros.values import NoSuchValue, Reader, Version, flag, text

Kind = Literal["list", "ordered", "singleton", "seen"]
"""`ordered` lists are worked through from the top; `seen` ones show what happens, and can at most be removed from."""

ALWAYS: Final[Version] = (0,)
NEVER: Final[Version] = (99,)


@dataclass(frozen=True, slots=True)
class Field:
    """A property. `default` is printed where nothing was set (None: nothing is printed). Known in the versions from
    `since` to before `until`, and to be set by a command only from `settable` on.
    """

    read: Reader = text
    default: str | None = None
    since: Version = ALWAYS
    until: Version = NEVER
    settable: Version = ALWAYS

    def known(self, version: Version) -> bool:
        return self.since <= version < self.until


@dataclass(frozen=True, slots=True)
class Menu:
    """A menu. `required` fields must be given to add. `unique`: no two rows have the same values of these fields.
    `indexed` ones are found without asking each row. `timed`: rows may have a timeout, after which they vanish; they
    are dynamic then, for they are not stored, and unlike other dynamic rows they can be set and removed.
    """

    path: str
    kind: Kind
    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    indexed: frozenset[str] = frozenset()
    removable: bool = True
    timed: bool = False
    since: Version = ALWAYS
    rows: tuple[Mapping[str, str], ...] = field(default=())
    """Rows, or a singleton's values, of a router as it comes."""

    def known(self, version: Version) -> bool:
        return self.since <= version

    def read(self, name: str, value: str, version: Version) -> str:
        """A value that a command gives, as print will show it. Raises Trap."""
        found = self.fields.get(name)
        if found is None or not found.known(version) or version < found.settable:
            raise unknown_parameter(name)
        return _read(name, found, value, version)

    def require(self, given: Mapping[str, str]) -> None:
        """Raises Trap if a field that must be given is missing."""
        missing = [name for name in self.required if name not in given]
        if missing:
            raise Trap(f"missing value(s) of argument(s) {' '.join(missing)}", None)


def _read(name: str, found: Field, value: str, version: Version) -> str:
    try:
        return found.read(value, version)
    except NoSuchValue:
        raise no_such_value(name) from None
    except ValueError:
        raise invalid_value(name) from None


DISABLED: Final = Field(flag, "false")
COMMENT: Final = Field(text)
SHOWN: Final = Field(settable=NEVER)
FLAG_SHOWN: Final = Field(flag, "false", settable=NEVER)
COMMON: Final[Mapping[str, Field]] = {"disabled": DISABLED, "comment": COMMENT}
"""What the rows of most lists have."""


def texts(words: str) -> dict[str, Field]:
    """Fields that take any text, by their names."""
    return {word: Field(text) for word in words.split()}


def shown(words: str) -> dict[str, Field]:
    """Fields that are only printed, by their names."""
    return dict.fromkeys(words.split(), SHOWN)
