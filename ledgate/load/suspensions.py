"""The key `suspensions` of a subscriber (R4.1, R4.3). Pure."""

from typing import Final

from aaa.domain.suspension import REASONS, BadSuspension, Repeat, Suspension
from ledgate.load import fields
from ledgate.load.fields import BadLoad, Reader

_KEYS: Final = ("reason", "from", "to", "repeat", "suspend_invoicing")


def read(reader: Reader, zone: str) -> list[Suspension] | None:
    """All suspensions that the service is to have; None if the entry does not say. Null is none.

    Times without an offset count in `zone`. Raises BadLoad.
    """
    if not reader.has("suspensions"):
        return None
    given = reader.raw("suspensions")
    if given is not None and not isinstance(given, list):
        raise BadLoad(reader.at("suspensions"), "must be a list")
    where = reader.at("suspensions")
    return [_suspension(Reader(one, f"{where}[{index}]", _KEYS), zone) for index, one in enumerate(given or ())]


def _suspension(reader: Reader, zone: str) -> Suspension:
    reason = reader.need("reason", fields.one_of(*REASONS))
    start = reader.take("from", fields.instant(zone))
    end = reader.take("to", fields.instant(zone))
    repeat = reader.take("repeat", fields.one_of(*Repeat)) or Repeat.NONE
    invoicing = reader.take("suspend_invoicing", fields.switch) or False
    try:
        return Suspension(reason, start, end, Repeat(repeat), invoicing)
    except BadSuspension as error:
        raise BadLoad(reader.at(error.key), error.message) from None
