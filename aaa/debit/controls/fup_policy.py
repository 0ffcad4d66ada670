"""FupPolicy: what happens to who uses much in a billing period (R6). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, cast

from aaa.debit.controls.fields import BadControl, choice, fields_of, integer
from aaa.debit.reply import RATE_LIMIT, AttributeCheck, BadValue, attribute_value, under
from aaa.domain.usage import SECONDS, Kind

Direction = Literal["total", "download", "upload"]

MOST_LEVELS: Final = 4
MOST_GB: Final = 1_000_000
MOST_HOURS: Final = 744
"""No billing period is longer."""
KEYS: Final = ("direction", "levels")

_DIRECTIONS: Final = ("total", "download", "upload")
_LEVEL_KEYS: Final = ("gb", "hours", "direction", "reduce", "suspend")


@dataclass(frozen=True, slots=True)
class FupLevel:
    """In force once more than `thousandths` of a gigabyte in that direction, or more than `hours` online, were used.

    Exactly one of the two limits is set. `reduce` is the rate limit it brings, None: it suspends. `own` is whether it
    was given its direction itself: a change of the policy's does not reach it.
    """

    thousandths: int | None
    hours: int | None
    direction: Direction
    reduce: str | None
    own: bool = False

    @property
    def kind(self) -> Kind:
        """What is counted for it."""
        return self.direction if self.hours is None else SECONDS

    def limit(self, gigabyte: int) -> int:
        """Octets, of `gigabyte` each gigabyte, or seconds; more than that exceeds it."""
        if self.hours is not None:
            return self.hours * 3_600
        assert self.thousandths is not None
        return self.thousandths * gigabyte // 1_000

    def to_json(self) -> dict[str, object]:
        """Its form in a policy."""
        limit: dict[str, object] = {"hours": self.hours}
        if self.thousandths is not None:
            whole, rest = divmod(self.thousandths, 1_000)
            limit = {"gb": self.thousandths / 1_000 if rest else whole}
            if self.own:
                limit["direction"] = self.direction
        return limit | ({"suspend": True} if self.reduce is None else {"reduce": self.reduce})


@dataclass(frozen=True, slots=True)
class FupPolicy:
    """Up to four levels, lowest first; the highest whose limit is exceeded is in force (R6.1).

    `direction` counts for the levels that were given none of their own.
    """

    name: str
    levels: tuple[FupLevel, ...]
    direction: Direction = "total"

    def to_json(self) -> dict[str, object]:
        """The value as stored: all but the name."""
        return {"direction": self.direction, "levels": [level.to_json() for level in self.levels]}


def fup_policy(name: str, value: object, check: AttributeCheck, path: str = "") -> FupPolicy:
    """A FupPolicy from its JSON form. Raises BadControl."""
    fields = fields_of(value, path, KEYS)
    direction = cast(Direction, choice(fields, "direction", path, _DIRECTIONS))
    given = fields.get("levels")
    where = under(path, "levels")
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_LEVELS:
        raise BadControl(where, f"must be a list of 1 to {MOST_LEVELS} levels")
    levels = tuple([_level(one, f"{where}[{index}]", direction, check) for index, one in enumerate(given)])
    _require_order(levels, where)
    return FupPolicy(name, levels, direction)


def _level(value: object, path: str, direction: Direction, check: AttributeCheck) -> FupLevel:
    fields = fields_of(value, path, _LEVEL_KEYS)
    thousandths, hours = _thousandths(fields, path), integer(fields, "hours", path, 1, MOST_HOURS)
    if (thousandths is None) == (hours is None):
        raise BadControl(path, "needs either gb or hours")
    if hours is not None and fields.get("direction") is not None:
        raise BadControl(under(path, "direction"), "has no meaning with hours")
    reduce, suspend = fields.get("reduce"), fields.get("suspend")
    if suspend is not None and not isinstance(suspend, bool):
        raise BadControl(under(path, "suspend"), "must be true or false")
    if (reduce is None) == (not suspend):
        raise BadControl(path, "needs either reduce or suspend")
    if reduce is not None:
        if not isinstance(reduce, str):
            raise BadControl(under(path, "reduce"), "must be a rate limit such as 5M/5M")
        try:
            attribute_value(RATE_LIMIT, reduce, under(path, "reduce"), check)
        except BadValue as error:
            raise BadControl(error.path, error.message) from None
    own = fields.get("direction") is not None
    if own:
        direction = cast(Direction, choice(fields, "direction", path, _DIRECTIONS))
    return FupLevel(thousandths, hours, direction, reduce, own)


def _thousandths(fields: Mapping[str, object], path: str) -> int | None:
    value = fields.get("gb")
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MOST_GB:
        raise BadControl(under(path, "gb"), f"must be a number above 0, at most {MOST_GB}")
    exact = Decimal(str(value)) * 1_000
    if exact != int(exact):
        raise BadControl(under(path, "gb"), "must have at most three decimals")
    return int(exact)


def _require_order(levels: tuple[FupLevel, ...], path: str) -> None:
    """A level that is never reached before a higher one of its kind would never be in force, and after one that
    suspends using more must not help.
    """
    highest: dict[Kind, int] = {}
    for index, level in enumerate(levels):
        limit = level.limit(1_000)
        if limit <= highest.get(level.kind, 0):
            raise BadControl(f"{path}[{index}]", "must have a higher limit than the levels before it")
        highest[level.kind] = limit
        if index and levels[index - 1].reduce is None and level.reduce is not None:
            raise BadControl(f"{path}[{index}]", "must suspend: the level before it does")
