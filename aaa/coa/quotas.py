"""What live sessions were told to be left of their quotas, against what is left now (shell).

A session keeps the limit that its login got, whatever happens to the quota: more may be sold, the policy changed, a new
billing period begin. RouterOS takes no higher Mikrotik-Total-Limit by CoA, so that it needs a new login; and nobody is
disturbed for one before he is about to need it (R6.3).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row

from aaa.domain.allowance import spent
from aaa.domain.timeline import Verdict
from aaa.domain.usage import SECONDS, Kind, Quota, Usage, used
from aaa.store import record
from aaa.store.accounting import QUOTA
from aaa.store.facts import read_usage

_INTERIMS: Final = 2


class Standing(NamedTuple):
    """`limit_seconds` and `cut_early` as in Wanted and LiveSession of aaa.coa.plan."""

    limit_seconds: int
    cut_early: bool


UNTOLD: Final = Standing(0, False)


def standings(
    conn: Connection, rows: Sequence[Row[Any]], steps: Mapping[int, record.Step | None], now: int
) -> dict[int, Standing]:
    """By session id, for those `rows` of `session` that were told a limit and are allowed at `now`; `steps` are the
    segments that hold then.
    """
    quotas: dict[int, dict[Kind, Quota]] = {}
    told = []
    for row in rows:
        step = steps[row.session_id]
        if (row.limit_octets is None and row.limit_seconds is None) or step is None or step.verdict != Verdict.ALLOW:
            continue
        told.append(row)
        found = record.quotas(record.entry(row.record))
        quotas[row.service_id] = {one.kind: one for one in found if one.start <= now < one.end}
    since = {service_id: min(one.since_day for one in its.values()) for service_id, its in quotas.items() if its}
    usage = read_usage(conn, since)
    return {row.session_id: _standing(row, quotas[row.service_id], usage.get(row.service_id, ())) for row in told}


def _standing(row: Any, quotas: Mapping[Kind, Quota], usage: Usage) -> Standing:
    seconds = 0
    if row.limit_seconds is not None and SECONDS in quotas:
        seconds = max(row.limit_seconds, row.seconds + _left(quotas[SECONDS], usage))
    return Standing(seconds, row.limit_octets is not None and _cut_early(row, quotas, usage))


def _cut_early(row: Any, quotas: Mapping[Kind, Quota], usage: Usage) -> bool:
    limit: int = row.limit_octets
    counted = spent(row.limit_kind, row.up, row.down)
    if row.limit_kind in quotas and counted + _left(quotas[row.limit_kind], usage) <= limit:
        return False
    # At the pace it has had so far; accounting, which sees the pace it has now, may have found it near already.
    pace: int = counted * row.interim // max(1, row.seconds)
    return row.cause == QUOTA or limit - counted <= _INTERIMS * pace


def _left(quota: Quota, usage: Usage) -> int:
    days = (one for one in usage if quota.since_day <= one.day < quota.until_day)
    return quota.left(used(quota.kind, days))
