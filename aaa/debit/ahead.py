"""What comes after a stored timeline, if today's facts stay as they are (R8.3). Pure."""

from collections.abc import Iterable
from itertools import chain

from aaa.debit.compile import HORIZON, compile
from aaa.debit.explain import Explanation, explain
from aaa.debit.rules.case import DAY, Case
from aaa.domain.timeline import Timeline

_BACK = 400 * DAY
"""How far before an instant its verdict is followed back, if the timeline ends earlier still."""


def explain_ahead(case: Case, timeline: Timeline, at: int, history: Iterable[tuple[Timeline, int]] = ()) -> Explanation:
    """Explain an instant beyond the horizon of `timeline`, the present one of the service in `case`; `history` as for
    `explain`.
    """
    replaced: list[tuple[Timeline, int]] = []
    moment = max(timeline.horizon, at - _BACK)
    while moment < at + HORIZON:
        replaced.insert(0, (timeline, moment))
        timeline = compile(case.policy, case.service, case.standing, moment, case.usage).timeline
        moment = timeline.horizon
    return explain(case.service.username, timeline, at, chain(replaced, history))
