"""The overdue reminder and the settings it needs, from the load file to live sessions, on both databases (R5)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aaa import clock
from aaa.commands import door, jobs
from aaa.commands.leniency import acknowledge
from aaa.domain.instant import iso
from aaa.domain.settings import DEFAULTS, Settings
from aaa.domain.timeline import Cause, Verdict
from aaa.store.database import Database
from aaa.store.settings import read_settings
from aaa.store.tables import access, account, control, event, job, recompile_request, setting, timeline_history
from aaa.store.tables import session as session_table
from billing.commands import charge, pay
from ledgate.load import BadLoad, load
from ledgate.load.fields import parse_instant
from tests.integration import serving
from tests.integration.command import Ledgate
from tests.integration.ledger import (
    DAY,
    NOW,
    SECOND,
    content,
    example,
    put,
    ref,
    rows,
    service_row,
    subscriber,
    timeline_of,
)
from tests.integration.live_change import Live, scene, until
from tests.integration.serving import installation, running

POLITE = {
    "name": "polite",
    "remind_pay": 1,
    "remind_after_pay_day": 3,
    "remind_time": 2,
    "remind_unaccepted_pay": 1000,
    "overdue_https": "allow",
}
ON_SERVER = {"scope": "server", "name": "OverduePolicy", "value": "polite"}
PORTAL = {"server_ip": "203.0.113.5", "mikrotik_nat_disable_users": 1}
DUE = parse_instant("2026-11-22", "Asia/Tehran")
SHOWN = parse_instant("2026-11-26", "Asia/Tehran")
PAID = SHOWN + DAY


def polite(*people: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The document of the manual with an OverduePolicy on the server, for these subscribers."""
    known: dict[str, Any] = example(subscribers=list(people))
    more = {"settings": PORTAL, "overdue_policies": [POLITE | changes], "params": [*known["params"], ON_SERVER]}
    return known | more


def owing(db: Database, name: str, amount: int = 5_000) -> None:
    charge(db, ref(db, name), amount, due_at=DUE, actor="test", now=NOW)


def shown(db: Database, name: str) -> list[int]:
    """When a reminder becomes due."""
    found = timeline_of(db, name)[0].segments
    reminding = [one for one in found if one.reason is not None and one.reason.cause is Cause.OVERDUE]
    assert all(one.verdict is Verdict.ALLOW for one in reminding)
    return [one.start for one in reminding]


def settings_of(db: Database) -> Settings:
    with db.read() as conn:
        return read_settings(conn)


# --- settings --------------------------------------------------------------------------------------------------------


def test_settings_are_stored_where_they_are_not_at_their_defaults(database: Database) -> None:
    assert settings_of(database) == DEFAULTS == Settings(None, True, 5, 20)
    counts = put(database, {"settings": {**PORTAL, "cut_off_limit_percent": 10, "cut_off_limit_least": 20}})
    assert counts.sections["settings"] == 4
    assert settings_of(database) == Settings("203.0.113.5", True, 10, 20)
    assert {row.name: row.value for row in rows(database, setting)} == {
        "server_ip": "203.0.113.5",
        "cut_off_limit_percent": 10,
    }
    before = content(database)
    put(database, {"settings": {"server_ip": "203.0.113.5"}}, NOW + 1)  # what is absent stays
    put(database, {"settings": {}}, NOW + 1)
    put(database, {"settings": None}, NOW + 1)
    assert content(database) == before
    put(database, {"settings": {"cut_off_limit_percent": None, "mikrotik_nat_disable_users": 0}}, NOW + 2)
    assert settings_of(database) == Settings("203.0.113.5", False, 5, 20)
    assert [row.name for row in rows(database, setting)] == ["mikrotik_nat_disable_users", "server_ip"]
    last = rows(database, event)[-1]
    assert (last.actor, last.kind, last.subject) == ("test", "settings", "settings")
    assert last.before == {"cut_off_limit_percent": 10, "mikrotik_nat_disable_users": True}
    assert last.after == {"cut_off_limit_percent": 5, "mikrotik_nat_disable_users": False}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ([], "settings"),
        ("none", "settings"),
        ({"server": "203.0.113.5"}, "settings.server"),
        ({"server_ip": "portal.example"}, "settings.server_ip"),
        ({"server_ip": "2001:db8::5"}, "settings.server_ip"),
        ({"mikrotik_nat_disable_users": 2}, "settings.mikrotik_nat_disable_users"),
        ({"mikrotik_nat_disable_users": "1"}, "settings.mikrotik_nat_disable_users"),
        ({"cut_off_limit_percent": 101}, "settings.cut_off_limit_percent"),
        ({"cut_off_limit_percent": -1}, "settings.cut_off_limit_percent"),
        ({"cut_off_limit_least": 1.5}, "settings.cut_off_limit_least"),
    ],
)
def test_a_bad_setting_is_refused_with_its_path(database: Database, given: Any, path: str) -> None:
    before = content(database)
    with pytest.raises(BadLoad) as caught:
        put(database, {"settings": given})
    assert caught.value.path == path
    assert content(database) == before


