"""The rule that a fresh installation ships with, on both databases (R3.2)."""

from aaa.domain.timeline import Cause, Verdict
from aaa.store.database import Database
from tests.integration.ledger import EXAMPLE, NOW, put, subscriber, timeline_of

SHIPPED = {name: section for name, section in EXAMPLE.items() if name != "finish_rules"} | {
    "params": [one for one in EXAMPLE["params"] if one["name"] != "FinishRule"],
}


def verdict(db: Database, name: str) -> tuple[Verdict, Cause | None, object]:
    segment = timeline_of(db, name)[0].at(NOW)
    listed = dict(segment.profile).get("Mikrotik-Address-List")
    return segment.verdict, segment.reason.cause if segment.reason else None, listed


def test_r3_2_who_is_suspended_or_has_ended_is_in_the_garden_and_who_owes_is_denied(database: Database) -> None:
    subscribers = [
        *EXAMPLE["subscribers"],
        subscriber("ended", active_to="2026-11-01T00:00:00Z"),
        subscriber("suspended", suspensions=[{"reason": "profile1"}]),
        subscriber("debtor", -900_000),
        subscriber("paid"),
    ]
    put(database, SHIPPED | {"subscribers": subscribers})
    assert verdict(database, "ended") == (Verdict.RESTRICT, Cause.EXPIRE, "suspended")
    assert verdict(database, "suspended") == (Verdict.RESTRICT, Cause.SUSPENDED, "suspended")
    assert verdict(database, "debtor") == (Verdict.DENY, Cause.DEBIT, None)
    assert verdict(database, "paid") == (Verdict.ALLOW, None, None)


def test_r3_2_an_operator_may_change_the_shipped_rule(database: Database) -> None:
    put(database, SHIPPED | {"subscribers": [*EXAMPLE["subscribers"], subscriber("ended", active_to="2026-11-01")]})
    put(database, {"finish_rules": [{"name": "walled-garden", "expire": "deny"}]}, NOW + 1)
    assert verdict(database, "ended") == (Verdict.DENY, Cause.EXPIRE, None)
