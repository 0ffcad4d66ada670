"""The one clock of every process (shell): all other code takes `now` as an argument.

Instants are integers, UTC microseconds. `LEDGATE_CLOCK_OFFSET` (seconds, may be negative) shifts the clock for tests
and rehearsals; it is refused unless `LEDGATE_TEST=1`, so that a stray setting cannot move an operator's cuts.
"""

import os
import time
from typing import Final

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND


def _offset() -> int:
    text = os.environ.get("LEDGATE_CLOCK_OFFSET", "")
    if not text:
        return 0
    if os.environ.get("LEDGATE_TEST") != "1":
        raise SystemExit("LEDGATE_CLOCK_OFFSET is set, but LEDGATE_TEST=1 is not: refusing to run with a shifted clock")
    try:
        return round(float(text) * SECOND)
    except ValueError:
        raise SystemExit(f"LEDGATE_CLOCK_OFFSET: {text!r} is not a number of seconds") from None


_OFFSET: Final = _offset()


def now() -> int:
    """The present instant, UTC microseconds."""
    return time.time_ns() // 1000 + _OFFSET


def monotonic() -> float:
    """Seconds that never jump, for intervals inside one process."""
    return time.monotonic()


def elapsed() -> int:
    """Microseconds since the machine was started; they never jump, and go on while it sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
