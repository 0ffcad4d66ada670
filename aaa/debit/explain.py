"""Why a service has the access it has, since when and until when (R8.3): for now, a past or a coming instant. Pure.

A service's replaced timelines, each cut off where the next one took over, and its present one make one step function;
every answer is read from it. What is said of the past is what happened, of the future what today's facts lead to.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from aaa.debit.reply import attributes_json
from aaa.debit.rules import fup
from aaa.domain.instant import iso
from aaa.domain.money import format_amount
from aaa.domain.timeline import Cause, Profile, Reason, Segment, Timeline, Verdict

Figure = int | str | None


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


def why(reason: Reason) -> str:
    """A reason in words, for people and logs.

    `debt 812,000 IRR has reached the limit of 800,000 IRR (Home-Users, server)`, `an operator suspended it, profile3
    from 2026-07-01T00:00:00Z (user:ali)`
    """
    figures = dict(reason.figures)
    if reason.cause is Cause.DEBIT:
        return f"{_debit(figures)} ({figures['control']}, {reason.scope})"
    if reason.cause is Cause.EXPIRE:
        return f"the service ran until {_spell('active_to_at', figures['active_to_at'])} ({reason.scope})"
    if reason.cause is Cause.SUSPENDED and "policy" in figures:
        return f"non-payer: {_non_payer(figures)} ({figures['policy']}, {reason.scope})"
    if reason.cause is Cause.SUSPENDED:
        return f"an operator suspended it, {_suspended(figures)} ({reason.scope})"
    if reason.cause in (Cause.TRAFFIC, Cause.TIME):
        return f"{fup.told(figures)} ({figures['policy']}, {reason.scope})"
    if reason.cause is Cause.OVERDUE:
        return f"{_overdue(figures)} ({figures['policy']}, {reason.scope})"
    if reason.cause is Cause.LOGIN_TIME:
        return f"it is outside the hours of login-time, {figures['login_time']} ({reason.scope})"
    listed = ", ".join(f"{_label(name)} {_spell(name, value)}" for name, value in reason.figures)
    return f"{reason.cause.value}{': ' if listed else ''}{listed} ({reason.scope})"


def sentence(explanation: Explanation) -> str:
    """The explanation as one line for people."""
    parts = [f"{explanation.username} at {iso(explanation.at)}: {explanation.verdict.word}"]
    if explanation.reason is not None:
        reminds = explanation.reason.cause is Cause.OVERDUE
        parts[0] += f"{', a reminder is due' if reminds else ''} because {why(explanation.reason)}"
    parts.append(f"since {iso(explanation.since)}")
    parts.append("no end in sight" if explanation.until is None else f"until {iso(explanation.until)}")
    if explanation.changes:
        change = explanation.changes[0]
        cause = f" ({change.cause.value})" if change.cause else ""
        moment = "" if change.start == explanation.until else f" from {iso(change.start)}"
        parts.append(f"then {change.verdict.word}{cause}{moment}")
    return ", ".join(parts)


def figures_json(reason: Reason) -> dict[str, Figure]:
    """A reason's figures by name; those called `…_at` are instants and become ISO 8601."""
    return {name: _spell(name, value) for name, value in reason.figures}


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


def _debit(figures: Mapping[str, Figure]) -> str:
    currency = str(figures["currency"])
    debt = format_amount(_number(figures["debt"]), currency)
    promised = _delays(figures)
    if figures["limit"] == "max_debt":
        return f"debt {debt} has reached the limit of {format_amount(_number(figures['max_debt']), currency)}{promised}"
    days, seconds = divmod(_number(figures["max_delay"]), 86_400)
    delay = f"{days} days" if not seconds else f"{_number(figures['max_delay'])} s"
    start, deadline = (_spell(name, figures[name]) for name in ("clock_start_at", "deadline_at"))
    return f"debt {debt} has stood past its deadline {deadline}, {delay} after {start}{promised}"


def _suspended(figures: Mapping[str, Figure]) -> str:
    told = str(figures["reason"])
    for word in ("from", "to"):
        if figures[f"{word}_at"] is not None:
            told += f" {word} {_spell(f'{word}_at', figures[f'{word}_at'])}"
    return told if figures["repeat"] == "none" else f"{told}, {figures['repeat']}"


def _non_payer(figures: Mapping[str, Figure]) -> str:
    """`overdue 500 CZK is above 399 CZK, unpaid more than 14 days after 2025-12-31T23:00:00Z`"""
    told, limit = _owed(figures), figures["limit"]
    if limit != "days":
        told += f" is above {format_amount(_number(figures['least']), str(figures['currency']))}"
    if limit != "amount":
        told += f"{',' if limit == 'both' else ' is'} unpaid more than {_late(figures['days'], figures)}"
    return told + _delays(figures)


def _overdue(figures: Mapping[str, Figure]) -> str:
    """`overdue 500 CZK has reached 10 CZK, unpaid more than 3 days after 2025-12-31T23:00:00Z`"""
    least = _number(figures["least"])
    reached = f" has reached {format_amount(least, str(figures['currency']))}," if least else " is"
    return f"{_owed(figures)}{reached} unpaid more than {_late(figures['after_days'], figures)}{_delays(figures)}"


def _owed(figures: Mapping[str, Figure]) -> str:
    return f"overdue {format_amount(_number(figures['overdue']), str(figures['currency']))}"


def _late(days: Figure, figures: Mapping[str, Figure]) -> str:
    return f"{days} day{'' if days == 1 else 's'} after {_spell('oldest_due_at', figures['oldest_due_at'])}"


def _delays(figures: Mapping[str, Figure]) -> str:
    """What kept a cause of money waiting: a promise (R7.8), an exemption (R4.9)."""
    words = (("promise_until_at", "promised"), ("exempt_until_at", "exempt"))
    return "".join(f", {word} until {_spell(name, figures[name])}" for name, word in words if name in figures)


def _number(value: Figure) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no number")
    return value


def _label(name: str) -> str:
    return name.removesuffix("_at").replace("_", " ")


def _spell(name: str, value: Figure) -> Figure:
    return iso(value) if name.endswith("_at") and isinstance(value, int) else value
