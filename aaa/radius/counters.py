"""Named counters of one process, and how an operator reads them (shell).

They go to the log once a minute when they changed, at SIGUSR1 (`CounterReport.ask`) and at the end; and as JSON into
`<state dir>/counters/<role>-<index>.json`, at most once a second: {"role", "index", "pid", "counters": {name: count}}.
"""

import json
import logging
import os
from pathlib import Path
from typing import Final

_log: Final = logging.getLogger(__name__)

FILE_INTERVAL: Final = 1.0
LOG_INTERVAL: Final = 60.0


class Counters:
    """Counts by name since the process began."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, name: str, count: int = 1) -> None:
        counts = self.counts
        counts[name] = counts.get(name, 0) + count

    def __getitem__(self, name: str) -> int:
        return self.counts.get(name, 0)


class CounterReport:
    """Writes one process's counters where they can be read. `tick` is for the process's own loop: no thread or lock."""

    def __init__(self, counters: Counters, state_dir: str | os.PathLike[str], role: str, index: int) -> None:
        folder = Path(state_dir) / "counters"
        folder.mkdir(parents=True, exist_ok=True)
        self.path: Final = folder / f"{role}-{index}.json"
        self._counters = counters
        self._role = role
        self._index = index
        self._filed: dict[str, int] | None = None
        self._logged: dict[str, int] = {}
        self._file_at = 0.0
        self._log_at = 0.0
        self._asked = False

    def ask(self) -> None:
        """Write to the log at the next tick, changed or not; safe in a signal handler."""
        self._asked = True

    def tick(self, monotonic: float) -> None:
        """Write what is due at `monotonic` (seconds)."""
        if self._asked:
            self._asked = False
            self._write_line()
        if monotonic >= self._file_at:
            self._file_at = monotonic + FILE_INTERVAL
            self._write_file()
            if monotonic >= self._log_at:
                first = self._log_at == 0.0
                self._log_at = monotonic + LOG_INTERVAL
                if not first and self._counters.counts != self._logged:
                    self._write_line()

    def close(self) -> None:
        """Write both a last time."""
        self._write_file()
        self._write_line()

    def _write_line(self) -> None:
        self._logged = dict(self._counters.counts)
        told = " ".join(f"{name}={count}" for name, count in sorted(self._logged.items()))
        _log.info("counters role=%s index=%d %s", self._role, self._index, told or "none")

    def _write_file(self) -> None:
        if self._counters.counts == self._filed:
            return
        counts = dict(self._counters.counts)
        shown = {"role": self._role, "index": self._index, "pid": os.getpid(), "counters": counts}
        fresh = self.path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(shown, sort_keys=True) + "\n")
            fresh.replace(self.path)  # readers never see half a file
        except OSError as error:
            _log.warning("counters file=%s error=%s", self.path, error.strerror)
            return
        self._filed = counts
