"""Why a service has the access it has, since when and until when (R8.3): for now, a past or a coming instant. Pure.

A service's replaced timelines, each cut off where the next one took over, and its present one make one step function;
every answer is read from it. What is said of the past is what happened, of the future what today's facts lead to.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from aaa.debit.reply import attributes_json
from aaa.debit.wording import NO_NAMES, Names, figures_json, why
from aaa.domain.instant import iso
from aaa.domain.timeline import Cause, Profile, Reason, Segment, Timeline, Verdict


class NothingKnown(ValueError):
    """The instant lies before everything that is recorded of the service."""


@dataclass(frozen=True, slots=True)
class Change:
    """A later change of verdict or cause, at `start` (UTC microseconds)."""

    start: int
    verdict: Verdict
    cause: Cause | None

    def to_json(self) -> dict[str, object]:
        return {"from": iso(self.start), "verdict": self.verdict.word, "cause": _word(self.cause)}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict at `at`. Instants are UTC microseconds.

    `since` is when this verdict with this cause began, `until` when the verdict ends whatever the cause (None: it holds
    as far as is known), `changes` what follows. `reason` is None where nothing limits an allow.
    """

    username: str
    at: int
    verdict: Verdict
    reason: Reason | None
    since: int
    until: int | None
    profile: Profile
    changes: tuple[Change, ...]

    def to_json(self) -> dict[str, object]:
        """What `ledgate explain --json` prints."""
        return {
            "username": self.username,
            "at": iso(self.at),
            "verdict": self.verdict.word,
            "cause": _word(self.reason.cause if self.reason else None),
            "figures": figures_json(self.reason) if self.reason else {},
            "scope": self.reason.scope if self.reason else None,
            "since": iso(self.since),
            "until": None if self.until is None else iso(self.until),
            "profile": attributes_json(self.profile),
            "next": [change.to_json() for change in self.changes],
        }


def explain(username: str, timeline: Timeline, at: int, history: Iterable[tuple[Timeline, int]] = ()) -> Explanation:
    """Explain the access of a service at `at`, from its present timeline and its history.

    `history` gives (timeline, when it was replaced), newest first; it is read only as far back as the answer needs.
    Raises NothingKnown if `at` lies before the first timeline.
    """
    steps = _steps_backwards(timeline, history)
    later: list[_Step] = []
    for step in steps:
        if step.start <= at:
            break
        later.append(step)
    else:
        raise NothingKnown(f"nothing is recorded of {username} before {iso(later[-1].start)}")
    here = step.segment
    since = step.start
    for earlier in steps:
        if _kind(earlier.segment) != _kind(here):
            break
        since = earlier.start
    later.reverse()
    until = next((start for start, segment in later if segment.verdict is not here.verdict), None)
    return Explanation(username, at, here.verdict, here.reason, since, until, here.profile, _changes(here, later))


def sentence(explanation: Explanation, names: Names = NO_NAMES) -> str:
    """The explanation as one line for people; `names` as for `why`."""
    parts = [f"{explanation.username} at {iso(explanation.at)}: {explanation.verdict.word}"]
    if explanation.reason is not None:
        reminds = explanation.reason.cause is Cause.OVERDUE
        parts[0] += f"{', a reminder is due' if reminds else ''} because {why(explanation.reason, names)}"
    parts.append(f"since {iso(explanation.since)}")
    parts.append("no end in sight" if explanation.until is None else f"until {iso(explanation.until)}")
    first = next(iter(explanation.changes), None)
    ends = next((one for one in explanation.changes if one.start == explanation.until), None)
    if ends is not None:
        parts.append(f"then {_told(ends)}")
        if first is not ends and first is not None:
            parts.append(f"meanwhile {_told(first)} from {iso(first.start)}")
    elif first is not None:
        parts.append(f"then {_told(first)} from {iso(first.start)}")
    return ", ".join(parts)


def _told(change: Change) -> str:
    return f"{change.verdict.word}{f' ({change.cause.value})' if change.cause else ''}"


class _Step(NamedTuple):
    """A segment and when it came into force."""

    start: int
    segment: Segment


def _steps_backwards(timeline: Timeline, history: Iterable[tuple[Timeline, int]]) -> Iterator[_Step]:
    """Every segment that was or will be in force, newest first."""
    end: int | None = None
    for older, replaced_at in history:
        yield from _in_force(timeline, replaced_at, end)
        timeline, end = older, replaced_at
    yield from _in_force(timeline, timeline.start, end)


def _in_force(timeline: Timeline, start: int, end: int | None) -> Iterator[_Step]:
    """A timeline's segments in force within `[start, end)`, newest first; the last one holds on past its horizon."""
    first = timeline.index_at(start)
    for index in range(len(timeline.segments) - 1, first - 1, -1):
        segment = timeline.segments[index]
        begins = start if index == first else segment.start
        if end is None or begins < end:
            yield _Step(begins, segment)


def _changes(present: Segment, later: Iterable[_Step]) -> tuple[Change, ...]:
    changes: list[Change] = []
    kind = _kind(present)
    for start, segment in later:
        if _kind(segment) != kind:
            kind = _kind(segment)
            changes.append(Change(start, *kind))
    return tuple(changes)


def _kind(segment: Segment) -> tuple[Verdict, Cause | None]:
    return segment.verdict, segment.reason.cause if segment.reason else None


def _word(cause: Cause | None) -> str | None:
    return cause.value if cause else None
