"""The seven scopes through `ledgate load` and `explain`: whose param counts, and which services are compiled (R1)."""

from pathlib import Path
from typing import Any

import pytest

from aaa.domain.instant import iso
from aaa.domain.method import mask
from aaa.domain.service import Level
from aaa.store.database import Database
from aaa.store.record import entry
from aaa.store.tables import access, center, enforcement, event, job, reseller, service_class
from ledgate.load import BadLoad
from tests.integration.command import Ledgate
from tests.integration.ledger import (
    DAY,
    NOW,
    content,
    example,
    make_live,
    put,
    rows,
    service_row,
    subscriber,
    timeline_of,
)

MEMBER = {"center": "c1", "reseller": "r1", "class": "students"}
SCOPES = ("server", "center:c1", "visp:tehran", "reseller:r1", "plan:home20", "class:students", "user:bob")
IDLE = "Idle-Timeout"


@pytest.fixture
def ledgate(database_url: str, tmp_path: Path) -> Ledgate:
    return Ledgate(database_url, tmp_path)


def places(*people: dict[str, Any]) -> dict[str, Any]:
    """The document of the manual with two centers, resellers and classes, a second VISP, and these subscribers."""
    named = {
        "centers": [{"name": "c1"}, {"name": "c2"}],
        "resellers": [{"name": "r1"}, {"name": "r2"}],
        "classes": [{"name": "students"}, {"name": "staff"}],
    }
    shiraz = {"name": "shiraz", "currency": "IRR", "timezone": "Asia/Tehran"}
    return example(visps=[shiraz], subscribers=list(people)) | named


def stranger() -> dict[str, Any]:
    """A subscriber who shares no scope with bob but the server."""
    return subscriber("eve", visp="shiraz", plan=None, center="c2", reseller="r2") | {"class": "staff"}


def idle(scope: str, value: int | None, **more: str) -> dict[str, Any]:
    return {"params": [{"scope": scope, "name": IDLE, "value": value, **more}]}


def test_r1_2_each_of_the_seven_scopes_wins_in_turn_and_recompiles_only_its_own(
    database: Database, ledgate: Ledgate
) -> None:
    put(database, places(subscriber("bob", **MEMBER), stranger()))

    def told(name: str) -> Any:
        return ledgate.json("explain", name, "--at", iso(NOW + DAY))["profile"].get(IDLE)

    for seconds, scope in enumerate(SCOPES, 100):
        before = timeline_of(database, "eve")[1]
        put(database, idle(scope, seconds))
        assert told("bob") == seconds
        assert timeline_of(database, "bob")[1] == seconds - 98
        assert timeline_of(database, "eve")[1] - before == (scope == "server")
    assert told("eve") == 100

    for seconds, scope in reversed(list(enumerate(SCOPES, 100))):  # R1.3: each in turn is as if it were not there
        put(database, idle(scope, seconds, status="disabled"))
        assert told("bob") == (seconds - 1 if scope != "server" else None)
    for scope in reversed(SCOPES):
        put(database, {"params": [{"scope": scope, "name": IDLE, "status": "passthrough-yes"}]})
    assert told("bob") == 106
    for seconds, scope in reversed(list(enumerate(SCOPES, 100))):  # R1.3: the weakest final one has the last word
        put(database, {"params": [{"scope": scope, "name": IDLE, "status": "passthrough-no"}]})
        assert told("bob") == seconds


def test_r1_2_a_control_on_a_class_blocks_who_is_in_it_and_says_so(database: Database, ledgate: Ledgate) -> None:
    put(database, places(subscriber("bob", -500_000, **MEMBER), subscriber("joe", -500_000)))
    strict = {"name": "strict", "max_debt": 400_000}
    on_class = {"scope": "class:students", "name": "DebitControl", "value": "strict"}
    put(database, {"controls": [strict], "params": [on_class]})
    bob = ledgate.json("explain", "bob", "--at", iso(NOW + DAY))
    assert (bob["verdict"], bob["scope"]) == ("restrict", "class:students")
    assert ledgate.json("explain", "joe", "--at", iso(NOW + DAY))["verdict"] == "allow"


