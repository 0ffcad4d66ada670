"""What fake routers are to do at which moment, by a few threads (shell)."""

import heapq
import itertools
import threading
from collections.abc import Callable
from typing import Self

from aaa import clock


class Agenda:
    """Runs work when it is due. Use it as a context manager; what is not due when it closes is left undone."""

    def __init__(self, workers: int = 8) -> None:
        self._due = threading.Condition()
        self._heap: list[tuple[float, int, Callable[..., object], tuple[object, ...]]] = []
        self._numbers = itertools.count()
        self._closed = False
        self._threads = [threading.Thread(target=self._work, name="lab agenda") for _ in range(workers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._due:
            self._closed = True
            self._due.notify_all()
        for thread in self._threads:
            thread.join()

    def at(self, moment: float, work: Callable[..., object], *arguments: object) -> None:
        """Do it at a moment of the monotonic clock."""
        with self._due:
            heapq.heappush(self._heap, (moment, next(self._numbers), work, arguments))
            self._due.notify()

    def after(self, seconds: float, work: Callable[..., object], *arguments: object) -> None:
        self.at(clock.monotonic() + seconds, work, *arguments)

    def _work(self) -> None:
        while (task := self._next()) is not None:
            work, arguments = task
            work(*arguments)

    def _next(self) -> tuple[Callable[..., object], tuple[object, ...]] | None:
        with self._due:
            while not self._closed:
                wait = self._heap[0][0] - clock.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    _, _, work, arguments = heapq.heappop(self._heap)
                    return work, arguments
                self._due.wait(wait)
        return None