def test_r5_1_remind_pay_needs_the_server_s_address(database: Database) -> None:
    put(database, example())
    before = content(database)
    for document, path in (
        ({"overdue_policies": [{"name": "x"}, POLITE]}, "overdue_policies[1].remind_pay"),
        ({"overdue_policies": [POLITE], "settings": {"server_ip": None}}, "overdue_policies[0].remind_pay"),
    ):
        with pytest.raises(BadLoad, match="needs the setting server_ip") as caught:
            put(database, document)
        assert caught.value.path == path
        assert content(database) == before
    put(database, {"overdue_policies": [{**POLITE, "remind_pay": 0}]})  # off it may be prepared


def test_r5_1_the_address_stays_while_a_policy_reminds(database: Database) -> None:
    put(database, polite())
    before = content(database)
    removed = {"settings": {"server_ip": None}}
    for document in (removed, removed | {"overdue_policies": [{"name": "polite"}]}):
        with pytest.raises(BadLoad, match="cannot be removed: polite has remind_pay 1") as caught:
            put(database, document)
        assert caught.value.path == "settings.server_ip"
        assert content(database) == before
    put(database, {"settings": {"server_ip": None}, "overdue_policies": [{"name": "polite", "remind_pay": 0}]})
    assert settings_of(database) == DEFAULTS


def test_r5_1_a_setting_recompiles_whom_it_touches_only(database: Database) -> None:
    put(database, polite(subscriber("bob"), subscriber("eve")))
    put(database, {"params": [{**ON_SERVER, "value": None}, {**ON_SERVER, "scope": "user:bob"}]})
    owing(database, "bob")
    owing(database, "eve")
    assert (shown(database, "bob"), shown(database, "eve")) == ([SHOWN], [])
    versions = {row.username: row.version for row in rows(database, access)}
    put(database, {"settings": {"cut_off_limit_percent": 50}}, NOW + 1)
    assert {row.username: row.version for row in rows(database, access)} == versions
    put(database, {"settings": {"mikrotik_nat_disable_users": 0}}, NOW + 2)
    assert shown(database, "bob") == []
    assert {row.username: row.version for row in rows(database, access)} == {**versions, "bob": versions["bob"] + 1}
    replaced = rows(database, timeline_history)[-1]
    [cause] = rows(database, event, event.c.id == replaced.event_id)
    assert cause.kind == "settings"
    put(database, {"settings": {"mikrotik_nat_disable_users": None}}, NOW + 3)
    assert shown(database, "bob") == [SHOWN]