@pytest.mark.parametrize(
    ("key", "level", "other"),
    [("center", Level.CENTER, "c2"), ("reseller", Level.RESELLER, "r2"), ("class", Level.CLASS, "staff")],
)
def test_r1_1_who_moves_to_another_scope_is_compiled_anew_and_nobody_else(
    database: Database, key: str, level: Level, other: str
) -> None:
    put(database, places(subscriber("bob", **MEMBER), subscriber("joe", **MEMBER)) | idle(f"{key}:{other}", 77))
    live = make_live(database, ["bob", "joe"])
    put(database, {"subscribers": [{"username": "bob", key: other}]})
    timeline, version = timeline_of(database, "bob")
    assert (dict(timeline.at(NOW).profile)[IDLE], version) == (77, 2)
    assert timeline_of(database, "joe")[1] == 1
    assert [wish.session_id for wish in rows(database, enforcement)] == [live["bob"]]
    told = rows(database, event)[-1]
    column = f"{key}_id"
    assert (told.kind, list(told.before), list(told.after)) == ("update", [column], [column])

    put(database, {"subscribers": [{"username": "bob"}]})  # an absent key stays
    assert timeline_of(database, "bob")[1] == 2
    put(database, {"subscribers": [{"username": "bob", key: None}]})  # null clears
    timeline, version = timeline_of(database, "bob")
    assert (IDLE in dict(timeline.at(NOW).profile), version) == (False, 3)
    assert service_row(database, "bob")._mapping[column] is None


def test_r1_1_loading_scopes_again_changes_nothing(database: Database) -> None:
    document = places(subscriber("bob", **MEMBER)) | idle("reseller:r1", 60)
    put(database, document)
    assert [row.name for row in rows(database, center)] == ["c1", "c2"]
    assert [row.name for row in rows(database, reseller)] == ["r1", "r2"]
    assert [row.name for row in rows(database, service_class)] == ["students", "staff"]
    before = content(database)
    put(database, document, NOW + 1)
    assert content(database) == before


def test_r1_1_a_reseller_serves_several_visps(database: Database) -> None:
    put(database, places(subscriber("bob", **MEMBER), stranger() | {"reseller": "r1"}) | idle("reseller:r1", 60))
    for name in ("bob", "eve"):
        assert dict(timeline_of(database, name)[0].at(NOW).profile)[IDLE] == 60


