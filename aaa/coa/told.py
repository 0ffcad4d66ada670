"""What was told to routers, as it is remembered and logged (shell)."""

import json
import logging
from typing import Final

from aaa.coa.job import Job
from aaa.coa.plan import CoA, Disconnect
from aaa.coa.wish import Result, Told, Wish
from aaa.debit.reply import ADDRESS_LIST
from aaa.domain.timeline import Profile
from aaa.radius.counters import Counters
from aaa.routeros.work import Kept

_log: Final = logging.getLogger(__name__)


def note(job: Job, result: Result, error_cause: int | None, sends: int, now: int, counters: Counters) -> None:
    """One request by RADIUS, and what came of it."""
    wish, wants = job.wish, job.plan
    latency = max(0, now - wish.since)
    timed = latency if result in ("ack", "nak") else None
    octets = job.sent if wish.router.keeps_packets else None
    told = ",".join(name for name, _ in wants.attributes) if isinstance(wants, CoA) else ""
    if isinstance(wants, CoA):
        counters.add(f"coa-{result}")
        job.told.append(Told(now, "coa", wants.attributes, result, error_cause, sends, timed, octets))
        _say(wish, "coa", told, result, error_cause, latency)
    else:
        counters.add(f"disconnect-{result}")
        job.told.append(Told(now, "disconnect", (), result, error_cause, sends, timed, octets))
        _say(wish, "disconnect", wants.why if isinstance(wants, Disconnect) else "", result, error_cause, latency)


def note_lists(job: Job, kept: Kept, now: int, counters: Counters) -> None:
    """What came of asking the API for lists."""
    assert job.wish.lists is not None
    names = tuple(name for name, _ in job.wish.lists.listing.lists)
    _note_api(job, kept, ((ADDRESS_LIST, names),), ",".join(names) or "no list", now, counters)


def note_end(job: Job, kept: Kept, now: int, counters: Counters) -> None:
    """What came of asking the API to end the session."""
    _note_api(job, kept, (), "end the session", now, counters)


def _note_api(job: Job, kept: Kept, attributes: Profile, what: str, now: int, counters: Counters) -> None:
    latency = max(0, now - job.wish.since)
    counters.add(f"api-{kept.result}")
    if kept.result == "waits":
        return
    job.told.append(Told(now, "api", attributes, kept.result, None, 1, latency if kept.result == "ack" else None))
    _say(job.wish, "api", what, kept.result, kept.error or None, latency)


def _say(wish: Wish, kind: str, what: str, result: str, error: object, latency: int) -> None:
    _log.info(
        "live user=%s nas=%s session=%s verdict=%s reason=%s cause=%s sent=%s what=%s result=%s error_cause=%s ms=%.1f",
        wish.target.username,
        wish.router.name,
        wish.target.acct_session_id,
        wish.wanted.verdict.word,
        wish.reason or "-",
        wish.cause,
        kind,
        json.dumps(what),
        result,
        "-" if error is None else error,
        latency / 1000,
    )