def test_r5_1_a_setting_that_touches_many_is_carried_out_by_a_job(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, polite(*(subscriber(f"user{number}") for number in range(4))))
    for number in range(4):
        owing(database, f"user{number}")
    monkeypatch.setattr(door, "INLINE", 2)
    monkeypatch.setattr(jobs, "INLINE", 2)
    assert put(database, {"settings": {"cut_off_limit_percent": 50}}).jobs == []
    counts = put(database, {"settings": {"mikrotik_nat_disable_users": 0}}, NOW + 1)
    assert len(counts.jobs) == len(rows(database, job)) == 1
    assert shown(database, "user0") == [SHOWN]
    while jobs.run_batch(database, NOW + 2):
        pass
    assert all(shown(database, f"user{number}") == [] for number in range(4))


# --- policies, opting out, paying ------------------------------------------------------------------------------------


def test_r5_2_a_reminder_is_due_until_the_debt_is_paid(database: Database) -> None:
    put(database, polite(subscriber("bob")))
    [stored] = rows(database, control, control.c.kind == "OverduePolicy")
    assert stored.value == {key: value for key, value in POLITE.items() if key != "name"}
    owing(database, "bob", 999)
    assert shown(database, "bob") == []
    owing(database, "bob", 1)
    assert shown(database, "bob") == [SHOWN]
    told = timeline_of(database, "bob")[0].at(SHOWN).reason
    assert told is not None and told.scope == "server"
    assert (dict(told.figures)["overdue"], dict(told.figures)["oldest_due_at"]) == (1_000, DUE)
    pay(database, ref(database, "bob"), 1_000, external_id="1", actor="test", now=PAID)
    assert shown(database, "bob") == []


def test_r5_1_absent_keys_of_a_policy_stay_and_the_switch_removes_it(database: Database) -> None:
    put(database, polite(subscriber("bob")))
    owing(database, "bob")
    put(database, {"overdue_policies": [{"name": "polite", "remind_after_pay_day": 4}]}, NOW + 1)
    assert shown(database, "bob") == [SHOWN + DAY]
    put(database, {"overdue_policies": [{"name": "polite", "remind_pay": 0}]}, NOW + 2)
    assert shown(database, "bob") == []
    put(database, {"overdue_policies": [{"name": "polite", "remind_pay": 1}]}, NOW + 3)
    assert shown(database, "bob") == [SHOWN + DAY]


def test_r5_2_who_opted_out_is_not_reminded(database: Database) -> None:
    put(database, polite(subscriber("bob", dont_show_overdue=True), subscriber("eve")))
    owing(database, "bob")
    owing(database, "eve")
    assert (shown(database, "bob"), shown(database, "eve")) == ([], [SHOWN])
    put(database, {"subscribers": [{"username": "bob"}]}, NOW + 1)
    assert service_row(database, "bob").dont_show_overdue is True
    put(database, {"subscribers": [{"username": "bob", "dont_show_overdue": None}]}, NOW + 2)
    put(database, {"subscribers": [{"username": "eve", "dont_show_overdue": True}]}, NOW + 2)
    assert (shown(database, "bob"), shown(database, "eve")) == ([SHOWN], [])
    for value in (0, "yes"):
        with pytest.raises(BadLoad, match=r"subscribers\[0\]\.dont_show_overdue: must be true or false"):
            put(database, {"subscribers": [{"username": "eve", "dont_show_overdue": value}]})


# --- the OK ----------------------------------------------------------------------------------------------------------


