"""What was answered, beside what the database has."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from sqlalchemy import select

from aaa.store.database import open_database
from aaa.store.tables import service, session, usage_day
from tests.load.storm import Carried


def faults(database_url: str, carried: Iterable[Carried]) -> list[str]:
    """How the database differs from what routers were told, in words; it knows of these sessions and no others.

    Every answered record must be there once: as it was the last word on its session, the session's counters are those
    of the last answered record, and a service's days add up to its sessions.
    """
    found: list[str] = []
    database = open_database(database_url)
    try:
        with database.snapshot() as conn:
            columns = (session.c.acct_session_id, session.c.service_id, session.c.closed_by)
            counted = (session.c.seconds, session.c.up, session.c.down)
            rows = conn.execute(select(*columns, *counted)).all()
            names = {row.id: row.username for row in conn.execute(select(service.c.id, service.c.username))}
            days = conn.execute(select(usage_day)).all()
    finally:
        database.close()
    times = Counter(row.acct_session_id for row in rows)
    found += [f"session {one} is there {count} times" for one, count in times.items() if count > 1]
    by_id = {row.acct_session_id: row for row in rows}
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in carried:
        row = by_id.pop(one.session_id, None)
        if one.answered is None:
            continue
        if row is None:
            found.append(f"session {one.session_id} was answered and is not there")
            continue
        told = (one.answered.seconds, one.answered.up, one.answered.down)
        kept = (row.seconds, row.up, row.down)
        if told != kept:
            found.append(f"session {one.session_id}: the answered records say {told}, stored is {kept}")
        if one.stopped != (row.closed_by == "stop"):
            found.append(f"session {one.session_id}: stopped is {one.stopped}, closed by {row.closed_by}")
        if names.get(row.service_id) != one.username:
            found.append(f"session {one.session_id} of {one.username} is {names.get(row.service_id)}'s")
        for at, count in enumerate(told):
            sums[one.username][at] += count
    found += [f"session {one} is there and was never begun" for one in by_id]
    stored: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for day in days:
        for at, count in enumerate((day.seconds, day.up, day.down)):
            stored[names[day.service_id]][at] += count
    for name in sorted(sums.keys() | stored.keys()):
        if sums[name] != stored[name]:
            found.append(f"{name}: the sessions add up to {sums[name]}, the days to {stored[name]}")
    return found
