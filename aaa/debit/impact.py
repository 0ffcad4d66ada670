"""What a change does to those online: who is cut off, slowed or restored, and whether they are too many (R8.4). Pure.

A service is looked at over the hour from `now`, by the timeline stored before the change and the one compiled after it.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from math import inf
from typing import Final, NamedTuple

from aaa.debit.reply import RATE_LIMIT
from aaa.domain.rate_limit import BadRateLimit, parse
from aaa.domain.settings import Settings
from aaa.domain.timeline import Profile, Segment, Timeline, Verdict

HOUR: Final = 3_600_000_000
FORESEEN: Final = 24 * HOUR
"""A cut that was known for this long is nobody's accident."""


class Effect(StrEnum):
    """What a change does to one service."""

    CUT = "cut"
    SLOWED = "slowed"
    RESTORED = "restored"


class Impact(NamedTuple):
    """An effect, its cause (of a cut or lower rate: why it comes; of a restoration: what it ends; `rate` where a rate
    is lower without one of Cause), and the instant at which it shows (UTC microseconds).
    """

    effect: Effect
    cause: str
    at: int


def classify(stored: Timeline | None, fresh: Timeline, now: int) -> Impact | None:
    """What replacing `stored` by `fresh` does to a service in the hour from `now`; None: nothing that counts.

    A new service (`stored` is None) is never counted, nor is a cut that `stored` says too, nor one that comes early
    where `stored` has said for 24 hours that it would come within this hour. From restrict to deny nothing is cut.
    """
    if stored is None:
        return None
    starts = {segment.start for segment in chain(stored.segments, fresh.segments)}
    instants = [now, *sorted(start for start in starts if now < start < now + HOUR)]
    steps = [(at, stored.at(at), fresh.at(at)) for at in instants]
    if not _allowed(steps[0][1]):
        for at, old, new in steps:
            if not _allowed(old) and _allowed(new):
                return Impact(Effect.RESTORED, _cause(old), at)
        return None
    foreseen = stored.start <= now - FORESEEN and not all(_allowed(old) for _, old, _ in steps)
    if not foreseen:
        for at, old, new in steps:
            if _allowed(old) and not _allowed(new):
                return Impact(Effect.CUT, _cause(new), at)
    for at, old, new in steps:
        if _allowed(old) and _allowed(new) and is_slower(new.profile, old.profile):
            return Impact(Effect.SLOWED, _cause(new), at)
    return None


def _allowed(segment: Segment) -> bool:
    return segment.verdict is Verdict.ALLOW


def _cause(segment: Segment) -> str:
    return segment.reason.cause.value if segment.reason is not None else "rate"


def is_slower(profile: Profile, than: Profile) -> bool:
    """Whether a rate limit is below the other's in any direction. No limit, or 0, is above every limit; a limit that
    cannot be read is never compared.
    """
    mine, theirs = dict(profile).get(RATE_LIMIT, "0"), dict(than).get(RATE_LIMIT, "0")
    if mine == theirs:
        return False
    try:
        new, old = parse(str(mine)).max_limit, parse(str(theirs)).max_limit
    except BadRateLimit:
        return False
    return any((one or inf) < (other or inf) for one, other in zip(new, old, strict=True))


class Affected(NamedTuple):
    """One service that a change has an effect on."""

    service_id: int
    username: str
    visp: str
    impact: Impact


@dataclass(slots=True)
class Tally:
    """The effects of a change so far, service by service."""

    affected: list[Affected] = field(default_factory=list)

    def add(self, service_id: int, username: str, visp: str, impact: Impact | None) -> None:
        if impact is not None:
            self.affected.append(Affected(service_id, username, visp, impact))

    def count(self, effect: Effect) -> int:
        return sum(one.impact.effect is effect for one in self.affected)

    @property
    def cut(self) -> int:
        return self.count(Effect.CUT)

    def groups(self) -> list[tuple[str, Effect, str, int]]:
        """(VISP, effect, cause, services), by VISP, then cuts first, then the most."""
        counted = Counter((one.visp, one.impact.effect, one.impact.cause) for one in self.affected)
        order = list(Effect)
        rows = [(visp, effect, cause, count) for (visp, effect, cause), count in counted.items()]
        return sorted(rows, key=lambda row: (row[0], order.index(row[1]), -row[3], row[2]))


def limit(allowed: int, settings: Settings) -> int:
    """How many services may be cut off without a confirmation, of so many that are allowed now."""
    return max(settings.cut_off_limit_least, allowed * settings.cut_off_limit_percent // 100)
