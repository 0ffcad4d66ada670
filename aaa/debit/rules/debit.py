"""DebitControl: a debt that is too high, or too old (R2). Pure."""

from aaa.debit.controls.debit_control import DebitControl
from aaa.debit.rules.case import ALWAYS, FOREVER, SECOND, Case, Window
from aaa.domain.standing import Standing
from aaa.domain.timeline import Cause, Figures, Reason


def windows(case: Case) -> list[Window]:
    """DebitControl. Once the debt has reached `max_debt` it blocks for as long as the facts stay as they are, so the
    deadline of `max_delay` adds nothing and is not given: the reason does not change when it passes.
    """
    control, standing = case.policy.debit, case.standing
    if control is None or standing.debt <= 0:  # R2.4
        return []
    figures: Figures = (("control", control.name), ("currency", standing.currency), ("debt", standing.debt))
    if control.max_debt is not None and standing.debt >= control.max_debt:  # R2.2
        start = ALWAYS
        figures += (("limit", "max_debt"), ("max_debt", control.max_debt))
    else:
        clock_start = _clock_start(control, standing)
        if control.max_delay is None or clock_start is None:
            return []
        start = clock_start + control.max_delay * SECOND  # R2.3
        figures += (
            ("limit", "max_delay"),
            ("max_delay", control.max_delay),
            ("clock_start_at", clock_start),
            ("deadline_at", start),
        )
    if standing.promise_until is not None and standing.promise_until > start:  # R7.8
        start = standing.promise_until
        figures += (("promise_until_at", start),)
    return [Window(start, FOREVER, Reason(Cause.DEBIT, figures, case.policy.debit_scope))]


def _clock_start(control: DebitControl, standing: Standing) -> int | None:
    """When the delay began to count; None if the standing does not say, which never blocks."""
    if control.anchor == "oldest_unpaid":  # R2.6
        return standing.dues[0].due_at if standing.dues else None
    if standing.last_payment_at is None or standing.debt_since is None:
        return standing.debt_since
    return max(standing.last_payment_at, standing.debt_since)  # R2.5
