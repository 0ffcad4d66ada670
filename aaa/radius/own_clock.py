"""What an auth process knows of its own machine's clock (R8.4). Pure.

The engine holds cuts for everybody, but it takes a moment until the replica says so, and an engine elsewhere does not
see this machine's clock at all. Until it is told, a process holds cuts by itself.
"""

from typing import final

from aaa.domain.clock_watch import MOST


@final
class OwnClock:
    """Compares the wall clock with the time that elapses; all in microseconds."""

    __slots__ = ("_good", "_offset")

    def __init__(self, now: int, elapsed: int) -> None:
        self._offset: int = now - elapsed
        self._good: int = now

    def held_since(self, now: int, elapsed: int, told: int) -> int:
        """Since when cuts are held, 0 if they are not: `told` by the replica (0: it knows of no hold), or since the
        last moment before the clock was set forward or back by more than an hour. That ends when it is set right again.
        """
        if told:
            self._offset = now - elapsed  # what the operator ends is not to begin again here
            self._good = now
            return told
        off = now - elapsed - self._offset
        if -MOST <= off <= MOST:
            self._good = now
            return 0
        return self._good
