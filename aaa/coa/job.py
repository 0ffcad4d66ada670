"""A wish in hand: what is under way for it, and what came of that so far. Pure."""

from dataclasses import dataclass, field

from aaa.coa.plan import CoA, Disconnect, LiveSession
from aaa.coa.wish import Awaited, Outcome, Stored, Told, Wish


@dataclass(slots=True)
class Job:
    """A wish in hand, with up to three things under way for it.

    `plan` is what is to be told by RADIUS, None: nothing (any more); `secret` which of the router's secrets it is told
    with, `untried` how many are left; `sent` the datagram. `held`: it waits for the replicas. `token` is that of the
    lists at the RouterOS API, `ending` that of the session's end there, 0: there is none (any more). With `prolongs`
    the plan only puts off the session's end, until its turn comes. `its_turn`: it comes from its router's
    line. `settled`: all is done. The rest is for the outcome.
    """

    wish: Wish
    plan: CoA | Disconnect | None = None
    secret: int = 0
    untried: int = 0
    sent: bytes | None = None
    held: bool = False
    token: int = 0
    ending: int = 0
    its_turn: bool = False
    prolongs: bool = False
    settled: bool = False
    told: list[Told] = field(default_factory=list)
    again_at: int | None = None
    tries: int = 0
    session: LiveSession | None = None
    lists: Stored | None = None
    proof: Awaited | None = None
    turn_at: int = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is under way for it any more."""
        return self.plan is None and not self.token and not self.ending

    @property
    def waits(self) -> bool:
        """Whether there is something to tell by RADIUS yet."""
        return self.plan is not None and not self.settled

    def again(self, at: int, tries: int) -> None:
        """Have the wish claimed again at `at`, or before if something else of it asks for that."""
        self.again_at = at if self.again_at is None else min(self.again_at, at)
        self.tries = max(self.tries, tries)

    def outcome(self) -> Outcome:
        return Outcome(
            self.wish,
            tuple(self.told),
            self.again_at,
            self.tries,
            self.session,
            self.lists,
            self.prolongs,
            self.proof,
            self.turn_at,
        )
