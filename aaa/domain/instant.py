"""Instants (UTC microseconds) as text. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def iso(instant: int) -> str:
    """ISO 8601 in UTC, with a fraction only where there is one: `2026-11-01T00:00:00Z`.

    Raises OverflowError beyond the years 1 to 9999.
    """
    return (_EPOCH + instant * _MICROSECOND).isoformat().removesuffix("+00:00") + "Z"


def stamp(instant: int) -> str:
    """An instant for a log line, always to the millisecond: `2026-11-01T00:00:00.000Z`."""
    seconds, rest = divmod(instant, 1_000_000)
    return f"{iso(seconds * 1_000_000)[:-1]}.{rest // 1000:03d}Z"
