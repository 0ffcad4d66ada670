"""The service's own end (R7.6). Pure."""

from aaa.debit.rules.case import FOREVER, Case, Window
from aaa.domain.service import Level, Scope
from aaa.domain.timeline import Cause, Figures, Reason


def windows(case: Case) -> list[Window]:
    """The service's own end."""
    if case.service.active_to is None:
        return []
    figures: Figures = (("active_to_at", case.service.active_to),)
    reason = Reason(Cause.EXPIRE, figures, str(Scope(Level.USER, case.service.username)))
    return [Window(case.service.active_to, FOREVER, reason)]
