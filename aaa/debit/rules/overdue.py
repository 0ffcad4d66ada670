"""The overdue reminder: the internet stays on, a page reminds (R5). Pure."""

from aaa.debit.rules.case import DAY, FOREVER, Case, Window
from aaa.debit.rules.suspension import overdue_at, overdue_since
from aaa.domain.timeline import Cause, Figures, Reason


def windows(case: Case) -> list[Window]:
    """From the first day of reminding on, but for the days after an OK (R5.2). The figures are those of that day."""
    policy, standing = case.policy.overdue, case.standing
    if policy is None or not policy.on or not standing.dues or case.service.dont_show_overdue:
        return []
    owes = overdue_since(case, policy.least)
    if owes is None:
        return []
    begins = max(owes, case.days_past(standing.dues[0].due_at, policy.after))
    promised: Figures = ()
    if standing.promise_until is not None and standing.promise_until > begins:  # R7.8
        begins = standing.promise_until
        promised = (("promise_until_at", begins),)
    figures: Figures = (
        ("policy", policy.name),
        ("currency", standing.currency),
        ("overdue", overdue_at(case, begins)),
        ("oldest_due_at", standing.dues[0].due_at),
        ("after_days", policy.after),
        ("least", policy.least),
        ("every_days", policy.every),
        *((("https", policy.https),) if policy.https != "allow" else ()),
        *promised,
    )
    reason = Reason(Cause.OVERDUE, figures, case.policy.overdue_scope)
    confirmed = case.service.acknowledged_at
    if confirmed is None:
        return [Window(begins, FOREVER, reason, blocks=False)]
    again = Window(max(begins, confirmed + policy.every * DAY), FOREVER, reason, blocks=False)
    return [Window(begins, confirmed, reason, blocks=False), again] if begins < confirmed else [again]
