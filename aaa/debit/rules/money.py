"""What blocks for money, and what remains of a standing without it (R8.4, R8.5). Pure."""

from dataclasses import replace

from aaa.debit.rules import debit, suspension
from aaa.debit.rules.case import Case
from aaa.domain.standing import Standing


def blocks(case: Case) -> bool:
    """Whether debit control or automatic suspension holds within `[case.now, case.horizon)`, whatever else does."""
    windows = (*suspension.automatic(case), *debit.windows(case))
    return any(window.start < case.horizon and window.end > case.now for window in windows)


def spared(standing: Standing) -> Standing:
    """The standing of somebody for whom money does not count."""
    return replace(standing, debt=0, debt_since=None, dues=())
