"""Login-time: outside its hours a service is not served (R1.4, R3.4). Pure."""

from aaa.debit.rules.case import Case, Window
from aaa.domain.timeline import Cause, Reason


def windows(case: Case) -> list[Window]:
    """The hours between those that login-time allows."""
    allowed = case.policy.login_time
    if allowed is None:
        return []
    reason = Reason(Cause.LOGIN_TIME, (("login_time", "; ".join(allowed.windows)),), case.policy.login_time_scope)
    found: list[Window] = []
    closed_since = case.now
    for start, end in allowed.open(case.service.timezone, case.now, case.horizon):
        if start > closed_since:
            found.append(Window(closed_since, start, reason))
        closed_since = end
    if closed_since < case.horizon:
        found.append(Window(closed_since, case.horizon, reason))
    return found