def test_r5_4_an_ok_holds_for_every_service_of_the_account(database: Database) -> None:
    put(database, polite(subscriber("bob", account="home"), subscriber("eve", account="home"), subscriber("zoe")))
    owing(database, "bob")
    owing(database, "zoe")
    assert shown(database, "bob") == shown(database, "eve") == [SHOWN]
    shared = ref(database, "eve").account_id
    confirmed = SHOWN + 5 * SECOND
    assert not acknowledge(database, shared, actor="ana", now=SHOWN - 1)  # nobody has seen it yet
    assert acknowledge(database, shared, actor="ana", now=confirmed)
    assert not acknowledge(database, shared, actor="ana", now=confirmed + 1)  # an OK given twice puts nothing off
    assert shown(database, "bob") == shown(database, "eve") == [confirmed + 2 * DAY]
    assert shown(database, "zoe") == [SHOWN]
    put(database, {"subscribers": [{"username": "zoe", "suspensions": [{"reason": "not_set"}]}]}, confirmed)
    assert not acknowledge(database, ref(database, "zoe").account_id, actor="ana", now=confirmed)
    [row] = rows(database, account, account.c.id == shared)
    assert row.acknowledged_at == confirmed
    [told] = rows(database, event, event.c.kind == "acknowledge")
    assert (told.actor, told.subject, told.at) == ("ana", f"account:{shared}", confirmed)
    assert (told.before, told.after) == ({"acknowledged_at": None}, {"acknowledged_at": confirmed})


def test_r5_4_from_the_command_line(database_url: str, tmp_path: Path, database: Database) -> None:
    ledgate = Ledgate(database_url, tmp_path)
    put(database, polite(subscriber("bob")), clock.now())
    one = ref(database, "bob")
    charge(database, one, 5_000, due_at=parse_instant("2020-01-01", "UTC"), actor="test", now=clock.now())
    assert (
        ": allow, a reminder is due because overdue 5,000 IRR has reached 1,000 IRR, unpaid more than 3 days after "
        "2020-01-01T00:00:00Z (polite, server), since "
    ) in ledgate("explain", "bob")
    found = ledgate.json("explain", "bob")
    assert (found["verdict"], found["cause"], found["scope"]) == ("allow", "overdue", "server")
    assert found["figures"]["policy"] == "polite" and found["figures"]["every_days"] == 2
    assert ledgate("acknowledge", "bob") == "bob: the reminder is acknowledged\n"
    assert ledgate.json("explain", "bob")["cause"] is None
    assert ledgate.json("acknowledge", "bob") == {"username": "bob", "acknowledged": False, "at": None}
    assert ledgate("acknowledge", "bob") == "bob: no reminder is due, nothing was recorded\n"
    assert ledgate.refuses("acknowledge", "nobody") == "no subscriber is called 'nobody'"
    assert ledgate.refuses("acknowledge") == "Missing argument 'USER'."
    assert len(rows(database, event, event.c.kind == "acknowledge")) == 1


# --- logins and live sessions (R5.5) ----------------------------------------------------------------------------------


@pytest.fixture
def live(database: Database, database_url: str, tmp_path: Path) -> Iterator[Live]:
    with scene(database, database_url, tmp_path / "state") as live:
        yield live


def test_r5_5_radclient_is_told_the_same_and_the_log_says_why(database_url: str, tmp_path: Path) -> None:
    made = installation(database_url, tmp_path / "ledgate", auth_processes=1)
    past = "2026-01-01T00:00:00+03:30"
    people = [serving.subscriber("calm"), serving.subscriber("late"), serving.subscriber("cut")]
    for one in people[1:]:
        one |= {"balance": -50_000, "last_payment": past}
    document = serving.document(
        settings=PORTAL,
        controls=[],
        suspend_policies=[{"name": "strict", "suspend_non_payers": 1, "suspend_min_amount": 1_000}],
        overdue_policies=[POLITE],
        params=[ON_SERVER, {"scope": "user:cut", "name": "SuspendPolicy", "value": "strict"}],
        finish_rules=[],
        subscribers=people,
    )
    made.load(document)
    with running(made, "replica", "auth") as served:
        calm, late, cut = (served.radclient(f"User-Name={one},User-Password=secret") for one in ("calm", "late", "cut"))
        assert calm is not None and late is not None and cut is not None
    vary = ("Class", "Message-Authenticator")
    assert (calm.code, late.code) == ("Access-Accept", "Access-Accept")
    assert set(calm.attributes) == set(late.attributes)
    assert all(late.attributes[name] == value for name, value in calm.attributes.items() if name not in vary)
    assert (cut.code, cut.attributes["Mikrotik-Address-List"]) == ("Access-Accept", "suspended")  # R3.2
    serving.until(lambda: "user=cut" in served.log, "the line of the log")
    assert (
        "user=late nas=mt1 result=accept verdict=allow cause=overdue policy=polite currency=IRR overdue=50000 "
        "oldest_due_at=2025-12-31T20:30:00Z after_days=3 least=1000 every_days=2 scope=server"
    ) in served.log
    assert (
        "user=cut nas=mt1 result=accept verdict=restrict cause=suspended reason=non_payer policy=strict currency=IRR "
        "overdue=50000 oldest_due_at=2025-12-31T20:30:00Z limit=both days=14 least=1000 scope=user:cut"
    ) in served.log


