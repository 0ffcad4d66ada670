"""SuspendPolicy: when who does not pay is suspended by itself (R4.5 to R4.8). Pure."""

from dataclasses import dataclass
from typing import Final, Literal, cast

from aaa.debit.controls.fields import BadControl, choice, fields_of, integer, switch
from aaa.debit.reply import under

Match = Literal["all", "any"]

DEFAULT_DAYS: Final = 14
MOST_DAYS: Final = 3_660
MOST_AMOUNT: Final = 2**63 - 1

ALIASES: Final = {
    "suspend_non_payers": "pozastavit_neplatice",
    "suspend_days_after_due": "pozastavit_po_splatnosti",
    "suspend_min_amount": "pozastavit_neplatice_min_castka",
}
"""English names of ISPadmin's keys."""
KEYS: Final = (*ALIASES.values(), *ALIASES, "match")

_MATCHES: Final = ("all", "any")


@dataclass(frozen=True, slots=True)
class SuspendPolicy:
    """Suspends, if `on`, for what is unpaid more than `days` days after its due date, and (`match` all) or (any) for an
    overdue total of more than `least`, minor units; None: the amount does not matter.
    """

    name: str
    on: bool = False
    days: int = DEFAULT_DAYS
    least: int | None = None
    match: Match = "all"

    def to_json(self) -> dict[str, object]:
        """The value as stored: all but the name."""
        return {
            "pozastavit_neplatice": int(self.on),
            "pozastavit_po_splatnosti": self.days,
            "pozastavit_neplatice_min_castka": self.least,
            "match": self.match,
        }


def suspend_policy(name: str, value: object, path: str = "") -> SuspendPolicy:
    """A SuspendPolicy from its JSON form, in ISPadmin's keys or their English names. Raises BadControl."""
    given = fields_of(value, path, KEYS)
    key_of: dict[str, str] = {}
    for key in given:
        other = key_of.setdefault(ALIASES.get(key, key), key)
        if other != key:
            raise BadControl(under(path, key), f"is the same as {other}")

    def spelled(key: str) -> str:
        return key_of.get(key, key)

    days = integer(given, spelled("pozastavit_po_splatnosti"), path, 0, MOST_DAYS)
    return SuspendPolicy(
        name,
        switch(given, spelled("pozastavit_neplatice"), path),
        DEFAULT_DAYS if days is None else days,
        integer(given, spelled("pozastavit_neplatice_min_castka"), path, 0, MOST_AMOUNT),
        cast(Match, choice(given, "match", path, _MATCHES)),
    )
