"""How much is asked of a router at a time, by what it answered of late. Pure.

A router that is new to us gets few requests at a time, and one more with each answer: one that is dead holds up little.
After `SILENT` requests that got no answer at all the breaker opens. Nothing more goes to that router but a probe at a
time, at intervals that double, and the first answer closes it. Instants are UTC microseconds.
"""

from dataclasses import dataclass
from typing import Final

from aaa.coa.plan import SECOND

SILENT: Final = 3
FIRST_WINDOW: Final = 16
LEAST_WINDOW: Final = 4
LARGEST_WINDOW: Final = 256
FIRST_REST: Final = 5 * SECOND
LONGEST_REST: Final = 300 * SECOND


@dataclass(slots=True)
class _State:
    """`silent` requests got no answer since the last that did; the breaker is open if `rest` is not 0."""

    window: int = FIRST_WINDOW
    silent: int = 0
    rest: int = 0
    until: int = 0


class Breaker:
    """All routers, by the address that their requests came from."""

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._open: set[str] = set()

    def room(self, router: str, now: int) -> int:
        """How many requests may be in flight to it at `now`."""
        state = self._states.get(router)
        if state is None:
            return FIRST_WINDOW
        if state.rest:
            return 1 if now >= state.until else 0
        return state.window

    def is_open(self, router: str) -> bool:
        return router in self._open

    def until(self, router: str) -> int:
        """Until when a router is left alone whose breaker is open."""
        return self._states[router].until

    def answered(self, router: str) -> bool:
        """It said something, be it a refusal; whether that closes the breaker."""
        state = self._states.setdefault(router, _State())
        state.silent = 0
        if not state.rest:
            state.window = min(state.window + 1, LARGEST_WINDOW)
            return False
        state.rest = 0
        state.window = FIRST_WINDOW
        self._open.discard(router)
        return True

    def silent(self, router: str, now: int, jitter: float) -> int | None:
        """A request got no answer, however often it was sent. If that opens the breaker, or keeps it open, until when
        the router is to be left alone. What was under way as it opened tells nothing new. `jitter` is random in
        [-0.1, 0.1].
        """
        state = self._states.setdefault(router, _State())
        if state.rest and now < state.until:
            return None
        state.silent += 1
        state.window = max(LEAST_WINDOW, state.window // 2)
        if state.silent < SILENT:
            return None
        state.rest = min(2 * state.rest, LONGEST_REST) if state.rest else FIRST_REST
        state.until = now + state.rest + int(min(jitter, 0.0 if state.rest == LONGEST_REST else 1.0) * state.rest)
        self._open.add(router)
        return state.until

    def shut(self, now: int) -> list[str]:
        """The routers that are to be left alone at `now`."""
        return [router for router in self._open if now < self._states[router].until]

    def next_probe(self, now: int) -> int | None:
        """When the next of these may be asked again."""
        return min((self._states[one].until for one in self._open if now < self._states[one].until), default=None)
