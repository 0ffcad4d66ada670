"""Who is told first."""

import pytest

from aaa.domain.rank import CUT, LIFT, NEITHER, rank
from aaa.domain.timeline import Verdict


@pytest.mark.parametrize(
    ("has", "wanted", "listed", "first"),
    [
        (Verdict.RESTRICT, Verdict.ALLOW, False, LIFT),
        (Verdict.DENY, Verdict.RESTRICT, False, LIFT),
        (Verdict.ALLOW, Verdict.ALLOW, False, NEITHER),
        (Verdict.ALLOW, Verdict.ALLOW, True, LIFT),  # a reminder may be over
        (Verdict.RESTRICT, Verdict.RESTRICT, True, NEITHER),
        (Verdict.ALLOW, Verdict.RESTRICT, False, CUT),
        (Verdict.ALLOW, Verdict.DENY, True, CUT),
        (None, Verdict.DENY, False, NEITHER),
        (None, Verdict.ALLOW, True, LIFT),
    ],
)
def test_lifts_are_told_before_cuts(has: Verdict | None, wanted: Verdict, listed: bool, first: int) -> None:
    assert rank(has, wanted, listed=listed) == first
