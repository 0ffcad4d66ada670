"""The verdict timeline: access as a step function of time.

Instants are UTC microseconds and intervals half-open, `[start, end)`.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

AttributeValue = int | str | tuple[int | str, ...]
"""A reply attribute's value; a tuple is the same attribute sent several times."""

Profile = tuple[tuple[str, AttributeValue], ...]
"""What the router is told: (attribute name, value) pairs, sorted by name."""


def profile(attributes: Iterable[tuple[str, AttributeValue]]) -> Profile:
    """The canonical form of a set of reply attributes."""
    return tuple(sorted(attributes))


class Verdict(IntEnum):
    """What access a service has. The numbers are stored: never renumber."""

    ALLOW = 0
    RESTRICT = 1
    DENY = 2

    @property
    def word(self) -> str:
        return self.name.lower()


class Cause(StrEnum):
    """Why a verdict is not a plain allow, strongest first (R3.4)."""

    SUSPENDED = "suspended"
    DEBIT = "debit"
    EXPIRE = "expire"
    TRAFFIC = "traffic"
    TIME = "time"
    LOGIN_TIME = "login-time"
    OVERDUE = "overdue"


Figures = tuple[tuple[str, int | str | None], ...]


@dataclass(frozen=True, slots=True)
class Reason:
    """A cause, its figures (amounts in minor units, instants in UTC microseconds), and the scope of its rule."""

    cause: Cause
    figures: Figures
    scope: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One step: the verdict and profile that hold in `[start, end)`."""

    start: int
    end: int
    verdict: Verdict
    profile: Profile
    reason: Reason | None = None

    def same_step(self, other: "Segment") -> bool:
        """Whether both say the same, wherever they lie in time."""
        return (self.verdict, self.profile, self.reason) == (other.verdict, other.profile, other.reason)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Contiguous segments over `[start, horizon)`, in order; never empty."""

    segments: tuple[Segment, ...]

    @property
    def start(self) -> int:
        return self.segments[0].start

    @property
    def horizon(self) -> int:
        return self.segments[-1].end

    def index_at(self, now: int) -> int:
        """The index of the segment that holds `now`; before the start the first, past the horizon the last."""
        return max(0, bisect_right(self.segments, now, key=lambda segment: segment.start) - 1)

    def at(self, now: int) -> Segment:
        return self.segments[self.index_at(now)]

    def verdict_end(self, index: int) -> int | None:
        """When the verdict of segment `index` ends; None if it holds to the horizon."""
        verdict = self.segments[index].verdict
        for segment in self.segments[index + 1 :]:
            if segment.verdict is not verdict:
                return segment.start
        return None

    def next_change(self, now: int) -> int | None:
        """The next segment's start after `now`; None if there is none before the horizon."""
        following = self.index_at(now) + 1
        return self.segments[following].start if following < len(self.segments) else None

    def since(self, index: int) -> int:
        """When the verdict and cause of segment `index` began within this timeline."""
        wanted = self.segments[index]
        while index > 0 and _kind(self.segments[index - 1]) == _kind(wanted):
            index -= 1
        return self.segments[index].start

    def agrees_with(self, stored: "Timeline", now: int) -> bool:
        """Whether `stored` already says from `now` to its own horizon what this timeline says."""
        mine, theirs = _steps(self, now, stored.horizon), _steps(stored, now, stored.horizon)
        return mine == theirs


def _kind(segment: Segment) -> tuple[Verdict, Cause | None]:
    return segment.verdict, segment.reason.cause if segment.reason else None


def _steps(timeline: Timeline, start: int, end: int) -> list[tuple[int, Verdict, Profile, Reason | None]]:
    return [
        (max(segment.start, start), segment.verdict, segment.profile, segment.reason)
        for segment in timeline.segments
        if segment.end > start and segment.start < end
    ]


def build(steps: Iterable[Segment]) -> Timeline:
    """A timeline from contiguous steps, neighbours that say the same joined."""
    joined: list[Segment] = []
    for step in steps:
        if joined and joined[-1].end != step.start:
            raise ValueError(f"segments must be contiguous: {joined[-1].end} is followed by {step.start}")
        if joined and joined[-1].same_step(step):
            joined[-1] = Segment(joined[-1].start, step.end, step.verdict, step.profile, step.reason)
        else:
            joined.append(step)
    if not joined:
        raise ValueError("a timeline needs at least one segment")
    return Timeline(tuple(joined))
