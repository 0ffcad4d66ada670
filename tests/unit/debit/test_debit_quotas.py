"""What routers may be told of a FupPolicy: the next level of each kind, where it suspends (R6.3)."""

from typing import Any

from aaa.debit.compile import HORIZON
from aaa.domain.billing_period import midnight, period_of
from aaa.domain.usage import DayUsage
from tests.unit.debit.cases import SERVICE
from tests.unit.debit.test_debit_fup import FAIR, GB, NOW, TODAY, compiled, day, policy

CAP: dict[str, Any] = {"gb": 10, "suspend": True}
SLOW: dict[str, Any] = {"gb": 5, "reduce": "1M/1M"}


def told(levels: list[dict[str, Any]], *usage: DayUsage) -> list[tuple[str, int, int]]:
    """(kind, limit, used) of this period's quotas."""
    found = compiled(policy({"levels": levels}), *usage).quotas
    return [(one.kind, one.limit, one.used) for one in found if one.start <= NOW < one.end]


def test_r6_3_only_where_the_next_level_suspends() -> None:
    assert told([CAP]) == [("total", 10 * GB, 0)]
    assert told([SLOW, CAP]) == []
    assert told([SLOW, CAP], day(down=5 * GB + 1)) == [("total", 10 * GB, 5 * GB + 1)]
    assert told([SLOW, CAP], day(down=10 * GB + 1)) == []
    assert told([SLOW]) == []
    assert compiled(policy({"levels": [SLOW]})).quotas == ()


def test_r6_3_each_kind_has_its_own_next_level() -> None:
    levels = [SLOW, {"gb": 1, "direction": "upload", "suspend": True}, CAP, {"hours": 2, "suspend": True}]
    assert told(levels, day(GB, GB, 60)) == [("seconds", 7_200, 60), ("upload", GB, GB)]
    # level 1 is in force: it counts no more, and of its kind the next one suspends
    assert told(levels, day(0, 6 * GB, 60)) == [("seconds", 7_200, 60), ("total", 10 * GB, 6 * GB), ("upload", GB, 0)]


def test_r6_3_for_every_billing_period_that_the_timeline_reaches() -> None:
    found = compiled(policy(FAIR), day(down=150 * GB)).quotas
    this = period_of(TODAY, SERVICE.billing_day)
    first, *later = found
    assert (first.since_day, first.until_day) == this
    assert (first.start, first.end) == (midnight(this[0], SERVICE.timezone), midnight(this[1], SERVICE.timezone))
    assert (first.limit, first.used) == (200 * GB, 150 * GB)
    assert later == []  # there the first level reduces
    capped = compiled(policy({"levels": [CAP]}), day(down=GB)).quotas
    assert [one.used for one in capped] == [GB, *(0 for _ in capped[1:])]
    assert [one.end for one in capped[:-1]] == [one.start for one in capped[1:]]
    assert capped[-1].end >= NOW + HORIZON > capped[-1].start


def test_r6_3_hours_are_a_quota_too_and_a_lower_rate_is_none() -> None:
    assert told([{"hours": 2, "suspend": True}], day(seconds=7_200)) == [("seconds", 7_200, 7_200)]
    assert told([{"hours": 2, "reduce": "1M/1M"}]) == []
