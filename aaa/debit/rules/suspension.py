"""Suspension: by hand (R4.1 to R4.4), and of who does not pay (R4.5 to R4.9). Pure."""

from aaa.debit.rules.case import ALWAYS, FOREVER, Case, Window
from aaa.domain.service import Level, Scope
from aaa.domain.timeline import Cause, Figures, Reason

NON_PAYER = "non_payer"
"""The reason that automatic suspension gives (R4.8)."""


def manual(case: Case) -> list[Window]:
    """Manual suspensions, whatever is owed or paid (R4.4). Of several that hold the one that began first decides."""
    scope = str(Scope(Level.USER, case.service.username))
    windows: list[Window] = []
    for one in case.service.suspensions:
        for start, end in one.windows(case.service.timezone, case.now, case.horizon):
            figures: Figures = (
                ("reason", one.reason),
                ("from_at", start),
                ("to_at", end),
                ("repeat", one.repeat.value),
            )
            reason = Reason(Cause.SUSPENDED, figures, scope)
            opens = ALWAYS if start is None else start
            windows.append(Window(opens, FOREVER if end is None else end, reason, one.reason))
    return sorted(windows, key=lambda window: window.start)


def automatic(case: Case) -> list[Window]:
    """Computed from what is owed now, never stored: switched off it is gone, switched on it is back (R4.8).

    The figures are those of the moment it begins. `limit` says which condition did it: days, amount, or both together.
    """
    policy, standing = case.policy.suspend, case.standing
    if policy is None or not policy.on or not standing.dues:  # R8.5
        return []
    begins, limit = case.days_past(standing.dues[0].due_at, policy.days), "days"
    if policy.least is not None:
        exceeds = overdue_since(case, policy.least + 1)
        if policy.match == "any":
            if exceeds is not None and exceeds < begins:
                begins, limit = exceeds, "amount"
        elif exceeds is None:
            return []
        else:
            begins, limit = max(begins, exceeds), "both"
    delays: Figures = ()
    for name, until in (("promise_until_at", standing.promise_until), ("exempt_until_at", case.service.exempt_until)):
        if until is not None and until > begins:  # R7.8, R4.9
            begins = until
            delays += ((name, until),)
    figures: Figures = (
        ("reason", NON_PAYER),
        ("policy", policy.name),
        ("currency", standing.currency),
        ("overdue", overdue_at(case, begins)),
        ("oldest_due_at", standing.dues[0].due_at),
        ("limit", limit),
    )
    if limit != "amount":
        figures += (("days", policy.days),)
    if limit != "days":
        figures += (("least", policy.least),)
    reason = Reason(Cause.SUSPENDED, figures + delays, case.policy.suspend_scope)
    return [Window(begins, FOREVER, reason, NON_PAYER)]


def overdue_since(case: Case, least: int) -> int | None:
    """When the overdue total reaches `least`; None if all that is due does not come to it."""
    total = 0
    for due in case.standing.dues:
        total += due.remaining
        if total >= least:
            return case.days_past(due.due_at, 0)
    return None


def overdue_at(case: Case, at: int) -> int:
    """The overdue total: what is past due by more than no day (R4.6)."""
    return sum(due.remaining for due in case.standing.dues if case.days_past(due.due_at, 0) <= at)
