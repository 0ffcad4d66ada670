"""Login-time: outside its hours a service is not served (R1.4, R3.4). Pure."""

from aaa.debit.rules.case import DAY, Case, Window
from aaa.domain.timeline import Cause, Reason


def windows(case: Case) -> list[Window]:
    """The hours between those that login-time allows."""
    allowed = case.policy.login_time
    if allowed is None:
        return []
    # Some days more on either side: whoever asks a week later is given the same edges.
    closed_since, until = case.now - 9 * DAY, case.horizon + 9 * DAY
    reason = Reason(Cause.LOGIN_TIME, (("login_time", "; ".join(allowed.windows)),), case.policy.login_time_scope)
    found: list[Window] = []
    for start, end in allowed.open(case.service.timezone, closed_since, until):
        if start > closed_since:
            found.append(Window(closed_since, start, reason))
        closed_since = end
    if closed_since < until:
        found.append(Window(closed_since, until, reason))
    return found
