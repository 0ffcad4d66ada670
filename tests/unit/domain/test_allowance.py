"""What a session is told to be left of its quotas: in its Class, and how near it is to the end of it (R6.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.domain.allowance import KINDS, UNLIMITED, Allowance, Watch
from aaa.domain.authorisation import Authorisation, unpack
from aaa.domain.usage import Kind, Quota

GB = 10**9


@given(st.integers(0, 2**63 - 1), st.sampled_from(KINDS), st.integers(0, 2**31 - 1))
def test_r6_3_class_carries_an_allowance(octets: int, kind: Kind, seconds: int) -> None:
    told = Authorisation(7, 3, 1, -5, 1_790_000_000, Allowance(octets, kind, seconds))
    assert unpack(told.pack()) == (told if octets or seconds else told._replace(allowed=UNLIMITED))


def test_r6_3_a_class_without_an_allowance_is_as_it_was() -> None:
    plain = Authorisation(7, 3, 1, -5, 1_790_000_000).pack()
    assert len(plain) == 27
    assert unpack(plain) == Authorisation(7, 3, 1, -5, 1_790_000_000)
    full = Authorisation(7, 3, 1, -5, 0, Allowance(GB, "download", 60)).pack()
    assert len(full) == 40
    assert unpack(full[:-1]) is None and unpack(full + b"\0") is None
    assert unpack(full[:35] + b"\x09" + full[36:]) is None  # no such kind
    # a forged one must not make the database refuse the record
    huge = unpack(full[:27] + b"\xff" * 8 + b"\0" + b"\xff" * 4)
    assert huge is not None and huge.allowed == Allowance(2**63 - 1, "total", 2**31 - 1)


@pytest.mark.parametrize(
    ("kind", "up", "down", "near"),
    [
        ("total", 1 * GB, 2 * GB, False),  # 3 GB since the record before, 7 left
        ("total", 1 * GB, 3 * GB, True),  # 4 GB, 6 left
        ("total", 6 * GB, 5 * GB, True),  # past it
        ("total", 0, 0, False),  # nothing since
        ("download", 9 * GB, 1 * GB, False),
        ("download", 0, 4 * GB, True),
        ("upload", 1 * GB, 9 * GB, False),
        ("upload", 4 * GB, 0, True),
    ],
)
def test_r6_3_two_interims_before_a_volume_is_used_up(kind: Kind, up: int, down: int, near: bool) -> None:
    assert Watch(Allowance(10 * GB, kind, 0), 300, 0, 0).nears(600, up, down) is near


@pytest.mark.parametrize(("seconds", "near"), [(300, False), (2_900, False), (3_001, False), (6_400, True)])
def test_r6_3_two_interims_before_a_time_is_used_up(seconds: int, near: bool) -> None:
    assert Watch(Allowance(0, "total", 7_000), seconds - 300, 0, 0).nears(seconds, GB, GB) is near


def test_r6_3_what_is_left_exceeds_the_limit_once_it_is_used() -> None:
    quota = Quota("total", 0, 1, 0, 1, 10 * GB, 0)
    assert [quota.left(used) for used in (0, 4 * GB, 10 * GB, 10 * GB + 1, 99 * GB)] == [
        10 * GB + 1,
        6 * GB + 1,
        1,
        0,
        0,
    ]