def change(live: Live, **document: Any) -> None:
    load(live.db, document, live.sealer, actor="test", now=clock.now())


def nothing_left(live: Live) -> None:
    """Wait until no live session is to be planned any more, but at a time to come."""
    until(lambda: not [one for one in live.wishes() if one["not_before"] <= clock.now()], "nothing is left to tell")


def test_r5_5_the_engine_tells_no_router_of_a_reminder(live: Live) -> None:
    """It begins by an event, ends by an OK, begins again by the clock; then a rate shows that the engine was there."""
    live.load(
        {
            "username": "ali",
            "balance": -50_000,
            "last_payment": iso(clock.now() - 5 * DAY),
            "active_to": iso(clock.now() + 20 * DAY),
        }
    )
    one = live.ref("ali")
    with live.engine():
        before = live.log_in("ali")
        version = timeline_of(live.db, "ali")[1]
        policy = {"name": "polite", "remind_pay": 1, "remind_time": 1}
        change(live, settings={"server_ip": "203.0.113.5"}, overdue_policies=[policy], params=[ON_SERVER])
        assert timeline_of(live.db, "ali")[0].at(clock.now()).reason is not None
        nothing_left(live)
        during = live.log_in("ali", mac="02:00:00:00:01:01")
        assert acknowledge(live.db, one.account_id, actor="test", now=clock.now())
        nothing_left(live)

        begins = clock.now() + SECOND
        with live.db.write() as conn:  # as if the OK had been a day ago
            conn.execute(account.update().values(acknowledged_at=begins - DAY))
            asked = {"service_id": one.service_id, "kind": "test", "requested_at": clock.now()}
            conn.execute(recompile_request.insert(), asked)
        until(lambda: timeline_of(live.db, "ali")[0].next_change(begins - 1) == begins, "the boundary is set")
        assert timeline_of(live.db, "ali")[1] == version + 3
        until(lambda: live.rows(access)[0]["next_due"] > begins, "the boundary is crossed")
        nothing_left(live)
        assert live.changes == [] and live.attempts() == []
        ends = {session["given_end"] for session in live.rows(session_table)}

        change(live, params=[{"scope": "user:ali", "name": "Mikrotik-Rate-Limit", "value": "7M/7M"}])
        told = live.change(0)
    assert (told.kind, told.asked["Mikrotik-Rate-Limit"]) == ("coa", "7M/7M")
    assert "Session-Timeout" not in told.asked
    assert len(ends) == 1 and None not in ends  # nobody's Session-Timeout became shorter
    first, second = before.told, during.told
    assert set(first) == set(second)
    assert {key: value for key, value in first.items() if key not in VARY} == {
        key: value for key, value in second.items() if key not in VARY
    }
    assert abs(int(first["Session-Timeout"]) - int(second["Session-Timeout"])) < 60


VARY = ("Class", "Message-Authenticator", "Session-Timeout")
"""What two logins of one service, seconds apart, are told differently."""
