"""Who is online on a service, and what he was told that he may use, for `ledgate explain`."""

from typing import Any

from aaa.debit.rules.fup import in_gigabytes
from aaa.domain.allowance import spent
from aaa.domain.instant import iso
from aaa.routeros.lists import UNSURE, read_stored
from ledgate.cli.used import in_hours


def to_json(row: Any) -> dict[str, Any]:
    """A row of `open_sessions`; `limit` is None where its router was told none of them, `lists` those its addresses are
    on by the router's API, with "?" among them if that is not sure.
    """
    limit: dict[str, Any] = {}
    if row.limit_octets is not None:
        used = spent(row.limit_kind, row.up, row.down)
        limit |= {"octets": row.limit_octets, "direction": row.limit_kind, "used": used}
    if row.limit_seconds is not None:
        limit |= {"seconds": row.limit_seconds, "online": row.seconds}
    if row.given_end is not None:
        limit["ends"] = iso(row.given_end)
    return {
        "nas": row.nas,
        "acct_session_id": row.acct_session_id,
        "started": iso(row.started_at),
        "limit": limit or None,
        "lists": sorted(read_stored(row.lists)),
    }


def line(row: Any, gigabyte: int) -> str:
    """The same for people; `gigabyte` in octets."""
    limits = []
    if row.limit_octets is not None:
        used = in_gigabytes(spent(row.limit_kind, row.up, row.down), gigabyte)
        limits.append(f"{in_gigabytes(row.limit_octets, gigabyte)} ({row.limit_kind}), of which {used} are used")
    if row.limit_seconds is not None:
        limits.append(f"{in_hours(row.limit_seconds)} online, of which {in_hours(row.seconds)} are used")
    if row.given_end is not None:
        limits.append(f"nothing after {iso(row.given_end)}")
    told = f"was given {' and '.join(limits)}" if limits else "was given no limit"
    return f"online on {row.nas} since {iso(row.started_at)} (session {row.acct_session_id}): {told}{_lists(row)}"


def _lists(row: Any) -> str:
    lists = read_stored(row.lists)
    names = ", ".join(sorted(lists - {UNSURE}))
    if not names:
        return ""
    return f", and {'may be' if UNSURE in lists else 'is'} on the address-list{'s' * (', ' in names)} {names}"
