"""The engine's clock: before it says what time it is, it makes sure that this can be acted on (R8.4) (shell).

A clock that cannot be trusted is noticed before anything is done by it, and the hold is in the database first.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from aaa import clock
from aaa.domain import clock_watch
from aaa.domain.clock_watch import Doubt, Sample, Watch
from aaa.domain.instant import iso
from aaa.store import holds
from aaa.store.database import Database
from aaa.store.holds import Hold

_log: Final = logging.getLogger(__name__)

BEAT_EVERY: Final = 5 * clock.SECOND


def sample() -> Sample:
    """Both clocks of this machine."""
    return Sample(clock.now(), clock.elapsed())


class ClockGuard:
    """Watches the clocks of one process, for several threads, and writes its heartbeat."""

    def __init__(self, database: Database, machine: str, sample: Callable[[], Sample] = sample) -> None:
        self._database = database
        self._machine = machine
        self._sample = sample
        self._lock = threading.Lock()
        self._watch: Watch | None = None
        self._beat_at = 0

    def now(self, *, beats: bool = True) -> int:
        """The present instant, UTC microseconds. Raises SQLAlchemy's errors if it is time for a heartbeat, or a hold
        must be written, and the database is away: then nothing is to be done by the clock. Who must not wait for other
        writers leaves the heartbeat to another thread (`beats` is False).
        """
        with self._lock:
            at, known = self._sample(), self._watch
            jumped = None if known is None else known.jumped(at)
            if known is None or jumped is not None:
                self._judge(at, known, jumped)  # meanwhile nobody is told the time
                self._watch = Watch.begin(at)
                return at.wall
            self._watch = known.went_on(at)
            if not beats or at.elapsed < self._beat_at:
                return at.wall
        self._judge(at, known, None)
        return at.wall

    def _judge(self, at: Sample, known: Watch | None, jumped: Doubt | None) -> None:
        """Write a heartbeat and, if the clock is in doubt, the hold."""
        doubt = jumped
        with self._database.write() as conn:
            before = holds.beat(conn, self._machine, at.wall)
            if doubt is None and before is not None:
                last = None if known is None else known.last.wall
                doubt = clock_watch.behind(before.at, before.machine, at.wall, last)
            placed = doubt is not None and holds.place(conn, doubt, self._machine, at.wall)
            in_force = holds.read_hold(conn) if known is None or doubt is not None else None
        self._beat_at = at.elapsed + BEAT_EVERY
        self._tell(at, doubt if placed else jumped, in_force, starting=known is None)

    def _tell(self, at: Sample, doubt: Doubt | None, in_force: Hold | None, *, starting: bool) -> None:
        """Alarm the operator when the clock fails, and when the engine starts under a hold."""
        if in_force is not None and (doubt is not None or starting):
            _log.error(
                "clock machine=%s now=%s why=%r: cuts are held since %s; see: ledgate hold",
                self._machine,
                iso(at.wall),
                in_force.why if doubt is None else doubt.why,
                iso(in_force.since),
            )
