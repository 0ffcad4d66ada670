"""What a router is told to be left of a quota (R6.3; RouterOS manual, RADIUS: the router's own view of directions)."""

from typing import Any

import pytest

from aaa.domain.allowance import LEAST_OCTETS, LEAST_SECONDS, Allowance
from aaa.domain.authorisation import unpack
from aaa.domain.timeline import Cause, Reason, Segment, Verdict, build, profile
from aaa.domain.usage import Kind, Quota
from tests.unit.radius.logins import DAY, HORIZON, NOW, PLAN, SECOND, World, always, nas, told

GB = 10**9
LIMITS = ("Recv-Limit", "Recv-Limit-Gigawords", "Xmit-Limit", "Xmit-Limit-Gigawords", "Total-Limit")


def quota(limit: int, used: int = 0, kind: Kind = "total", start: int = NOW - DAY, end: int = NOW + DAY) -> Quota:
    return Quota(kind, start, end, 20_000, 20_030, limit, used)


def world(*quotas: Quota, total_limit: bool = True, **more: Any) -> World:
    made = World(routers=(nas(total_limit=total_limit),))
    made.add(quotas=quotas, **more)
    return made


def limits(made: World, now: int = NOW) -> dict[str, list[str | int]]:
    """The limits of a reply, without what their names have in common, and Session-Timeout."""
    reply = told(made.login(now=now).reply)
    names = (*(f"Mikrotik-{name}" for name in LIMITS), "Mikrotik-Total-Limit-Gigawords", "Session-Timeout")
    return {name.removeprefix("Mikrotik-"): reply[name] for name in names if name in reply}


def granted(made: World) -> Allowance:
    """What the Class of a login says."""
    found = unpack(bytes.fromhex(str(told(made.login().reply)["Class"][0])[2:]))
    assert found is not None
    return found.allowed


def test_r6_3_no_router_is_told_unless_it_is_set_to() -> None:
    assert limits(world(quota(10 * GB), quota(7_200, kind="seconds"), total_limit=False)) == {}
    assert granted(world(quota(10 * GB), total_limit=False)) == (0, "total", 0)
    assert limits(world()) == {}


def test_r6_3_what_is_left_with_gigawords() -> None:
    assert limits(world(quota(3 * GB, used=GB))) == {"Total-Limit": [2 * GB + 1]}
    left = 10 * GB - 1 * GB + 1
    made = world(quota(10 * GB, used=GB))
    assert limits(made) == {"Total-Limit": [left % 2**32], "Total-Limit-Gigawords": [left // 2**32]}
    assert granted(made) == (left, "total", 0)


@pytest.mark.parametrize(("kind", "name"), [("upload", "Recv-Limit"), ("download", "Xmit-Limit")])
def test_r6_3_directions_as_the_router_sees_them(kind: Kind, name: str) -> None:
    made = world(quota(5 * GB, kind=kind))
    assert limits(made) == {name: [5 * GB + 1 - 2**32], f"{name}-Gigawords": [1]}
    assert granted(made) == (5 * GB + 1, kind, 0)


def test_r6_3_of_several_volumes_the_nearest() -> None:
    made = world(quota(3 * GB), quota(GB, used=GB // 2, kind="upload"), quota(2 * GB, kind="download"))
    assert limits(made) == {"Recv-Limit": [GB // 2 + 1]}


def test_r6_3_a_limit_is_never_zero_and_never_a_crumb() -> None:
    assert limits(world(quota(2 * 2**32 - 1))) == {"Total-Limit": [1], "Total-Limit-Gigawords": [2]}
    assert limits(world(quota(10 * GB, used=10 * GB))) == {"Total-Limit": [LEAST_OCTETS]}
    assert limits(world(quota(7_200, used=7_199, kind="seconds"))) == {"Session-Timeout": [LEAST_SECONDS]}


def test_r6_3_the_quota_of_the_billing_period_that_it_is() -> None:
    made = world(quota(3 * GB, used=2 * GB), quota(3 * GB, start=NOW + DAY, end=NOW + 2 * DAY))
    assert limits(made, NOW + DAY - 1) == {"Total-Limit": [GB + 1]}
    assert limits(made, NOW + DAY) == {"Total-Limit": [3 * GB + 1]}
    assert limits(made, NOW + 2 * DAY) == {}


def test_r6_3_a_time_quota_is_a_session_timeout_where_nothing_ends_sooner() -> None:
    made = world(quota(7_200, used=200, kind="seconds"))
    assert limits(made) == {"Session-Timeout": [7_001]}
    assert granted(made) == (0, "total", 7_001)
    ends = build(
        [
            Segment(NOW - DAY, NOW + 100 * SECOND, Verdict.ALLOW, PLAN),
            Segment(NOW + 100 * SECOND, HORIZON, Verdict.DENY, (), Reason(Cause.EXPIRE, (), "user:ali")),
        ]
    )
    [timeout] = limits(world(quota(7_200, kind="seconds"), timeline=ends))["Session-Timeout"]
    assert 100 < int(timeout) < 200
    daily = profile([*PLAN, ("Session-Timeout", 3_600)])
    assert limits(world(quota(7_200, kind="seconds"), timeline=always(attributes=daily))) == {
        "Session-Timeout": [3_600]
    }


def test_r6_3_who_is_restricted_is_told_no_limit() -> None:
    reason = Reason(Cause.DEBIT, (("debt", 5),), "server")
    assert limits(world(quota(3 * GB), timeline=always(Verdict.RESTRICT, PLAN, reason))) == {}


@pytest.mark.parametrize("name", ["Mikrotik-Total-Limit", "Mikrotik-Recv-Limit-Gigawords"])
def test_r6_3_a_limit_that_the_operator_sets_stands_alone(name: str) -> None:
    own = profile([*PLAN, (name, 5)])
    made = world(quota(3 * GB), quota(7_200, kind="seconds"), timeline=always(attributes=own))
    assert limits(made) == {name.removeprefix("Mikrotik-"): [5], "Session-Timeout": [7_201]}
    assert granted(made) == (0, "total", 7_201)