def test_r1_2_a_new_subscriber_meets_the_param_of_his_file(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aaa.commands.door.INLINE", 1)
    put(database, places(subscriber("joe", **MEMBER), subscriber("jim", **MEMBER)))
    put(database, {"subscribers": [subscriber("bob", **MEMBER)]} | idle("center:c1", 60), NOW + 1)
    assert dict(timeline_of(database, "bob")[0].at(NOW + 1).profile)[IDLE] == 60
    [waiting] = rows(database, job)  # joe and jim, in the background
    assert (waiting.level, IDLE in dict(timeline_of(database, "joe")[0].at(NOW + 1).profile)) == ("center", False)


def test_r2_8_who_moves_under_a_control_of_another_currency_is_refused_with_his_path(database: Database) -> None:
    put(database, places(subscriber("bob")))
    euro = {"name": "euro", "currency": "EUR"}
    on_class = {"scope": "class:students", "name": "DebitControl", "value": "euro"}
    put(database, {"controls": [euro], "params": [on_class]})  # nobody is in it yet
    before = content(database)
    with pytest.raises(BadLoad, match=r"subscribers\[1\]\.class: .*EUR.*IRR"):
        put(database, {"subscribers": [{"username": "ali"}, {"username": "bob", "class": "students"}]})
    assert content(database) == before


def test_r1_5_params_tells_every_effective_value_its_scope_and_what_it_hides(
    database: Database, ledgate: Ledgate
) -> None:
    put(database, places(subscriber("bob", **MEMBER), stranger()))
    garden = {"scope": "visp:tehran", "name": "FinishRule", "value": "garden"}
    rate = {"scope": "plan:home20", "name": "Mikrotik-Rate-Limit", "value": "30M/30M"}
    others = [{"scope": scope, "name": IDLE, "value": number} for number, scope in enumerate(SCOPES, 1)]
    final = {"scope": "center:c1", "name": "simultaneous-use", "value": 1, "status": "passthrough-no"}
    loose = {"scope": "user:bob", "name": "simultaneous-use", "value": 2}
    put(database, {"params": [garden, rate, *others, final, loose]})
    put(database, {"params": [{"scope": "class:students", "name": IDLE, "status": "disabled"}]})
    assert ledgate("params", "bob").splitlines() == [
        "simultaneous-use = 1 from center:c1 (final), hides 2 of user:bob",
        'DebitControl = "Home-Users" from server',
        'FinishRule = "garden" from visp:tehran, hides "walled-garden" of server',
        'Framed-Pool = "pool1" from plan:home20',
        "Idle-Timeout = 7 from user:bob, hides 1 of server, 2 of center:c1, 3 of visp:tehran, 4 of reseller:r1, "
        "5 of plan:home20",
        'Mikrotik-Rate-Limit = "30M/30M" from plan:home20, hides "20M/20M" of plan:home20',
    ]
    told = ledgate.json("params", "eve@shiraz")
    assert (told["username"], [one["name"] for one in told["params"]]) == ("eve", ["DebitControl", "FinishRule", IDLE])
    assert told["params"][2] == {
        "name": IDLE,
        "group": "reply",
        "value": 1,
        "scope": "server",
        "status": "passthrough-yes",
        "hides": [],
    }


def test_r1_5_params_of_a_stranger_are_refused_and_a_pending_change_is_marked(
    database: Database, ledgate: Ledgate, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, places(subscriber("bob", **MEMBER), subscriber("joe", **MEMBER)))
    assert ledgate.refuses("params", "zoe") == "no subscriber is called 'zoe'"
    assert "pending" not in ledgate.json("params", "bob")
    monkeypatch.setattr("aaa.commands.door.INLINE", 1)
    put(database, idle("class:students", 60), NOW + 1)
    assert ledgate.json("params", "bob")["pending"] is True
    assert "a mass change has not reached this subscriber yet" in ledgate("params", "joe").splitlines()[-1]


def test_r1_4_a_reply_param_may_repeat_an_attribute(database: Database, ledgate: Ledgate) -> None:
    put(database, places(subscriber("bob", **MEMBER)))
    routes = ["10.1.0.0/16", "10.2.0.0/16"]
    put(database, {"params": [{"scope": "class:students", "name": "Framed-Route", "value": routes}]})
    assert ledgate.json("explain", "bob", "--at", iso(NOW + DAY))["profile"]["Framed-Route"] == routes
    put(database, {"params": [{"scope": "user:bob", "name": "Framed-Route", "value": routes[:1]}]})
    told = ledgate("params", "bob")
    assert f'Framed-Route = ["{routes[0]}"] from user:bob, hides ["{routes[0]}", "{routes[1]}"] of class' in told


def test_r1_4_allowed_methods_and_routers_ride_the_access_record_from_whatever_scope(
    database: Database, ledgate: Ledgate
) -> None:
    put(database, places(subscriber("bob", **MEMBER), stranger()))

    def limits(name: str) -> tuple[int, bytes]:
        [stored] = rows(database, access, access.c.service_id == service_row(database, name).id)
        head = entry(stored.record)
        return head.allowed_methods, head.allowed_nas

    second = {"name": "mt2", "address": "10.0.0.2", "secret": "s"}
    routers = {"scope": "center:c1", "name": "allowed-nas", "value": ["mt2", "mt1"]}
    methods = {"scope": "class:students", "name": "allowed-methods", "value": ["mschapv2", "chap"]}
    put(database, {"nas": [second], "params": [routers, methods]})  # a router of the same file
    assert (limits("bob"), limits("eve")) == ((mask(["chap", "mschapv2"]), b"mt2\0mt1"), (0, b""))
    assert ledgate("params", "bob").splitlines()[:2] == [
        'allowed-methods = ["mschapv2", "chap"] from class:students',
        'allowed-nas = ["mt2", "mt1"] from center:c1',
    ]
    assert timeline_of(database, "eve")[1] == 1
    before = content(database)
    put(database, {"params": [routers, methods]}, NOW + 1)
    assert content(database) == before
    put(database, {"params": [{**routers, "value": None}, {**methods, "status": "disabled"}]})
    assert limits("bob") == (0, b"")
