"""What fresh timelines would do to services, by what is stored of them (R8.4) (shell)."""

from collections.abc import Sequence

from sqlalchemy import Connection

from aaa.debit.impact import Impact, classify
from aaa.domain.timeline import Profile, Timeline
from aaa.store import record
from aaa.store.holds import trusted
from aaa.store.timelines import read_profiles


class Impacts:
    """Judges as of `now`, while cuts are held as of the last trusted instant; the profiles met are kept."""

    def __init__(self, now: int) -> None:
        self._now = now
        self._profiles: dict[int, Profile] = {}

    def of(self, conn: Connection, pairs: Sequence[tuple[bytes | None, Timeline]]) -> list[Impact | None]:
        """The impact of each (stored record, fresh timeline)."""
        heads = [(packed, record.entry(packed)) for packed, _ in pairs if packed is not None]
        named = {record.step(packed, head, index).profile for packed, head in heads for index in range(head.segments)}
        missing = named - self._profiles.keys()
        if missing:
            self._profiles |= read_profiles(conn, missing)
        at = trusted(conn, self._now)
        return [
            None if packed is None else classify(record.timeline(packed, self._profiles), timeline, at)
            for packed, timeline in pairs
        ]
