"""Reading the JSON form of a control object, with the path of whatever is wrong. Pure."""

from collections.abc import Mapping, Sequence

from aaa.debit.reply import BadValue, under


class BadControl(BadValue):
    """A control object that cannot be accepted."""


def fields_of(value: object, path: str, known: Sequence[str]) -> Mapping[str, object]:
    """An object that has no keys but the known ones. Raises BadControl."""
    if not isinstance(value, Mapping):
        raise BadControl(path, "must be an object")
    for key in value:
        if key not in known:
            raise BadControl(under(path, str(key)), f"unknown key; known are {', '.join(known)}")
    return value


def integer(fields: Mapping[str, object], key: str, path: str, least: int, most: int) -> int | None:
    """A key's integer; None if it is absent or null. Raises BadControl."""
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadControl(under(path, key), f"must be an integer from {least} to {most}, or null")
    return value


def switch(fields: Mapping[str, object], key: str, path: str) -> bool:
    """A key that is 0 or 1; absent or null it is off. Raises BadControl."""
    value = fields.get(key)
    if value is None:
        return False
    if not isinstance(value, int) or isinstance(value, bool) or value not in (0, 1):
        raise BadControl(under(path, key), "must be 0 or 1")
    return bool(value)


def choice(fields: Mapping[str, object], key: str, path: str, known: Sequence[str]) -> str:
    """A key that is one of the known words; absent or null it is the first of them. Raises BadControl."""
    value = fields.get(key)
    if value is None:
        return known[0]
    if not isinstance(value, str) or value not in known:
        raise BadControl(under(path, key), f"must be {', '.join(known[:-1])} or {known[-1]}, not {value!r}")
    return value
